// Looking at a log without opening it: for `bop aof dump` and `bop aof verify`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "aof/key_ring.hpp"
#include "aof/reader.hpp"
#include "aof/segment_header.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

// What inspect() tells, in the order of the log.
class InspectionSink {
 public:
  virtual ~InspectionSink() = default;
  virtual void segment(const std::string& path, const SegmentHeader& header) = 0;
  // Marks included. `payload` is valid during the call.
  virtual void record(const RecordView& record, ByteOffset offset) = 0;
  // One sentence that names file, offset and LSN.
  virtual void problem(const Error& error) = 0;
  // The end of the log: what recovery would make of it.
  virtual void end(Lsn last, const std::string& verdict) = 0;
};

struct InspectionSummary {
  StreamIdentity identity{};
  std::uint64_t segments = 0;
  std::uint64_t records = 0;  // entries
  std::uint64_t marks = 0;
  std::uint64_t payload_bytes = 0;  // as stored
  std::uint64_t compressed = 0;     // entries
  std::uint64_t encrypted = 0;      // entries
  std::uint64_t problems = 0;
  std::uint64_t skipped_fillers = 0;
  std::uint64_t discarded_bytes = 0;  // behind the end of the log, never acknowledged
  Lsn first;
  Lsn last;
  Lsn watermark;  // durable, as far as the log itself says
};

// Reads every segment of `directory` from the oldest, checks every record, both chains and the joints between
// segments. Takes no lock and writes nothing; of a running node it may see the newest write half done, which
// shows as a torn tail. Fails only when the directory cannot be read or its headers make no chain; what is
// wrong with records goes to the sink. Payloads are decoded and given as they were appended; without `keys`
// those of encrypted records are given as they are stored, and not looked into.
[[nodiscard]] Result<InspectionSummary> inspect(Disk& disk, const std::string& directory,
                                                InspectionSink& sink,
                                                std::shared_ptr<const KeyRing> keys = nullptr);

}  // namespace bop::aof
