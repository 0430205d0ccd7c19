// Measures the commit stream on the system's disk, one round a run; run.py pairs the rounds with RocksDB's
// and with the raw probe.
//
//   aof_bench append --directory D --threads N --seconds S [--value-bytes B] [--disk auto|io_uring|pwritev]
//                    [--compress] [--encrypt]
//   aof_bench probe  --directory D --seconds S [--value-bytes B]
//
// append: each of N producers appends a record and waits until it is durable, again and again. One producer
// drives the disk itself; several share a thread that does. probe: one thread overwrites a prewritten file by
// pwrite with O_DIRECT and O_DSYNC in blocks of 4096, the least that a durable record of that size can cost
// here.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <semaphore>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "aof/commit_stream.hpp"
#include "base/disk.hpp"
#include "base/turn.hpp"

namespace {

using Steady = std::chrono::steady_clock;

struct Settings {
  std::string directory;
  unsigned threads = 1;
  double seconds = 3;
  std::size_t value_bytes = 1024;
  std::string disk = "auto";
  std::size_t max_in_flight = 16;
  std::uint64_t segment_mib = 64;
  bool compress = false;
  bool encrypt = false;
};

void print_latencies(std::vector<std::uint32_t>& microseconds, double elapsed) {
  std::ranges::sort(microseconds);
  const auto at = [&](double share) {
    if (microseconds.empty()) return 0U;
    return microseconds[std::min(microseconds.size() - 1,
                                 static_cast<std::size_t>(share * static_cast<double>(microseconds.size())))];
  };
  std::printf("ops_per_s=%.0f p50_us=%u p99_us=%u p999_us=%u max_us=%u",  //
              static_cast<double>(microseconds.size()) / elapsed, at(0.5), at(0.99), at(0.999),
              microseconds.empty() ? 0U : microseconds.back());
}

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "aof_bench: %s\n", why.c_str());
  std::exit(1);
}

// Producers that wait, by LSN: records become durable in that order.
class Waiters {
 public:
  void wait(bop::aof::CommitStream& stream, bop::Lsn lsn, std::binary_semaphore& wake) {
    {
      std::scoped_lock lock(mutex_);
      if (stream.durable() >= lsn) return;
      waiting_.push_back({lsn, &wake});
    }
    wake.acquire();
  }
  void durable(bop::Lsn lsn) {
    std::scoped_lock lock(mutex_);
    std::erase_if(waiting_, [lsn](const Waiter& waiter) {
      if (waiter.lsn > lsn) return false;
      waiter.wake->release();
      return true;
    });
  }

 private:
  struct Waiter {
    bop::Lsn lsn;
    std::binary_semaphore* wake;
  };
  std::mutex mutex_;
  std::vector<Waiter> waiting_;
};

int run_append(const Settings& settings) {
  auto disk = bop::open_system_disk(settings.disk);
  if (!disk.has_value()) stop(disk.error().what());
  bop::aof::Options options{.directory = settings.directory,
                            .segment_bytes = settings.segment_mib << 20U,
                            .max_in_flight = settings.max_in_flight};
  options.codec.compress = settings.compress;
  if (settings.encrypt) {
    bop::aof::KeyEncryptionKeys by{.source = "bench", .keys = {}};
    by.keys.push_back(bop::aof::make_key_encryption_key(bop::aof::SecretKey(bop::system_random())));
    options.codec.by = std::make_shared<const bop::aof::KeyEncryptionKeys>(std::move(by));
  }
  auto opened =
      bop::aof::CommitStream::open(**disk, bop::system_clock(), bop::system_random(), std::move(options));
  if (!opened.has_value()) stop(opened.error().what());
  auto& stream = **opened;
  Waiters waiters;
  std::atomic<bool> polling{settings.threads > 1};
  std::atomic<bool> maintain{false};
  std::atomic<bool> running{true};
  if (polling) stream.subscribe([&](bop::Lsn lsn) { waiters.durable(lsn); });
  stream.on_maintenance([&] {
    maintain = true;
    maintain.notify_one();
  });
  std::thread maintenance([&] {
    for (;;) {
      maintain.wait(false);
      maintain = false;
      if (!running) return;
      if (auto done = stream.maintain(); !done.has_value()) stop(done.error().what());
    }
  });
  std::thread poller([&] {
    while (polling) {
      if ((*disk)->wait() == 0) std::this_thread::yield();
    }
  });

  std::vector<std::vector<std::uint32_t>> latencies(settings.threads);
  std::vector<std::thread> producers;
  const auto start = Steady::now();
  const auto end =
      start + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(settings.seconds));
  for (unsigned t = 0; t < settings.threads; ++t) {
    producers.emplace_back([&, t] {
      std::vector<std::byte> value(settings.value_bytes);
      bop::system_random().fill(value);
      const std::span<const std::byte> part(value);
      const bop::aof::RecordInput record{.database = bop::DatabaseId(1),
                                         .kind = bop::aof::RecordKind::kRowCommit,
                                         .payload = std::span(&part, 1)};
      std::binary_semaphore wake(0);
      for (auto now = Steady::now(); now < end;) {
        std::optional<bop::CallerTurn> turn;  // of one that submits and reaps itself
        if (!polling) turn.emplace();
        const auto lsn = stream.append(std::span(&record, 1));
        if (!lsn.has_value()) stop(lsn.error().what());
        if (turn) turn->end();
        if (polling) {
          waiters.wait(stream, *lsn, wake);
        } else if (auto done = stream.wait_durable(*lsn); !done.has_value()) {
          stop(done.error().what());
        }
        const auto after = Steady::now();
        latencies[t].push_back(static_cast<std::uint32_t>((after - now) / std::chrono::microseconds(1)));
        now = after;
      }
    });
  }
  for (auto& producer : producers) producer.join();
  const double elapsed = std::chrono::duration<double>(Steady::now() - start).count();
  polling = false;
  if (auto lsn = stream.append(std::array{bop::aof::RecordInput{}}); lsn.has_value()) {
    static_cast<void>(stream.wait_durable(*lsn));  // wakes the poller
  }
  poller.join();
  running = false;
  maintain = true;
  maintain.notify_one();
  maintenance.join();
  std::vector<std::uint32_t> all;
  for (const auto& some : latencies) all.insert(all.end(), some.begin(), some.end());
  print_latencies(all, elapsed);
  const auto& metrics = stream.metrics();
  std::printf(" writes=%lu records=%lu write_bytes=%lu most_in_flight=%lu rotations=%lu late=%lu disk=%s",
              metrics.writes.load(), metrics.records.load(), metrics.write_bytes.load(),
              metrics.max_in_flight.load(), metrics.rotations.load(), metrics.late_preparations.load(),
              std::string((*disk)->kind()).c_str());
  std::printf(" write_p50_us=%.0f commit_p50_us=%.0f\n",
              static_cast<double>(metrics.write_latency.quantile(0.5)) / 1000,
              static_cast<double>(metrics.commit_latency.quantile(0.5)) / 1000);
  if (auto closed = stream.close(); !closed.has_value()) stop(closed.error().what());
  return 0;
}

int run_probe(const Settings& settings) {
  constexpr std::size_t kBlock = 4096;
  constexpr std::uint64_t kFileBytes = 64U << 20U;
  const std::size_t size = (settings.value_bytes + kBlock - 1) / kBlock * kBlock;
  const std::string path = settings.directory + "/probe";
  {
    const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) stop(path + ": " + std::strerror(errno));
    const std::vector<char> zeros(1U << 20U);
    for (std::uint64_t at = 0; at < kFileBytes; at += zeros.size()) {
      if (::pwrite(fd, zeros.data(), zeros.size(), static_cast<off_t>(at)) !=
          static_cast<ssize_t>(zeros.size())) {
        stop(path + ": " + std::strerror(errno));
      }
    }
    if (::fsync(fd) != 0) stop(path + ": " + std::strerror(errno));
    ::close(fd);
  }
  const int fd = ::open(path.c_str(), O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
  if (fd < 0) stop(path + ": " + std::strerror(errno));
  auto* buffer = static_cast<std::byte*>(std::aligned_alloc(kBlock, size));
  std::memset(buffer, 7, size);
  std::vector<std::uint32_t> latencies;
  const auto start = Steady::now();
  const auto end =
      start + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(settings.seconds));
  std::uint64_t at = 0;
  for (auto now = start; now < end;) {
    if (::pwrite(fd, buffer, size, static_cast<off_t>(at)) != static_cast<ssize_t>(size)) {
      stop(path + ": " + std::strerror(errno));
    }
    at = (at + size) % kFileBytes;
    const auto after = Steady::now();
    latencies.push_back(static_cast<std::uint32_t>((after - now) / std::chrono::microseconds(1)));
    now = after;
  }
  print_latencies(latencies, std::chrono::duration<double>(Steady::now() - start).count());
  std::printf("\n");
  ::close(fd);
  ::unlink(path.c_str());
  std::free(buffer);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The commit stream on this disk."};
  Settings settings;
  app.require_subcommand(1);
  auto* append = app.add_subcommand("append", "producers that append and wait until it is durable");
  auto* probe = app.add_subcommand("probe", "raw O_DIRECT|O_DSYNC writes");
  for (auto* command : {append, probe}) {
    command->add_option("--directory", settings.directory)->required();
    command->add_option("--seconds", settings.seconds);
    command->add_option("--value-bytes", settings.value_bytes);
  }
  append->add_option("--threads", settings.threads)->check(CLI::Range(1U, 1024U));
  append->add_option("--disk", settings.disk);
  append->add_option("--max-in-flight", settings.max_in_flight);
  append->add_option("--segment-mib", settings.segment_mib);
  append->add_flag("--compress", settings.compress);
  append->add_flag("--encrypt", settings.encrypt);
  CLI11_PARSE(app, argc, argv);
  return append->parsed() ? run_append(settings) : run_probe(settings);
}
