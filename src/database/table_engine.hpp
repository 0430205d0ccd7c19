// What a table engine (rowstore, later colstore) offers to its database. The database owns the log's side:
// order, chains, gate, bases and trimming; an engine owns the images of the log on disk.
//
// Life: `recover_begin` returns the base that the engine's files hold; then `apply` for every record of the
// database after that base in log order; then `recover_end`; only then the engine serves. `rewind` runs the
// same path again on a fresh instance; `retreat` only forgets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "database/records.hpp"

namespace bop::database {

class TableEngine {
 public:
  virtual ~TableEngine() = default;

  // The CSN of the durable base; records after it are needed.
  [[nodiscard]] virtual Result<Lsn> recover_begin() = 0;
  // One record of this database, kinds of other owners included (ignored). Refuses what it cannot apply.
  [[nodiscard]] virtual Status apply(const LogRecord& record) = 0;
  // `end` is the last committed record of the database, or the base.
  [[nodiscard]] virtual Status recover_end(Lsn end) = 0;

  // Moves the base forward: appends a marker, waits for the log, brings the files up to it, makes them
  // durable and writes the manifest. `done` runs on `background` with the new base (or the old one if readers
  // hold it back). One at a time; a second call joins the first.
  virtual void checkpoint(Executor& background, std::move_only_function<void(Result<Lsn>)> done) = 0;
  // The durable base: the log is kept above it.
  [[nodiscard]] virtual Lsn base() const = 0;
  // Bytes that the next checkpoint would bring into the files; the scheduler's input.
  [[nodiscard]] virtual std::uint64_t unchecked_bytes() const = 0;

  // Bytes that the files will grow by when they take in what is in the log. Any thread, no lock of a commit.
  [[nodiscard]] virtual std::uint64_t growth_bytes() const = 0;

  // Verifies every checksum of the engine's files.
  [[nodiscard]] virtual Status verify() = 0;
  // Discards what runs ahead of the log and recovers from base and log (rule 7).
  [[nodiscard]] virtual Status rewind() = 0;
  // A commit that the log has decided could not be shown here: nothing but a rewind helps, and the log has it
  // all.
  [[nodiscard]] virtual bool wants_rewind() const = 0;
  // The log failed for good: discards what runs ahead of it without reading or writing a disk, so that reads
  // of what is committed go on. First half: all that runs on the engine ends with `why`, new statements
  // wait; takes no lock that is held while waiting for a disk, and may overlook a commit that is being
  // decided. The second half sees everything.
  virtual void retreat_begin(const Error& why) = 0;
  [[nodiscard]] virtual Status retreat_end(const Error& why) = 0;
  // Why nothing can be written here for good, although the log can.
  [[nodiscard]] virtual std::optional<Error> failure() const = 0;
  // Closes connections and files without a checkpoint.
  virtual void close() = 0;
};

}  // namespace bop::database
