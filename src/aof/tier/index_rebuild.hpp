// Makes the entries of sealed segments for the index from their files, as fast as the disk reads.
//
// work() takes one segment after the other, the oldest first, walks it (every checksum and the chain) and
// adds what it found. As many threads as the owner likes may be in work() at once, one segment each: two hide
// the disk's time behind the checksums' and the other way round. Each holds the frames of one segment, 32
// bytes for 64 KiB.
//
// A segment that is damaged or cannot be read is passed over and named; the index then has nothing of it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "aof/tier/segment_facts.hpp"
#include "aof/tier/segment_index.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

class IndexRebuild {
 public:
  struct Source {
    std::string path;  // of the raw file
    SegmentFacts facts;
    std::int64_t sealed_us = 0;  // its successor's creation, 0 when that is not known
  };
  struct Problem {
    SegmentId id;
    Error error;
  };
  static constexpr std::size_t kMostProblems = 64;  // of those that are told; the others are counted

  // All of them outlive this. `progress` is called by one thread at a time, with bytes of images.
  IndexRebuild(Disk& disk, SegmentIndex& index, std::vector<Source> sources, Progress progress = {});

  // Until no segment is left. Errors: kCancelled by `progress`, those of the index. Then the others stop,
  // too.
  [[nodiscard]] Status work();

  [[nodiscard]] std::uint64_t indexed() const;  // segments
  [[nodiscard]] std::uint64_t passed_over() const;
  [[nodiscard]] std::vector<Problem> problems() const;

 private:
  // The error is the segment's, or the index's if `is_of_index`.
  [[nodiscard]] Status index_one(const Source& source, bool& is_of_index);
  [[nodiscard]] bool advance(std::uint64_t bytes);

  Disk& disk_;
  SegmentIndex& index_;
  const std::vector<Source> sources_;
  const Progress progress_;
  std::uint64_t all_bytes_ = 0;

  mutable std::mutex mutex_;
  std::size_t next_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t indexed_ = 0;
  std::uint64_t passed_over_ = 0;
  std::vector<Problem> problems_;
  bool stopped_ = false;
};

}  // namespace bop::aof
