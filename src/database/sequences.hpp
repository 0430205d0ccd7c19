// Sequences: state of the database outside its pages (rule 11). Values are reserved in blocks by a record of
// their own, so a value handed out is never handed out again, after a crash or a rollback included; gaps are
// allowed.
//
// nextval returns the value and the Lsn that the answer has to be gated on: the reservation's record. Within
// a reserved block that Lsn is the block's, which is normally released already.
//
// Values are not given back by a rollback, but RESTART and changed options are: the SQL layer sets
// a state under a new key for them, so that a rollback brings the old state back with the old key.
//
// State: key -> SequenceState, saved in the database's manifest with its base and brought forward by replay
// of kSequence records (records.hpp). A sequence that is not known starts at its specification's `start`.
// Threads: any; one short mutex a database.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <bop/flush.hpp>
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::database {

struct SequenceSpec {
  std::int64_t start = 1;
  std::int64_t increment = 1;  // never 0
  std::int64_t min = 1;
  std::int64_t max = INT64_MAX;
  bool cycle = false;
  std::uint32_t block = 32;  // values reserved at once, at least 1
};

// What is durable: `next` is the first value that may be handed out after a restart. `exhausted`: none is
// left.
struct SequenceState {
  Oid oid = 0;
  std::int64_t next = 0;
  bool exhausted = false;
  friend bool operator==(const SequenceState&, const SequenceState&) = default;
};

struct SequenceValue {
  std::int64_t value = 0;
  Lsn gate;  // the answer waits until this is released
};

class Sequences {
 public:
  // Appends one kSequence record; given by the Database.
  using Append =
      std::function<Result<Lsn>(std::span<const std::byte> payload, const aof::FlushPolicy& flush)>;

  explicit Sequences(Append append) : append_(std::move(append)) {}

  // Errors: kSequenceLimitExceeded at the end of a sequence that does not cycle; the log's. `flush`: how long
  // a new block's record may wait for its durable write; who waits at the gate does not wait longer for it.
  [[nodiscard]] Result<SequenceValue> nextval(Oid oid, const SequenceSpec& spec,
                                              const aof::FlushPolicy& flush = {});
  // As PostgreSQL: with is_called the next nextval returns the value after `value`, else `value` itself.
  [[nodiscard]] Result<Lsn> setval(Oid oid, const SequenceSpec& spec, std::int64_t value, bool is_called);
  // Forgets a dropped sequence.
  [[nodiscard]] Result<Lsn> drop(Oid oid);
  // The value that nextval handed out last in this process, none before the first.
  [[nodiscard]] std::optional<std::int64_t> last_value(Oid oid) const;
  // Where it stands: the last value (called), or the next one; none for an unknown key.
  struct Position {
    std::int64_t value = 0;
    bool called = false;
  };
  [[nodiscard]] std::optional<Position> position(Oid oid) const;

  // Recovery and manifest.
  [[nodiscard]] Status replay(std::span<const std::byte> payload);
  [[nodiscard]] std::vector<SequenceState> save() const;
  void restore(std::span<const SequenceState> states);

 private:
  struct Live {
    SequenceState durable;
    std::int64_t next = 0;   // next value to hand out
    std::uint64_t left = 0;  // values left in the reserved block
    Lsn gate;                // record of the current block
    std::optional<std::int64_t> last;
  };
  Append append_;
  mutable std::mutex mutex_;
  std::map<Oid, Live> live_;
};

}  // namespace bop::database
