// A journal of events: appends, follows, survives being killed.
//
//   events run DIR COUNT      appends COUNT events, each durable before the next, while a reader follows
//   events crash DIR COUNT    the same, and is then killed with more events on their way
//   events recover DIR        opens what is there, checks it, shows the newest
//
// Events are numbered. An event whose acknowledgement was never heard is sent again with its number; the log
// stores it once. "acknowledged N" is printed when event N is on the disk.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <bop/aof.hpp>

namespace {

using bop::aof::Aof;
using bop::aof::AofReadOptions;

constexpr std::uint64_t kProducer = 1;

[[noreturn]] void stop(const bop::Error& error) {
  std::fprintf(stderr, "events: %s\n", error.what().c_str());
  std::exit(1);
}

template <class T>
T value_of(bop::Result<T> result) {
  if (!result.has_value()) stop(result.error());
  return std::move(*result);
}

std::string event_of(std::uint64_t number) { return "event " + std::to_string(number); }

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::unique_ptr<Aof> open(const std::string& directory) {
  return value_of(Aof::open({.directory = directory, .segment_size = 1U << 20U}));
}

// Counts the events that become durable, as they do.
class Follower {
 public:
  explicit Follower(Aof& log)
      : reader_(value_of(log.reader({.from_id = log.durable() + 1}))), thread_([this] { follow(); }) {}
  ~Follower() {
    running_ = false;
    thread_.join();
  }
  [[nodiscard]] std::uint64_t seen() const { return seen_; }

 private:
  void follow() {
    while (running_) {
      if (value_of(reader_->next_within(std::chrono::milliseconds(100))).has_value()) ++seen_;
    }
  }
  std::unique_ptr<bop::aof::AofReader> reader_;
  std::atomic<std::uint64_t> seen_{0};
  std::atomic<bool> running_{true};
  std::thread thread_;
};

std::uint64_t append(Aof& log, std::uint64_t count) {
  std::uint64_t number = log.newest_sequence(kProducer).value_or(0);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string event = event_of(++number);
    value_of(log.append_durable(kProducer, number, std::as_bytes(std::span(event))));
    std::printf("acknowledged %lu\n", number);
    std::fflush(stdout);
  }
  return number;
}

int run(const std::string& directory, std::uint64_t count) {
  auto log = open(directory);
  {
    Follower follower(*log);
    append(*log, count);
    while (follower.seen() < count) std::this_thread::yield();
    std::printf("followed %lu\n", follower.seen());
  }
  const auto latency = log->metrics().flush.flush_latency_ns;
  std::printf("flush p50 %.0f us, p99 %.0f us\n", static_cast<double>(latency.p50) / 1000,
              static_cast<double>(latency.p99) / 1000);
  if (auto closed = log->close(); !closed.has_value()) stop(closed.error());
  return 0;
}

[[noreturn]] void crash(const std::string& directory, std::uint64_t count) {
  auto log = open(directory);
  std::uint64_t number = append(*log, count);
  for (int i = 0; i < 100; ++i) {
    const std::string event = event_of(++number);
    value_of(log->append(kProducer, number, std::as_bytes(std::span(event))));
  }
  ::raise(SIGKILL);
  std::abort();
}

int recover(const std::string& directory) {
  auto log = open(directory);
  std::printf("%s\n", log->recovery().verdict.c_str());
  auto reader = value_of(log->reader());
  std::uint64_t number = 0;
  while (const auto record = value_of(reader->next())) {
    ++number;
    if (record->sequence != number || text_of(record->payload) != event_of(number)) {
      std::fprintf(stderr, "events: event %lu is not where it belongs\n", number);
      return 1;
    }
  }
  std::printf("recovered %lu\n", number);
  // The newest again, as one who has not heard its acknowledgement would.
  if (number != 0) {
    const std::string event = event_of(number);
    const auto before = log->appended();
    const auto id = value_of(log->append_durable(kProducer, number, std::as_bytes(std::span(event))));
    if (log->appended() != before) return 1;
    std::printf("event %lu is stored once, with id %lu\n", number, id);
  }
  auto newest = value_of(log->reader({.direction = AofReadOptions::Direction::kBackward}));
  for (int i = 0; i < 3; ++i) {
    const auto record = value_of(newest->next());
    if (!record.has_value()) break;
    std::printf("  %lu %.*s\n", record->id, static_cast<int>(record->payload.size()),
                text_of(record->payload).data());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "run" && argc == 4) return run(argv[2], std::strtoull(argv[3], nullptr, 10));
  if (command == "crash" && argc == 4) crash(argv[2], std::strtoull(argv[3], nullptr, 10));
  if (command == "recover" && argc == 3) return recover(argv[2]);
  std::fprintf(stderr, "usage: events run|crash DIR COUNT, or events recover DIR\n");
  return 2;
}
