// Measures the log as a library (bop/aof.hpp), one round a run; peers.py pairs the rounds with peers.
//
//   library_bench durable   --directory D --threads N --seconds S --value-bytes B
//   library_bench volatile  ...: 20 bursts of 16 MB that nobody waits for, and memcpy of the same values into
//                           a ring of that size, in turns; nanoseconds of each append
//   library_bench tail      ...: from the begin of an append until a reader that polls has the record
//   library_bench strategy  --strategy sync|async|batched --batch N ...: records a second that became durable
//   library_bench make      --segments N ...: a log of so many segments of 64 MiB, sparse but for the newest, open
//   library_bench open      ...: how long opening takes
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <bop/aof.hpp>

#include "aof/aof_impl.hpp"
#include "aof/block_buffer.hpp"
#include "aof/record.hpp"
#include "aof/stream_files.hpp"
#include "base/time.hpp"

namespace {

using Steady = std::chrono::steady_clock;
using namespace bop::aof;

constexpr std::uint64_t kSegmentBytes = 64U << 20U;

struct Settings {
  std::string directory;
  unsigned threads = 1;
  double seconds = 3;
  std::size_t value_bytes = 1024;
  std::string strategy = "sync";
  std::uint32_t batch = 100;
  std::uint64_t segments = 16;
};

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "library_bench: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T value_of(bop::Result<T> result) {
  if (!result.has_value()) stop(result.error().what());
  return std::move(*result);
}

std::int64_t ns_since(Steady::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Steady::now() - start).count();
}

double at(std::vector<std::int64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
  return static_cast<double>(sorted[std::min(sorted.size() - 1, index)]);
}

void print_ns(std::vector<std::int64_t> ns, const char* prefix = "") {
  std::ranges::sort(ns);
  std::printf(" %sp50_ns=%.0f %sp99_ns=%.0f %sp999_ns=%.0f %sp9999_ns=%.0f", prefix, at(ns, 0.5), prefix,
              at(ns, 0.99), prefix, at(ns, 0.999), prefix, at(ns, 0.9999));
}

std::vector<std::byte> random_value(std::size_t bytes) {
  std::vector<std::byte> value(bytes);
  bop::system_random().fill(value);
  return value;
}

int durable(const Settings& settings) {
  auto log = value_of(Aof::open({.directory = settings.directory}));
  std::vector<std::vector<std::int64_t>> latencies(settings.threads);
  std::vector<std::thread> producers;
  const auto start = Steady::now();
  const auto most = static_cast<std::int64_t>(settings.seconds * 1e9);
  for (auto& mine : latencies) {
    producers.emplace_back([&] {
      const auto value = random_value(settings.value_bytes);
      for (std::int64_t now = 0; now < most;) {
        value_of(log->append_durable(value));
        const std::int64_t after = ns_since(start);
        mine.push_back(after - now);
        now = after;
      }
    });
  }
  for (auto& producer : producers) producer.join();
  const double elapsed = static_cast<double>(ns_since(start)) * 1e-9;
  std::vector<std::int64_t> all;
  for (const auto& some : latencies) all.insert(all.end(), some.begin(), some.end());
  const auto metrics = log->metrics();
  std::printf("ops_per_s=%.0f writes=%lu records_per_write_p50=%lu",
              static_cast<double>(all.size()) / elapsed, metrics.flush.total_flushes,
              metrics.flush.records_per_flush.p50);
  print_ns(std::move(all));
  std::printf("\n");
  return 0;
}

int volatile_appends(const Settings& settings) {
  constexpr std::size_t kBurst = 16U << 20U;
  constexpr std::uint64_t kBursts = 20;
  auto log = value_of(Aof::open({.directory = settings.directory,
                                 .segment_size = 1U << 30U,  // no segment is prepared in between
                                 .flush_strategy = FlushStrategy::kBatched,
                                 .batch_size = 1'000'000,
                                 .max_unacknowledged = 256U << 20U}));
  const auto value = random_value(settings.value_bytes);
  const std::size_t each = kBurst / settings.value_bytes;
  std::vector<std::byte> ring(each * settings.value_bytes);
  std::memset(ring.data(), 1, ring.size());
  std::vector<std::int64_t> latencies;
  double appended_ns = 0;
  double copied_ns = 0;
  std::uint64_t bursts = 0;
  while (bursts < kBursts) {
    const auto copying = Steady::now();
    for (std::size_t i = 0; i < each; ++i) {
      std::memcpy(ring.data() + i * value.size(), value.data(), value.size());
      asm volatile("" ::"r"(ring.data()) : "memory");
    }
    copied_ns += static_cast<double>(ns_since(copying));
    // Throughput without the clock in between, then latencies with it.
    const auto burst = Steady::now();
    for (std::size_t i = 0; i < each; ++i) value_of(log->append(value));
    appended_ns += static_cast<double>(ns_since(burst));
    if (auto flushed = log->flush(); !flushed.has_value()) stop(flushed.error().what());
    for (std::size_t i = 0; i < each; ++i) {
      const auto before = Steady::now();
      value_of(log->append(value));
      latencies.push_back(ns_since(before));
    }
    if (auto flushed = log->flush(); !flushed.has_value()) stop(flushed.error().what());
    ++bursts;
  }
  const double bytes = static_cast<double>(bursts * each * settings.value_bytes);
  std::printf("append_mb_per_s=%.0f memcpy_mb_per_s=%.0f", bytes * 1e3 / appended_ns,
              bytes * 1e3 / copied_ns);
  print_ns(std::move(latencies));
  std::printf("\n");
  return 0;
}

int tail(const Settings& settings) {
  auto log = value_of(Aof::open(
      {.directory = settings.directory, .flush_strategy = FlushStrategy::kPeriodic, .interval_ms = 100}));
  auto reader = value_of(log->reader({.tail = AofReadOptions::Tail::kVolatile}));
  std::vector<std::int64_t> latencies;
  std::atomic<bool> running{true};
  const auto start = Steady::now();
  std::atomic<std::int64_t> seen{0};
  std::thread reading([&] {
    while (running) {
      const auto record = value_of(reader->next());
      if (!record.has_value()) continue;
      const std::int64_t now = ns_since(start);
      std::int64_t sent = 0;
      std::memcpy(&sent, record->payload.data(), sizeof sent);
      latencies.push_back(now - sent);
      seen.fetch_add(1, std::memory_order_release);
    }
  });
  auto value = random_value(std::max<std::size_t>(settings.value_bytes, 8));
  std::int64_t sent = 0;
  while (ns_since(start) < static_cast<std::int64_t>(settings.seconds * 1e9)) {
    const std::int64_t now = ns_since(start);
    std::memcpy(value.data(), &now, sizeof now);
    value_of(log->append(value));
    ++sent;
    while (seen.load(std::memory_order_acquire) < sent) {
    }
  }
  running = false;
  reading.join();
  std::printf("records=%zu", latencies.size());
  print_ns(std::move(latencies));
  std::printf("\n");
  return 0;
}

int strategy(const Settings& settings) {
  const bool sync = settings.strategy == "sync";
  auto log = value_of(Aof::open({.directory = settings.directory,
                                 .flush_strategy = sync                             ? FlushStrategy::kSync
                                                   : settings.strategy == "batched" ? FlushStrategy::kBatched
                                                                                    : FlushStrategy::kAsync,
                                 .batch_size = settings.batch,
                                 .retention_bytes = 512U << 20U}));
  std::atomic<std::uint64_t> records{0};
  std::vector<std::thread> producers;
  const auto start = Steady::now();
  for (unsigned t = 0; t < settings.threads; ++t) {
    producers.emplace_back([&] {
      const auto value = random_value(settings.value_bytes);
      std::uint64_t mine = 0;
      while (ns_since(start) < static_cast<std::int64_t>(settings.seconds * 1e9)) {
        auto id = sync ? log->append_durable(value) : log->append(value);
        if (id.has_value()) {
          ++mine;
        } else if (backpressure_of(id.error()) == BackpressureKind::kWriteQueue) {
          static_cast<void>(log->wait_for_room(std::chrono::seconds(10)));
        } else {
          stop(id.error().what());
        }
      }
      records += mine;
    });
  }
  for (auto& producer : producers) producer.join();
  if (auto flushed = log->flush(); !flushed.has_value()) stop(flushed.error().what());
  const double elapsed = static_cast<double>(ns_since(start)) * 1e-9;
  std::printf("ops_per_s=%.0f mb_per_s=%.0f\n", static_cast<double>(records) / elapsed,
              static_cast<double>(records * settings.value_bytes) / elapsed * 1e-6);
  return 0;
}

// A segment that holds its header, one record, and holes.
RecordLink write_sparse(bop::Disk& disk, const std::string& directory, SegmentHeader header,
                        const RecordLink& last) {
  auto file = value_of(disk.open(directory + "/" + segment_name(header.number), bop::OpenMode::kCreate));
  if (!file->truncate(header.bytes).has_value()) stop("truncate");
  BlockBuffer blocks(2 * bop::kDiskBlockBytes);
  std::memset(blocks.data(), 0, blocks.capacity());
  encode_segment_header(std::span(blocks.data(), bop::kDiskBlockBytes), header);
  std::uint64_t offset = bop::kDiskBlockBytes;
  const auto put = [&](RecordView view, std::span<const std::byte> payload) {
    view.timeline = header.timeline;
    view.term = bop::Term(1);
    const std::uint64_t bytes = record_bytes(payload.size());
    const std::uint64_t crc = encode_record(std::span(blocks.data() + offset, bytes),
                                            header.record_key() + offset, view, std::span(&payload, 1));
    offset += bytes;
    return crc;
  };
  DatabaseHeads heads;
  if (last.index.value != 0) heads[kLibraryRecords] = {last.index, bop::Term(0), last.checksum};
  put({.lsn = last.index, .kind = RecordKind::kHeads, .previous = last}, encode_heads(heads));
  const bop::Lsn lsn = last.index.next();
  const RecordLink before{last.index, bop::Term(0), last.checksum};
  const std::uint64_t crc = put({.lsn = lsn,
                                 .database = kLibraryRecords,
                                 .kind = RecordKind::kAppend,
                                 .previous = last,
                                 .database_previous = before},
                                std::as_bytes(std::span("one record")));
  std::vector<std::byte> filler(2 * bop::kDiskBlockBytes - offset - kRecordOverhead);
  encode_filler(filler, {.watermark = lsn});
  const RecordLink link{lsn, bop::Term(1), crc};
  put({.lsn = lsn, .kind = RecordKind::kFiller, .previous = link}, filler);
  if (!file->write_at(bop::ByteOffset(0), std::span(blocks.data(), blocks.capacity())).has_value())
    stop("write");
  return link;
}

// A log of many segments whose process was killed while it filled the newest.
int make(const Settings& settings) {
  auto disk = value_of(bop::open_system_disk("auto"));
  if (!disk->create_directories(settings.directory).has_value()) stop("cannot make the directory");
  StreamIdentity identity{};
  bop::system_random().fill(std::as_writable_bytes(std::span(identity)));
  RecordLink last;
  for (std::uint64_t number = 1; number < settings.segments; ++number) {
    last = write_sparse(*disk, settings.directory,
                        {.timeline = bop::Timeline(1),
                         .identity = identity,
                         .number = number,
                         .bytes = kSegmentBytes,
                         .seed = bop::system_random().u64(),
                         .base = last.index.next(),
                         .previous = last,
                         .previous_number = number - 1},
                        last);
  }
  auto log = value_of(Aof::open({.directory = settings.directory, .pre_allocate_enabled = false}));
  const auto value = random_value(settings.value_bytes);
  const std::uint64_t records = kSegmentBytes / 10 * 9 / record_bytes(value.size());
  for (std::uint64_t i = 0; i < records; ++i) value_of(log->append(value));
  if (auto flushed = log->flush(); !flushed.has_value()) stop(flushed.error().what());
  std::_Exit(0);
}

int open_log(const Settings& settings) {
  const auto start = Steady::now();
  auto log = value_of(Aof::open({.directory = settings.directory}));
  const double ms = static_cast<double>(ns_since(start)) * 1e-6;
  std::printf("open_ms=%.1f clean=%d segments=%lu\n", ms, log->recovery().clean ? 1 : 0,
              log->metrics().segments);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The log as a library on this disk."};
  Settings settings;
  app.require_subcommand(1);
  const std::pair<const char*, int (*)(const Settings&)> commands[] = {
      {"durable", durable}, {"volatile", volatile_appends},
      {"tail", tail},       {"strategy", strategy},
      {"make", make},       {"open", open_log}};
  for (const auto& [name, run] : commands) {
    auto* command = app.add_subcommand(name);
    command->add_option("--directory", settings.directory)->required();
    command->add_option("--threads", settings.threads)->check(CLI::Range(1U, 1024U));
    command->add_option("--seconds", settings.seconds);
    command->add_option("--value-bytes", settings.value_bytes);
    command->add_option("--strategy", settings.strategy);
    command->add_option("--batch", settings.batch);
    command->add_option("--segments", settings.segments);
  }
  CLI11_PARSE(app, argc, argv);
  for (const auto& [name, run] : commands) {
    if (app.got_subcommand(name)) return run(settings);
  }
  return 1;
}
