#include "cli/aof_command.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "aof/inspection.hpp"
#include "base/disk.hpp"
#include "base/log.hpp"

namespace bop::cli {

namespace {

constexpr int kDamaged = 1;
constexpr int kUnreadable = 2;

class Printer final : public aof::InspectionSink {
 public:
  explicit Printer(bool records) : records_(records) {}
  void segment(const std::string& path, const aof::SegmentHeader& header) override {
    if (!records_) return;
    fmt::print("segment {} number={} timeline={} base={} bytes={}\n", path, header.number,
               header.timeline.value, header.base.value, header.bytes);
  }
  void record(const aof::RecordView& record, ByteOffset offset) override {
    if (!records_) return;
    fmt::print(
        "  offset={} lsn={} term={} timeline={} database={} kind={} flags={} payload={} checksum={:016x}\n",
        offset.value, record.lsn.value, record.term.value, record.timeline.value, record.database.value,
        aof::name_of(record.kind), record.flags, record.payload.size(), record.checksum);
  }
  void problem(const Error& error) override { fmt::print("problem: {}\n", error.what()); }
  void end(Lsn last, const std::string& verdict) override {
    fmt::print("end: lsn={} {}\n", last.value, verdict);
  }

 private:
  const bool records_;
};

int inspect(const std::string& given, bool records) {
  (void)configure_log("text", "warning");
  auto disk = open_system_disk("pwritev");
  if (!disk) {
    fmt::print(stderr, "bop: {}\n", disk.error().what());
    return kUnreadable;
  }
  std::string directory = given;
  if (const auto inside = (*disk)->exists(given + "/log"); inside && *inside) directory += "/log";
  Printer printer(records);
  const auto summary = aof::inspect(**disk, directory, printer);
  if (!summary) {
    fmt::print(stderr, "bop: {}\n", summary.error().what());
    return kUnreadable;
  }
  if (summary->segments == 0) {
    fmt::print(stderr, "bop: there is no log in {}: it holds no segment (*.log)\n", directory);
    return kUnreadable;
  }
  fmt::print("{} segments, {} records ({} bytes), {} marks, lsn {} to {}, durable to {}; {} problems\n",
             summary->segments, summary->records, summary->payload_bytes, summary->marks,
             summary->first.value, summary->last.value, summary->watermark.value, summary->problems);
  return summary->problems == 0 ? 0 : kDamaged;
}

}  // namespace

int dump_log(const std::string& directory) { return inspect(directory, true); }
int verify_log(const std::string& directory) { return inspect(directory, false); }

}  // namespace bop::cli
