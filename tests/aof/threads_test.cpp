// Many threads on one stream and the system's disk. The thread sanitizer runs this.
#include <atomic>
#include <thread>

#include "aof/stream_fixture.hpp"
#include "aof/temporary_folder.hpp"
#include "base/disk.hpp"

namespace bop::aof::test {
namespace {

constexpr unsigned kProducers = 8;
constexpr std::uint64_t kEach = 150;

class Threads : public testing::TestWithParam<const char*> {};

TEST_P(Threads, ProducersReadersAndMaintenanceAtOnce) {
  TemporaryFolder folder;
  const Options options{
      .directory = folder.path + "/log", .segment_bytes = 256U << 10U, .write_bytes = 16U << 10U};
  auto disk = open_system_disk(GetParam());
  if (!disk.has_value()) GTEST_SKIP() << disk.error().what();
  std::array<std::array<std::uint64_t, kEach>, kProducers> lsns{};
  Lsn last;
  {
    auto stream = CommitStream::open(**disk, system_clock(), system_random(), options).value();
    std::atomic<std::uint64_t> told{0};
    std::atomic<bool> ordered{true};
    stream->subscribe([&](Lsn durable) {
      if (told.exchange(durable.value) >= durable.value) ordered = false;
    });
    std::atomic<bool> running{true};
    std::thread poller([&] {
      while (running) {
        if ((*disk)->wait() == 0) std::this_thread::yield();
      }
    });
    std::thread maintenance([&] {
      while (running) {
        EXPECT_TRUE(ok(stream->maintain()));
        std::this_thread::yield();
      }
    });
    std::thread reading([&] {
      auto reader = stream->read_from(Lsn(1)).value();
      std::uint64_t expected = 1;
      while (expected <= kProducers * kEach) {
        auto record = reader->next();
        ASSERT_TRUE(ok(record));
        if (!record->has_value()) {
          std::this_thread::yield();
          continue;
        }
        ASSERT_EQ((*record)->lsn.value, expected++);
        ASSERT_LE((*record)->lsn, stream->durable());
      }
    });
    std::vector<std::thread> producers;
    for (unsigned p = 0; p < kProducers; ++p) {
      producers.emplace_back([&, p] {
        for (std::uint64_t i = 0; i < kEach; ++i) {
          const auto lsn = append_one(*stream, p * 1000 + i, 100 + i * 13, p);
          ASSERT_TRUE(ok(lsn));
          lsns[p][i] = lsn->value;
          if (i % 3 == 0) {
            ASSERT_TRUE(ok(stream->wait_durable(*lsn)));
          }
        }
      });
    }
    for (auto& producer : producers) producer.join();
    last = stream->appended();
    ASSERT_TRUE(ok(stream->wait_durable(last)));
    reading.join();
    running = false;
    maintenance.join();
    poller.join();
    EXPECT_TRUE(ordered);
    EXPECT_GE(stream->metrics().rotations.load(), 3U);
    ASSERT_TRUE(ok(stream->close()));
  }
  EXPECT_EQ(last.value, kProducers * kEach);
  auto stream = CommitStream::open(**disk, system_clock(), system_random(), options).value();
  EXPECT_TRUE(stream->recovered().clean);
  const auto copies = read_all(*stream, Lsn(1)).value();
  ASSERT_EQ(copies.size(), kProducers * kEach);
  for (unsigned p = 0; p < kProducers; ++p) {
    for (std::uint64_t i = 0; i < kEach; ++i) {
      const Copy& copy = copies[lsns[p][i] - 1];
      ASSERT_EQ(copy.payload, payload_of(p * 1000 + i, 100 + i * 13));
      ASSERT_EQ(copy.database, DatabaseId(p));
    }
  }
}
#ifdef __SANITIZE_THREAD__
// The sanitizer does not see that io_uring hands a write from its submitter to whoever reaps it: the kernel
// orders them.
INSTANTIATE_TEST_SUITE_P(Disks, Threads, testing::Values("pwritev"));
#else
INSTANTIATE_TEST_SUITE_P(Disks, Threads, testing::Values("pwritev", "io_uring"));
#endif

}  // namespace
}  // namespace bop::aof::test
