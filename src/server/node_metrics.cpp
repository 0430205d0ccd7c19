#include "server/node_metrics.hpp"

#include <fmt/format.h>

#include "aof/stream_metrics.hpp"
#include "base/memory_use.hpp"
#include "base/metrics.hpp"
#include "rowstore/row_store.hpp"
#include "server/storage.hpp"

namespace bop::server {

namespace {

class Exposition {
 public:
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    one(name, help, "counter", value);
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    one(name, help, "gauge", value);
  }
  void histogram(std::string_view name, std::string_view help, const aof::LatencyBuckets& buckets) {
    head(name, help, "histogram");
    std::uint64_t below = 0;
    double sum = 0;
    for (std::size_t i = 0; i < aof::LatencyBuckets::kBuckets; ++i) {
      const std::uint64_t count = buckets.count(i);
      if (count == 0) continue;
      below += count;
      const double seconds = static_cast<double>(aof::LatencyBuckets::upper(i)) * 1e-9;
      sum += seconds * static_cast<double>(count);
      text_ += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, seconds, below);
    }
    text_ += fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name, below, sum);
  }
  void head(std::string_view name, std::string_view help, std::string_view type) {
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  void labelled(std::string_view name, std::string_view label, std::string_view text, std::uint64_t value) {
    std::string escaped;
    for (const char c : text) {
      if (c == '\\' || c == '"') escaped += '\\';
      escaped += c == '\n' ? ' ' : c;
    }
    text_ += fmt::format("{}{{{}=\"{}\"}} {}\n", name, label, escaped, value);
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void one(std::string_view name, std::string_view help, std::string_view type, std::uint64_t value) {
    head(name, help, type);
    text_ += fmt::format("{} {}\n", name, value);
  }
  std::string text_;
};

}  // namespace

namespace {

// Numbers of the log and the disk that other objects keep.
void collect(Storage& storage, std::size_t connections) {
  Metrics& all = metrics();
  const aof::StreamMetrics& log = storage.group().stream().metrics();
  all.connections.set(static_cast<std::int64_t>(connections));
  all.log_records_total.set(log.records);
  all.log_bytes_total.set(log.record_bytes);
  all.log_writes_total.set(log.writes);
  all.log_written_bytes_total.set(log.write_bytes);
  all.log_writes_in_flight.set(static_cast<std::int64_t>(log.in_flight));
  all.log_unacknowledged_bytes.set(static_cast<std::int64_t>(log.unacknowledged_bytes));
  all.log_rotations_total.set(log.rotations);
  all.log_retained_bytes.set(static_cast<std::int64_t>(storage.group().retained_bytes()));
  all.log_poisoned.set(storage.failure() ? 1 : 0);
  all.disk_full_total.set(log.refused_disk_full);
  all.resident_bytes.set(static_cast<std::int64_t>(resident_bytes()));
  all.memory_limit_bytes.set(static_cast<std::int64_t>(memory_limit()));
}

}  // namespace

std::string node_metrics(Storage& storage, std::size_t connections) {
  using Numbers = rowstore::RowStore::Numbers;
  std::vector<std::pair<std::string, Numbers>> rows;
  std::uint64_t wal_bytes = 0;
  for (const auto& database : storage.databases().all()) {
    rows.emplace_back(database->name(), static_cast<rowstore::RowStore&>(database->rows()).numbers());
    wal_bytes += rows.back().second.wal_bytes;
  }
  collect(storage, connections);
  metrics().wal_bytes.set(static_cast<std::int64_t>(wal_bytes));

  Exposition out;
  const aof::StreamMetrics& log = storage.group().stream().metrics();
  out.gauge("bop_log_appended", "Newest record of the log.", storage.group().appended().value);
  out.gauge("bop_log_committed", "Newest committed record of the log.", storage.group().committed().value);
  out.counter("bop_log_segments_trimmed_total", "Segments of the log that were removed.",
              log.segments_trimmed);
  out.counter("bop_log_payload_given_bytes_total",
              "Contents of records before compression and encryption, where the log does either.",
              log.given_payload_bytes);
  out.counter("bop_log_payload_stored_bytes_total", "The same contents as they are stored.",
              log.stored_payload_bytes);
  out.head("bop_log_flushes_total", "Durable writes of the log that were begun, by cause.", "counter");
  for (std::size_t cause = 0; cause < aof::kFlushCauses; ++cause) {
    out.labelled("bop_log_flushes_total", "cause", aof::kFlushCauseNames[cause], log.flushes[cause]);
  }
  out.histogram("bop_log_durable_write_seconds", "Time of a durable write of the log.", log.write_latency);
  out.histogram("bop_log_durable_commit_seconds", "Time from append to durable.", log.commit_latency);
  const auto each = [&](std::string_view name, std::string_view help, std::string_view type, auto value) {
    out.head(name, help, type);
    for (const auto& [database, numbers] : rows) out.labelled(name, "database", database, value(numbers));
  };
  each("bop_rows_commits_total", "Transactions that changed rows.", "counter",
       [](const Numbers& n) { return n.commits; });
  each("bop_rows_pages", "Pages of the database.", "gauge",
       [](const Numbers& n) { return n.database_pages; });
  each("bop_rows_full_pages_total", "Pages logged whole.", "counter",
       [](const Numbers& n) { return n.full_pages; });
  each("bop_rows_delta_pages_total", "Pages logged as a difference.", "counter",
       [](const Numbers& n) { return n.delta_pages; });
  each("bop_rows_record_bytes_total", "Bytes of row records in the log.", "counter",
       [](const Numbers& n) { return n.record_bytes; });
  each("bop_rows_checkpoints_total", "Checkpoints done.", "counter",
       [](const Numbers& n) { return n.checkpoints; });
  each("bop_rows_readers_lent", "Reading connections in use.", "gauge",
       [](const Numbers& n) { return n.readers_lent; });
  if (const auto engine = storage.node().engine_numbers()) {
    out.counter("bop_engine_statements_total", "Statements that the second executor has answered.",
                engine->statements);
    out.counter("bop_engine_rebuilt_total", "Times that an internal error made it start anew.",
                engine->rebuilt);
    out.gauge("bop_engine_memory_bytes", "Memory that it uses for data.", engine->memory_bytes);
    out.gauge("bop_engine_temp_bytes", "Disk space to which it has spilled.", engine->temp_bytes);
    out.gauge("bop_engine_column_bytes", "Memory of columns that are kept decoded.", engine->column_bytes);
    out.counter("bop_engine_column_hits_total", "Lots of pages whose columns were there.",
                engine->column_hits);
    out.counter("bop_engine_column_misses_total", "Lots of pages of which some had to be decoded.",
                engine->column_misses);
  }
  return metrics().exposition() + out.take();
}

}  // namespace bop::server
