#include "server/node_status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/memory_use.hpp"
#include "base/trace.hpp"
#include "rowstore/row_store.hpp"
#include "server/server.hpp"
#include "sql/pg_catalog/pg_catalog.hpp"

namespace bop::server {

namespace {

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01 in microseconds of Unix time
constexpr std::size_t kMostStatementBytes = 300;
constexpr double kLongWaitSeconds = 5;

rowstore::RowStore& rows_of(database::Database& database) {
  return static_cast<rowstore::RowStore&>(database.rows());
}

double seconds_of(std::int64_t ns) { return static_cast<double>(std::max<std::int64_t>(ns, 0)) * 1e-9; }

// Three digits behind the point are enough, and keep the answer short.
double rounded(double number) { return static_cast<double>(static_cast<std::int64_t>(number * 1000)) / 1000; }

RecentActivity::Counts counts_of(Storage& storage) {
  const Metrics& all = metrics();
  return {.statements = all.statements_total.value(),
          .commits = all.commits_total.value(),
          .errors = all.statement_errors_total.value(),
          .disk_full = storage.group().stream().metrics().refused_disk_full,
          .room_refused = all.room_refused_total.value(),
          .checkpoint_failures = all.checkpoint_failures_total.value()};
}

RecentActivity::Latencies latencies_now() {
  return {metrics().statement_seconds.counts(), metrics().commit_seconds.counts()};
}

std::string who_waits(std::size_t count) {
  return count == 1 ? std::string("1 session waits") : fmt::format("{} sessions wait", count);
}

void write_latency(JsonWriter& json, std::string_view name, const Latency::Counts& counts) {
  const std::uint64_t count = counts.count();
  json.key(name).begin_object().member("count", count);
  json.member("mean_ns", count == 0 ? 0 : counts.sum_ns / count);
  json.member("p50_ns", counts.quantile_ns(0.5));
  json.member("p99_ns", counts.quantile_ns(0.99));
  json.member("p999_ns", counts.quantile_ns(0.999));
  json.key("buckets").begin_array();
  for (std::size_t i = 0; i < Latency::kBuckets; ++i) {
    if (counts.buckets[i] == 0) continue;
    json.begin_array().value(Latency::end_of(i)).value(counts.buckets[i]).end_array();
  }
  json.end_array().end_object();
}

}  // namespace

struct NodeStatus::Moment {
  struct Lane {
    std::shared_ptr<database::Database> database;
    std::string name;
    database::WriterLane::Snapshot writers;
    std::vector<rowstore::RowStore::ReaderWait> readers;
    rowstore::RowStore::Numbers numbers;
  };
  std::int64_t wall_us = 0, steady_ns = 0;
  std::optional<std::string> unavailable;
  std::size_t connections = 0;
  std::uint64_t resident_bytes = 0;
  std::optional<std::uint64_t> disk_free;
  std::vector<Lane> databases;
};

NodeStatus::NodeStatus(Storage& storage, const Settings& settings, Disk& disk, std::string data_dir,
                       DetailsAccess access, std::function<std::size_t()> connections)
    : storage_(storage),
      disk_(disk),
      data_dir_(std::move(data_dir)),
      limits_{.connections = static_cast<std::uint64_t>(settings.max_connections()),
              .log_bytes =
                  static_cast<std::uint64_t>(std::max(settings.log_limit(), 4 * settings.segment_size())),
              .log_retain = static_cast<std::uint64_t>(settings.log_retain()),
              .segment = static_cast<std::uint64_t>(settings.segment_size()),
              .unacknowledged = static_cast<std::uint64_t>(settings.max_unacknowledged()),
              .readers = static_cast<std::uint64_t>(settings.reader_pool())},
      access_(std::move(access)),
      connections_(std::move(connections)),
      recent_(
          system_clock(), [&storage] { return counts_of(storage); }, latencies_now),
      started_us_(system_clock().wall_us()) {}

wire::http::Page NodeStatus::page(const wire::http::Request& request) const {
  const DetailsAccess::Verdict verdict = access_.judge(request);
  if (verdict == DetailsAccess::Verdict::kWrongKey) {
    return {401, wire::http::kPlain, "this is not the key in DATA/http.key of this node\n"};
  }
  std::uint64_t after = 0;
  if (const auto text = wire::http::query_value(request.target, "after")) {
    const auto [end, bad] = std::from_chars(text->data(), text->data() + text->size(), after);
    if (bad != std::errc() || end != text->data() + text->size()) {
      return {400, wire::http::kPlain, "after is the number of the newest sample that you have\n"};
    }
  }
  const bool details = verdict == DetailsAccess::Verdict::kShown;

  Moment now;
  now.wall_us = system_clock().wall_us();
  now.steady_ns = system_clock().steady_ns();
  if (const auto why = storage_.failure()) now.unavailable = why->what();
  now.connections = connections_();
  now.resident_bytes = resident_bytes();
  if (const auto free = disk_.free_bytes(data_dir_)) now.disk_free = *free;
  for (const auto& database : storage_.databases().all()) {
    auto& rows = rows_of(*database);
    now.databases.push_back(
        {database, database->name(), database->lane().snapshot(), rows.reader_waits(), rows.numbers()});
  }

  wire::http::Page page{200, wire::http::kJson, ""};
  JsonWriter json(page.body);
  json.begin_object();
  write_node(json, now);
  json.member("details", details ? "shown" : access_.mode() == DetailsAccess::Mode::kOff ? "off" : "key");
  json.key("attention").begin_array();
  for (const Attention& one : attention(now)) {
    json.begin_object().member("name", one.name).member("text", one.text).end_object();
  }
  json.end_array();
  write_activity(json, after);
  write_log(json);
  write_sessions(json, now, details);
  write_blocking(json, now);
  write_databases(json, now);
  json.end_object();
  page.body += '\n';
  return page;
}

void NodeStatus::write_node(JsonWriter& json, const Moment& now) const {
  json.member("version", kVersion).member("now_ms", now.wall_us / 1000);
  json.member("started_ms", started_us_ / 1000);
  json.key("health").begin_object().member("status", now.unavailable ? "unavailable" : "ok");
  if (now.unavailable) json.member("reason", *now.unavailable);
  json.end_object();
  json.key("memory").begin_object();
  json.member("resident_bytes", now.resident_bytes).member("limit_bytes", memory_limit()).end_object();
  json.key("disk").begin_object();
  if (now.disk_free) json.member("free_bytes", *now.disk_free);
  json.member("is_full", storage_.group().is_full()).end_object();
  const Metrics& all = metrics();
  json.key("totals").begin_object();
  json.member("statements", all.statements_total.value());
  json.member("statement_errors", all.statement_errors_total.value());
  json.member("slow_statements", all.slow_statements_total.value());
  json.member("commits", all.commits_total.value());
  json.member("rollbacks", all.rollbacks_total.value());
  json.member("connections", all.connections_total.value());
  json.member("connections_refused", all.connections_refused_total.value());
  json.member("received_bytes", all.received_bytes_total.value());
  json.member("sent_bytes", all.sent_bytes_total.value()).end_object();
}

void NodeStatus::write_activity(JsonWriter& json, std::uint64_t after) const {
  json.key("history").begin_object().member("newest", recent_.newest()).key("samples").begin_array();
  // Of a node that was started since, whoever asks has nothing.
  for (const auto& one : recent_.samples_after(after > recent_.newest() ? 0 : after)) {
    json.begin_array().value(one.wall_ms).value(rounded(one.statements));
    json.value(rounded(one.commits)).value(rounded(one.errors)).end_array();
  }
  json.end_array().end_object();
  const RecentActivity::Minute minute = recent_.minute();
  const RecentActivity::Latencies all = latencies_now();
  json.key("latency").begin_object();
  const auto write = [&](std::string_view name, const Latency::Counts& recent, const Latency::Counts& start) {
    json.key(name).begin_object();
    write_latency(json, "last_minute", recent);
    write_latency(json, "since_start", start);
    json.end_object();
  };
  json.member("last_minute_seconds", rounded(minute.seconds));
  write("statements", minute.latencies.statements, all.statements);
  write("commits", minute.latencies.commits, all.commits);
  json.end_object();
}

void NodeStatus::write_log(JsonWriter& json) const {
  raft::SingleNodeGroup& group = storage_.group();
  const aof::StreamMetrics& stream = group.stream().metrics();
  // In this order, so that no number is above one that it cannot exceed.
  const Lsn base = storage_.databases().oldest_base();
  const Lsn durable = group.durable();
  const Lsn committed = group.committed();
  const Lsn appended = group.appended();
  const aof::LogSegments segments = group.stream().segments(kMostSegments);
  json.key("log").begin_object();
  json.member("first", group.first().value).member("base", base.value);
  json.member("durable", durable.value).member("committed", std::max(durable, committed).value);
  json.member("appended", appended.value).member("timeline", group.timeline().value);
  json.member("retained_bytes", group.retained_bytes()).member("limit_bytes", limits_.log_bytes);
  json.member("retain_bytes", limits_.log_retain);
  json.member("unacknowledged_bytes", stream.unacknowledged_bytes.load());
  json.member("writes_in_flight", stream.in_flight.load());
  json.member("durable_write_p50_ns", stream.write_latency.quantile(0.5));
  json.member("durable_write_p99_ns", stream.write_latency.quantile(0.99));
  json.member("prepared_bytes", segments.prepared_bytes);
  json.member("older_segments", segments.older).member("older_bytes", segments.older_bytes);
  json.key("segments").begin_array();
  for (std::size_t i = 0; i < segments.newest.size(); ++i) {
    const auto& one = segments.newest[i];
    const bool last = i + 1 == segments.newest.size();
    // A start reads the records above the base.
    const bool needed = last || segments.newest[i + 1].first.value > base.value + 1;
    json.begin_object().member("number", one.number).member("first", one.first.value);
    json.member("bytes", one.bytes).member("used_bytes", one.used_bytes);
    json.member("role", one.active ? "active" : needed ? "needed" : "retained").end_object();
  }
  json.end_array().end_object();
}

void NodeStatus::write_sessions(JsonWriter& json, const Moment& now, bool details) const {
  const session::Node::Overview overview = storage_.node().overview(kMostSessions);
  json.key("sessions").begin_object().member("connections", now.connections);
  json.member("limit", limits_.connections).member("count", overview.sessions);
  json.key("states").begin_object();
  for (const auto& [state, count] : overview.states) json.member(state, count);
  json.end_object().key("rows").begin_array();
  for (const auto& row : overview.rows) {
    const auto since = [&](std::int64_t at) {
      return rounded(seconds_of((now.wall_us - kPostgresEpochUs - at) * 1000));
    };
    json.begin_object().member("pid", row.pid).member("database", row.database_name);
    json.member("state", row.state);
    json.member("seconds", since(row.state == "active" ? row.query_start : row.state_change));
    if (row.transaction_start != 0) json.member("transaction_seconds", since(row.transaction_start));
    // A client that has said nothing is the state's own word.
    if (row.wait.type != "Client") json.member("wait", row.wait.name);
    if (details) {
      json.member("user", row.user_name).member("application", row.application_name);
      json.member("client", row.client_address);
      json.member("statement", shown_text(row.query, kMostStatementBytes));
    }
    json.end_object();
  }
  json.end_array().end_object();
}

void NodeStatus::write_blocking(JsonWriter& json, const Moment& now) const {
  json.key("blocking").begin_array();
  const auto write_waiters = [&](const auto& waiting) {
    json.member("count", waiting.size()).key("waiting").begin_array();
    for (std::size_t i = 0; i < std::min(waiting.size(), kMostWaits); ++i) {
      json.begin_object().member("pid", waiting[i].session);
      json.member("seconds", rounded(seconds_of(now.steady_ns - waiting[i].since_ns))).end_object();
    }
    json.end_array();
  };
  for (const auto& lane : now.databases) {
    if (!lane.writers.waiters.empty()) {
      json.begin_object().member("lock", "writer_lane").member("database", lane.name);
      json.key("holders").begin_array();
      if (const auto& holder = lane.writers.holder) {
        json.begin_object().member("pid", holder->session).member("idle", holder->idle);
        json.member("seconds", rounded(seconds_of(now.steady_ns - holder->since_ns))).end_object();
      }
      json.end_array();
      write_waiters(lane.writers.waiters);
      json.end_object();
    }
    if (!lane.readers.empty()) {
      json.begin_object().member("lock", "reader_pool").member("database", lane.name);
      json.member("lent", lane.numbers.readers_lent).key("holders").begin_array().end_array();
      write_waiters(lane.readers);
      json.end_object();
    }
  }
  for (const auto& wait : storage_.node().advisory_locks().waits(kMostWaits)) {
    std::string name;
    for (const auto& [known, entry] : storage_.node().shared()->databases()) {
      if (entry.oid == wait.key.database) name = known;
    }
    json.begin_object().member("lock", "advisory").member("database", name);
    json.key("holders").begin_array();
    for (const auto holder : wait.holders) json.begin_object().member("pid", holder).end_object();
    json.end_array().member("count", 1).key("waiting").begin_array();
    json.begin_object().member("pid", wait.owner).end_object().end_array().end_object();
  }
  json.end_array();
}

void NodeStatus::write_databases(JsonWriter& json, const Moment& now) const {
  std::vector<const Moment::Lane*> largest;
  for (const auto& lane : now.databases) largest.push_back(&lane);
  std::ranges::stable_sort(largest, [](const Moment::Lane* a, const Moment::Lane* b) {
    return a->numbers.database_pages > b->numbers.database_pages;
  });
  json.key("databases").begin_object().member("count", largest.size());
  json.member("readers", limits_.readers).key("rows").begin_array();
  for (std::size_t i = 0; i < std::min(largest.size(), kMostDatabases); ++i) {
    const Moment::Lane& lane = *largest[i];
    json.begin_object().member("name", lane.name);
    json.member("bytes", lane.numbers.database_pages * kPageBytes);
    json.member("base", lane.numbers.base.value);
    json.member("newest", storage_.group().newest_of(lane.database->id()).value);
    json.member("unchecked_bytes", rows_of(*lane.database).unchecked_bytes());
    json.member("wal_bytes", lane.numbers.wal_bytes).member("commits", lane.numbers.commits);
    json.member("checkpoints", lane.numbers.checkpoints);
    json.member("readers_lent", lane.numbers.readers_lent);
    if (const auto& holder = lane.writers.holder) json.member("writer_pid", holder->session);
    json.end_object();
  }
  json.end_array().end_object();
}

std::vector<NodeStatus::Attention> NodeStatus::attention(const Moment& now) const {
  std::vector<Attention> out;
  const auto say = [&](std::string name, std::string text) {
    out.push_back({std::move(name), std::move(text)});
  };
  const auto mb = [](std::uint64_t bytes) { return bytes >> 20; };
  raft::SingleNodeGroup& group = storage_.group();
  const RecentActivity::Counts grown = recent_.grown();
  if (now.unavailable) say("cannot_write", "The node only reads: " + *now.unavailable);
  if (group.is_full() || grown.disk_full + grown.room_refused > 0) {
    say("disk_full",
        "The disk is or was full: writes were refused with 53100. They resume when space is freed.");
  } else if (now.disk_free && *now.disk_free < 4 * limits_.segment) {
    say("disk_low",
        fmt::format("Only {} MB are free on the disk of the data directory.", mb(*now.disk_free)));
  }
  if (grown.checkpoint_failures > 0) {
    say("checkpoints_fail",
        fmt::format(
            "Checkpoints have failed in the last five minutes ({}); the node's log says of which database and why.",
            grown.checkpoint_failures));
  }
  const std::uint64_t long_log = limits_.log_bytes + limits_.log_retain + 4 * limits_.segment;
  if (group.retained_bytes() > long_log) {
    say("log_long",
        fmt::format("The log takes {} MB, more than {} MB: the base of a database does not advance.",
                    mb(group.retained_bytes()), mb(long_log)));
  }
  if (group.stream().metrics().unacknowledged_bytes > limits_.unacknowledged) {
    say("commits_behind", "More commits wait for the disk than max_unacknowledged: writers wait.");
  }
  const auto longest = [&](const auto& waiting) {
    return waiting.empty() ? 0.0 : seconds_of(now.steady_ns - waiting.front().since_ns);
  };
  for (const auto& lane : now.databases) {
    if (longest(lane.writers.waiters) > kLongWaitSeconds) {
      const auto& holder = lane.writers.holder;
      say("writers_blocked",
          fmt::format("{} to write in database {}, the first for {:.0f} s{}.",
                      who_waits(lane.writers.waiters.size()), lane.name, longest(lane.writers.waiters),
                      holder ? fmt::format("; session {} holds the writer lane", holder->session) : ""));
    }
    if (longest(lane.readers) > kLongWaitSeconds) {
      say("readers_blocked",
          fmt::format("{} for one of the {} connections for reading of database {}, the first for {:.0f} s.",
                      who_waits(lane.readers.size()), limits_.readers, lane.name, longest(lane.readers)));
    }
  }
  const std::uint64_t memory = memory_limit();
  if (memory > 0 && now.resident_bytes > memory / 10 * 9) {
    say("memory_short",
        fmt::format("The node holds {} of {} MB (memory_limit): statements that grow end with "
                    "53200.",
                    mb(now.resident_bytes), mb(memory)));
  }
  if (now.connections * 10 > limits_.connections * 9) {
    say("connections_short", fmt::format("{} clients are connected, max_connections is {}.", now.connections,
                                         limits_.connections));
  }
  return out;
}

}  // namespace bop::server
