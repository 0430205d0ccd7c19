// What is remembered of producers, so that a repeated append is not stored twice.
//
// Payload of a kProducer record, little-endian; the whole state at its place in the log:
//
//   offset  size  field
//        0     4  count       producers
//        4     4  reserved    0
//        8        for each, by ascending producer:
//                 8  producer     not 0
//                 4  numbers      1 to 16
//                 4  reserved     0
//                    for each, ascending: 8 sequence, 8 id of the record that has it
//
// The records behind it carry producer and sequence themselves. So the state at the end of the log is that of
// the newest kProducer record and of what follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "aof/commit_stream.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::aof {

inline constexpr std::size_t kRememberedNumbers = 16;                          // of each producer
inline constexpr std::uint64_t kProducerBytes = 16 + 16 * kRememberedNumbers;  // of one, encoded, at most

// Not thread-safe.
class ProducerTable {
 public:
  // The id of the record that has this number; nothing when it is new. kInvalidArgument when it is below the
  // newest and not remembered.
  [[nodiscard]] Result<std::optional<Lsn>> find(std::uint64_t producer, std::uint64_t sequence) const;
  [[nodiscard]] bool knows(std::uint64_t producer) const { return producers_.contains(producer); }
  [[nodiscard]] std::optional<std::uint64_t> newest(std::uint64_t producer) const;
  [[nodiscard]] std::size_t size() const noexcept { return producers_.size(); }
  void note(std::uint64_t producer, std::uint64_t sequence, Lsn lsn);
  void forget(std::uint64_t producer) { producers_.erase(producer); }

  [[nodiscard]] std::vector<std::byte> encode() const;
  // False when the bytes are no state; the table is then as it was.
  [[nodiscard]] bool decode(std::span<const std::byte> payload);

 private:
  struct Number {
    std::uint64_t sequence = 0;
    Lsn lsn;
  };
  std::map<std::uint64_t, std::deque<Number>> producers_;  // numbers ascending, never empty
};

// The producers of the records of one database of a stream. Their state is kept in the records of another
// one, so that the stream itself knows where the newest is (CommitStream::newest_of). A state is written
// before the first record of a producer, before the first one in each segment or life of the process, by
// maintain(), and before a trim: so opening reads little more than the newest segment.
//
// Threads: all calls may overlap but for open().
class Producers {
 public:
  Producers(CommitStream& stream, DatabaseId records, DatabaseId states, std::size_t most)
      : stream_(stream), records_(records), states_(states), most_(most) {}

  // Reads the state back.
  [[nodiscard]] Status open();
  // Appends, unless the number was appended before.
  struct Appended {
    Lsn lsn;
    bool repeated = false;
  };
  [[nodiscard]] Result<Appended> append(const RecordInput& record);
  [[nodiscard]] std::optional<std::uint64_t> newest(std::uint64_t producer) const;
  void forget(std::uint64_t producer);
  // Writes the state when the segment that holds it is not the newest any more.
  [[nodiscard]] Status maintain();
  // The states among the stream's records, since open().
  struct Written {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] Written written() const;
  // What may be trimmed of `below`: the state that is needed stays. Waits for the disk.
  [[nodiscard]] Result<Lsn> allow_trim(Lsn below);

 private:
  [[nodiscard]] Status write_state();
  [[nodiscard]] bool is_due() const;

  CommitStream& stream_;
  const DatabaseId records_;
  const DatabaseId states_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  ProducerTable table_;
  Written written_;
  std::optional<std::uint64_t> rotations_;  // of the stream when the state was written in this life
};

}  // namespace bop::aof
