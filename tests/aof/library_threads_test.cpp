// Many threads on one log of the library. The thread sanitizer runs this.
#include <bop/aof.hpp>

#include <atomic>
#include <chrono>
#include <thread>

#include "aof/stream_fixture.hpp"
#include "aof/temporary_folder.hpp"

namespace bop::aof::test {
namespace {

using namespace std::chrono_literals;

// Follows the log until `count` records were seen, and checks that none is missing or damaged.
void follow(Aof& log, AofReadOptions::Tail tail, std::uint64_t count) {
  auto reader = log.reader({.tail = tail}).value();
  RecordId before = 0;
  for (std::uint64_t seen = 0; seen < count;) {
    const auto record = reader->next_within(1s);
    ASSERT_TRUE(ok(record));
    if (!record->has_value()) continue;
    ASSERT_GT((*record)->id, before);
    before = (*record)->id;
    if (tail == AofReadOptions::Tail::kDurable) {
      ASSERT_LE(before, log.durable());
    }
    std::uint64_t tag = 0;
    std::memcpy(&tag, (*record)->payload.data(), sizeof tag);
    ASSERT_EQ((*record)->payload.size(), 8 + tag % 2000);
    ++seen;
  }
}

TEST(LibraryThreads, ProducersOfAllKindsReadersAndTrimsAtOnce) {
  TemporaryFolder folder;
  constexpr unsigned kProducers = 6;
  constexpr std::uint64_t kEach = 120;
  auto log = Aof::open({.directory = folder.path + "/log",
                        .segment_size = 256U << 10U,
                        .max_unacknowledged = 64U << 10U,
                        .write_size = 16U << 10U,
                        .max_producers = 16})
                 .value();
  std::atomic<std::uint64_t> acknowledged{0};
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const std::uint64_t tag = p * 1'000'003 + i * 97;
        std::vector<std::byte> bytes(8 + tag % 2000);
        std::memcpy(bytes.data(), &tag, sizeof tag);
        for (;;) {
          Result<RecordId> id = 0;
          if (p % 3 == 0) {
            id = log->append_durable(bytes);
          } else if (p % 3 == 1) {
            id = log->append(p, i + 1, bytes);
          } else {
            log->append_async(bytes, [&](Result<RecordId> done) {
              if (done.has_value()) ++acknowledged;
            });
            id = log->appended();
          }
          if (id.has_value()) break;
          ASSERT_EQ(backpressure_of(id.error()), BackpressureKind::kWriteQueue) << id.error().what();
          static_cast<void>(log->wait_for_room(1s));
        }
      }
    });
  }
  std::atomic<bool> running{true};
  std::thread watching([&] {
    while (running) {
      const AofMetrics metrics = log->metrics();
      ASSERT_GE(metrics.flush.total_records_flushed + metrics.flush.pending_records,
                metrics.flush.records_per_flush.count);
      if (metrics.segments > 0 && log->durable() > 0) {
        const auto record = log->read(log->durable());
        ASSERT_TRUE(record.has_value() || record.error().code() == ErrorCode::kInvalidArgument);
      }
      std::this_thread::yield();
    }
  });
  // Of the asynchronous ones some may be refused; the others are all there.
  constexpr std::uint64_t kAtLeast = kProducers / 3 * 2 * kEach;
  std::thread durable([&] { follow(*log, AofReadOptions::Tail::kDurable, kAtLeast); });
  std::thread appended([&] { follow(*log, AofReadOptions::Tail::kVolatile, kAtLeast); });
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(ok(log->flush()));
  durable.join();
  appended.join();
  running = false;
  watching.join();
  EXPECT_TRUE(ok(log->trim(log->durable())));
  const AofMetrics metrics = log->metrics();
  EXPECT_GE(metrics.total_appends, kAtLeast);
  ASSERT_TRUE(ok(log->close()));
  EXPECT_EQ(metrics.total_appends, kAtLeast + acknowledged);
}

}  // namespace
}  // namespace bop::aof::test
