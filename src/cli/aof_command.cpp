#include "cli/aof_command.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "aof/inspection.hpp"
#include "aof/key_ring.hpp"
#include "backup/log_keys.hpp"
#include "base/disk.hpp"
#include "base/log.hpp"
#include "cli/backup_command.hpp"

namespace bop::cli {

namespace {

constexpr int kDamaged = 1;
constexpr int kUnreadable = 2;

std::string_view name_of_encoding(std::uint8_t encoding) {
  constexpr std::string_view kNames[] = {"none", "zstd", "aes", "zstd+aes"};
  return kNames[encoding & 3U];
}

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
        "  offset={} lsn={} term={} timeline={} database={} kind={} flags={} payload={} encoding={} "
        "checksum={:016x}\n",
        offset.value, record.lsn.value, record.term.value, record.timeline.value, record.database.value,
        aof::name_of(record.kind), record.flags, record.payload.size(), name_of_encoding(record.encoding),
        record.checksum);
  }
  void problem(const Error& error) override { fmt::print("problem: {}\n", error.what()); }
  void end(Lsn last, const std::string& verdict) override {
    fmt::print("end: lsn={} {}\n", last.value, verdict);
  }

 private:
  const bool records_;
};

// Null without a key, or where nothing is encrypted.
Result<std::shared_ptr<const aof::KeyRing>> keys_of(Disk& disk, const std::string& root,
                                                    const std::string& key) {
  BOP_LET(by, log_key_from(disk, key));
  if (!by) return nullptr;
  return backup::open_log_keys(disk, root, std::move(by));
}

int inspect(const std::string& given, bool records, const std::string& key) {
  (void)configure_log("text", "warning");
  auto disk = open_system_disk("pwritev");
  if (!disk) {
    fmt::print(stderr, "bop: {}\n", disk.error().what());
    return kUnreadable;
  }
  std::string directory = given;
  std::string root = given + "/..";
  if (const auto inside = (*disk)->exists(given + "/log"); inside && *inside) {
    directory += "/log";
    root = given;
  }
  auto keys = keys_of(**disk, root, key);
  if (!keys) {
    fmt::print(stderr, "bop: {}\n", keys.error().what());
    return kUnreadable;
  }
  const bool has_keys = *keys != nullptr;
  Printer printer(records);
  const auto summary = aof::inspect(**disk, directory, printer, std::move(*keys));
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
  if (summary->compressed != 0 || summary->encrypted != 0) {
    fmt::print("{} compressed, {} encrypted{}\n", summary->compressed, summary->encrypted,
               summary->encrypted == 0 ? ""
               : has_keys              ? ", all decrypted"
                                       : ", not decrypted: no key was given");
  }
  return summary->problems == 0 ? 0 : kDamaged;
}

}  // namespace

int dump_log(const std::string& directory, const std::string& key) { return inspect(directory, true, key); }
int verify_log(const std::string& directory, const std::string& key) {
  return inspect(directory, false, key);
}

}  // namespace bop::cli
