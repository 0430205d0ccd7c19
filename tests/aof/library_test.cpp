// The log as a library (bop/aof.hpp), on the system's disk.
#include <bop/aof.hpp>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "aof/stream_fixture.hpp"
#include "aof/temporary_folder.hpp"

namespace bop::aof::test {
namespace {

using namespace std::chrono_literals;

AofConfig small(const TemporaryFolder& folder) {
  return {.directory = folder.path + "/log",
          .segment_size = 256U << 10U,
          .write_size = 16U << 10U,
          .max_producers = 16};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> drain(AofReader& reader) {
  std::vector<std::string> texts;
  for (;;) {
    auto record = reader.next();
    EXPECT_TRUE(ok(record));
    if (!record.has_value() || !record->has_value()) return texts;
    texts.push_back(text_of((*record)->payload));
  }
}

// Until `condition` holds; false after 20 s.
bool comes(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

TEST(Library, WhatWasAppendedIsReadBackInOrderOverRestarts) {
  TemporaryFolder folder;
  std::vector<std::string> expected;
  for (int life = 0; life < 3; ++life) {
    auto log = Aof::open(small(folder));
    ASSERT_TRUE(ok(log));
    EXPECT_EQ((*log)->recovery().created, life == 0);
    EXPECT_TRUE((*log)->recovery().clean);
    RecordId before = (*log)->recovery().last;
    for (int i = 0; i < 200; ++i) {
      expected.push_back(std::string(static_cast<std::size_t>(i) * 13, 'x') +
                         std::to_string(life * 1000 + i));
      const auto id = (*log)->append(expected.back());
      ASSERT_TRUE(ok(id));
      EXPECT_GT(*id, before);
      before = *id;
    }
    ASSERT_TRUE(ok((*log)->flush()));
    EXPECT_EQ((*log)->durable(), before);
    EXPECT_EQ(drain(**(*log)->reader()), expected);
    if (life == 1) {
      ASSERT_TRUE(ok((*log)->close()));
    }
  }
}

TEST(Library, ADurableAppendIsDurableWhenItReturns) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.flush_strategy = FlushStrategy::kBatched;
  config.batch_size = 1000;
  auto log = Aof::open(config).value();
  ASSERT_TRUE(ok(log->append("waits for others")));
  const auto id = log->append_durable("waits for the disk");
  ASSERT_TRUE(ok(id));
  EXPECT_GE(log->durable(), *id);
}

TEST(Library, CallbacksAndFuturesCompleteInOrderWhenDurable) {
  TemporaryFolder folder;
  auto log = Aof::open(small(folder)).value();
  std::vector<RecordId> completed;
  std::atomic<unsigned> count{0};
  constexpr unsigned kRecords = 500;
  for (unsigned i = 0; i < kRecords; ++i) {
    log->append_async(std::as_bytes(std::span("record")), [&](Result<RecordId> id) {
      ASSERT_TRUE(ok(id));
      EXPECT_GE(log->durable(), *id);
      completed.push_back(*id);
      EXPECT_EQ(log->flush().error().code(), ErrorCode::kObjectInUse);
      ++count;
    });
    if (i == 0) {
      ASSERT_TRUE(comes([&] { return count == 1; }));
      completed.clear();
    }
  }
  auto future = log->append_future(std::as_bytes(std::span("last")));
  const auto last = future.get();
  ASSERT_TRUE(ok(last));
  ASSERT_TRUE(comes([&] { return count == kRecords; }));
  EXPECT_TRUE(std::ranges::is_sorted(completed));
  EXPECT_LT(completed.back(), *last);
}

TEST(Library, ABatchedRecordIsWrittenOnceEnoughHaveGathered) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.flush_strategy = FlushStrategy::kBatched;
  config.batch_size = 10;
  auto log = Aof::open(config).value();
  RecordId last = 0;
  for (int i = 0; i < 9; ++i) last = log->append("a").value();
  EXPECT_EQ(log->metrics().flush.total_flushes, 0u);
  EXPECT_LT(log->durable(), last);
  last = log->append("the tenth").value();
  EXPECT_TRUE(comes([&] { return log->durable() >= last; }));
  EXPECT_EQ(log->metrics().flush.batched_flushes, 1u);
  last = log->append("alone").value();
  ASSERT_TRUE(ok(log->flush()));
  EXPECT_EQ(log->durable(), last);
  EXPECT_EQ(log->metrics().flush.forced_flushes, 1u);
}

TEST(Library, APeriodicRecordIsWrittenAfterItsTime) {
  for (const auto strategy : {FlushStrategy::kPeriodic, FlushStrategy::kBatchedOrPeriodic}) {
    TemporaryFolder folder;
    auto config = small(folder);
    config.flush_strategy = strategy;
    config.batch_size = 1000;
    config.interval_ms = 50;
    auto log = Aof::open(config).value();
    const auto start = std::chrono::steady_clock::now();
    const RecordId id = log->append("patient").value();
    ASSERT_TRUE(comes([&] { return log->durable() >= id; }));
    EXPECT_GE(std::chrono::steady_clock::now() - start, 50ms);
    EXPECT_EQ(log->metrics().flush.periodic_flushes, 1u);
  }
}

TEST(Library, WhatWaitsForItsWriteIsWrittenAtTheEnd) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.flush_strategy = FlushStrategy::kBatched;
  config.batch_size = 1000;
  {
    auto log = Aof::open(config).value();
    ASSERT_TRUE(ok(log->append("not waited for")));
  }
  auto log = Aof::open(config).value();
  EXPECT_TRUE(log->recovery().clean);
  EXPECT_EQ(drain(*log->reader().value()), std::vector<std::string>{"not waited for"});
}

TEST(Library, AfterCloseAppendsAreRefusedAndReadsGoOn) {
  TemporaryFolder folder;
  auto log = Aof::open(small(folder)).value();
  const RecordId id = log->append("kept").value();
  unsigned called = 0;
  log->append_async({}, [&](Result<RecordId> result) {
    EXPECT_TRUE(ok(result));
    ++called;
  });
  ASSERT_TRUE(ok(log->close()));
  EXPECT_EQ(called, 1u);
  ASSERT_TRUE(ok(log->close()));
  EXPECT_EQ(log->append("late").error().code(), ErrorCode::kAdminShutdown);
  EXPECT_EQ(log->append_durable("late").error().code(), ErrorCode::kAdminShutdown);
  EXPECT_EQ(text_of(log->read(id).value().payload), "kept");
  auto reader = log->reader().value();
  EXPECT_TRUE(ok(Aof::open(small(folder))));  // the directory is free
  log.reset();
  EXPECT_EQ(drain(*reader).size(), 2u);
  EXPECT_FALSE(reader->next_within(10s).value().has_value());
}

TEST(Library, ARecordIsReadByItsId) {
  TemporaryFolder folder;
  auto log = Aof::open(small(folder)).value();
  std::vector<RecordId> ids;
  for (int i = 0; i < 2000; ++i)
    ids.push_back(log->append(std::to_string(i) + std::string(300, '.')).value());
  EXPECT_EQ(log->read(log->appended() + 1).error().code(), ErrorCode::kNotInPrerequisiteState);
  ASSERT_TRUE(ok(log->flush()));
  ASSERT_GT(log->metrics().segments, 2u);
  SimRandom random(3);
  for (int i = 0; i < 200; ++i) {
    const auto at = random.below(ids.size());
    const auto record = log->read(ids[at]);
    ASSERT_TRUE(ok(record));
    EXPECT_EQ(text_of(record->payload), std::to_string(at) + std::string(300, '.'));
  }
  const auto hits = log->metrics().cache_hits;
  for (std::size_t at = 100; at < 150; ++at) ASSERT_EQ(log->read(ids[at]).value().id, ids[at]);
  EXPECT_GE(log->metrics().cache_hits, hits + 49);
  ASSERT_TRUE(ok(log->trim(ids[1500])));
  EXPECT_GT(log->first(), ids[0]);
  EXPECT_EQ(log->read(ids[0]).error().code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_TRUE(ok(log->read(ids[1500])));
}

TEST(Library, ABatchIsAppendedTogether) {
  TemporaryFolder folder;
  auto log = Aof::open(small(folder)).value();
  const std::array<std::span<const std::byte>, 3> batch{
      std::as_bytes(std::span("a", 1)), std::as_bytes(std::span("b", 1)), {}};
  const RecordId last = log->append_batch(batch).value();
  EXPECT_EQ(log->append_batch({}).error().code(), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(ok(log->flush()));
  auto reader = log->reader().value();
  for (std::uint32_t left = 3; left > 0; --left) {
    const auto record = reader->next().value();
    ASSERT_TRUE(record.has_value());
    EXPECT_EQ(record->batch_remaining, left - 1);
    EXPECT_EQ(record->id, last - left + 1);
  }
}

TEST(Library, ReadersGoFromAnIdOrATimeInBothDirections) {
  TemporaryFolder folder;
  auto log = Aof::open(small(folder)).value();
  std::vector<AofRecordCopy> records;
  for (int i = 0; i < 1500; ++i) {
    const auto id = log->append(std::to_string(i) + std::string(400, '-'));
    ASSERT_TRUE(ok(id));
    if (i % 100 == 0) {
      ASSERT_TRUE(ok(log->flush()));
    }
  }
  ASSERT_TRUE(ok(log->flush()));
  auto all = log->reader().value();
  while (auto record = all->next().value()) {
    records.push_back({.id = record->id, .timestamp_us = record->timestamp_us});
  }
  ASSERT_EQ(records.size(), 1500u);
  using Direction = AofReadOptions::Direction;
  const auto ids_from = [&](const AofReadOptions& options) {
    std::vector<RecordId> ids;
    auto reader = log->reader(options).value();
    while (auto record = reader->next().value()) ids.push_back(record->id);
    return ids;
  };
  SimRandom random(4);
  for (int i = 0; i < 20; ++i) {
    const auto& [id, time, producer, sequence, payload] = records[random.below(records.size())];
    std::vector<RecordId> behind;
    std::vector<RecordId> before;
    std::vector<RecordId> later;
    std::vector<RecordId> earlier;
    for (const auto& record : records) {
      if (record.id >= id) behind.push_back(record.id);
      if (record.id <= id) before.insert(before.begin(), record.id);
      if (record.timestamp_us >= time) later.push_back(record.id);
      if (record.timestamp_us <= time) earlier.insert(earlier.begin(), record.id);
    }
    EXPECT_EQ(ids_from({.from_id = id}), behind);
    EXPECT_EQ(ids_from({.from_id = id, .direction = Direction::kBackward}), before);
    EXPECT_EQ(ids_from({.from_time_us = time}), later);
    EXPECT_EQ(ids_from({.from_time_us = time, .direction = Direction::kBackward}), earlier);
  }
  EXPECT_EQ(ids_from({.direction = Direction::kBackward}).size(), records.size());
  EXPECT_TRUE(ids_from({.from_time_us = records.back().timestamp_us + 3'600'000'000}).empty());
  EXPECT_FALSE(log->reader({.from_id = 1, .from_time_us = 1}).has_value());
  EXPECT_FALSE(
      log->reader({.direction = Direction::kBackward, .tail = AofReadOptions::Tail::kVolatile}).has_value());
}

TEST(Library, VolatileReadersSeeWhatIsNotDurable) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.flush_strategy = FlushStrategy::kBatched;
  config.batch_size = 1000;
  auto log = Aof::open(config).value();
  auto durable = log->reader().value();
  auto appended = log->reader({.tail = AofReadOptions::Tail::kVolatile}).value();
  ASSERT_TRUE(ok(log->append("early")));
  EXPECT_EQ(drain(*appended), std::vector<std::string>{"early"});
  EXPECT_TRUE(drain(*durable).empty());
  EXPECT_FALSE(durable->next_within(1ms).value().has_value());
  ASSERT_TRUE(ok(log->flush()));
  EXPECT_EQ(drain(*durable), std::vector<std::string>{"early"});
}

TEST(Library, ARepeatedAppendOfAProducerIsNotStoredTwice) {
  TemporaryFolder folder;
  const auto bytes = std::as_bytes(std::span("once", 4));
  RecordId first = 0;
  {
    auto log = Aof::open(small(folder)).value();
    first = log->append_durable(5, 1, bytes).value();
    EXPECT_EQ(log->append(5, 1, bytes).value(), first);
    EXPECT_EQ(log->metrics().repeated_appends, 1u);
    EXPECT_EQ(log->append(0, 1, bytes).error().code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(log->append_durable(0, 1, bytes).error().code(), ErrorCode::kInvalidArgument);
  }
  auto log = Aof::open(small(folder)).value();
  EXPECT_EQ(log->newest_sequence(5), 1u);
  EXPECT_EQ(log->append_durable(5, 1, bytes).value(), first);
  EXPECT_GT(log->append_durable(5, 2, bytes).value(), first);
  EXPECT_EQ(drain(*log->reader().value()).size(), 2u);
  EXPECT_EQ(log->read(first).value().producer, 5u);
  EXPECT_EQ(log->read(first - 1).error().code(), ErrorCode::kInvalidArgument);  // the state of producers
}

TEST(Library, CompressedPayloadsAreSmallerAndReadTheSame) {
  TemporaryFolder folder;
  const std::string text(20'000, 'c');
  auto config = small(folder);
  config.enable_compression = true;
  RecordId id = 0;
  {
    auto log = Aof::open(config).value();
    for (int i = 0; i < 50; ++i) id = log->append(text).value();
    ASSERT_TRUE(ok(log->flush()));
    EXPECT_LT(log->metrics().flush.total_bytes_flushed, 50 * text.size() / 2);
    EXPECT_EQ(text_of(log->read(id).value().payload), text);
  }
  config.enable_compression = false;  // what is there is read as it is
  auto log = Aof::open(config).value();
  EXPECT_EQ(drain(*log->reader().value()), std::vector<std::string>(50, text));
  auto backward = log->reader({.direction = AofReadOptions::Direction::kBackward}).value();
  EXPECT_EQ(drain(*backward), std::vector<std::string>(50, text));
  auto appended = log->reader({.tail = AofReadOptions::Tail::kVolatile}).value();
  EXPECT_EQ(drain(*appended), std::vector<std::string>(50, text));
}

TEST(Library, EncryptedPayloadsAreReadWithTheirKeysOnly) {
  TemporaryFolder folder;
  const auto write_keys = [&](char digit) {
    std::ofstream(folder.path + "/keys") << std::string(64, digit) << "\n";
  };
  auto config = small(folder);
  config.enable_encryption = true;
  config.encryption_keys = folder.path + "/keys";
  EXPECT_FALSE(Aof::open(config).has_value());  // there is no such file
  write_keys('a');
  const std::string secret = "nobody may read this but with the key";
  RecordId id = 0;
  {
    auto log = Aof::open(config).value();
    id = log->append_durable(secret).value();
    EXPECT_EQ(text_of(log->read(id).value().payload), secret);
  }
  for (const auto& entry : std::filesystem::directory_iterator(config.directory)) {
    std::ifstream file(entry.path());
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    EXPECT_EQ(bytes.find(secret), std::string::npos) << entry.path();
  }
  EXPECT_EQ(text_of(Aof::open(config).value()->read(id).value().payload), secret);
  write_keys('b');
  EXPECT_FALSE(Aof::open(config).has_value());
}

TEST(Library, BackpressureIsToldAndEnds) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.flush_strategy = FlushStrategy::kBatched;
  config.batch_size = 1'000'000;
  config.write_size = 64U << 10U;
  config.max_unacknowledged = 8192;
  auto log = Aof::open(config).value();
  EXPECT_EQ(log->backpressure().kind, BackpressureKind::kNone);
  Result<RecordId> refused = 0;
  for (int i = 0; i < 100'000 && refused.has_value(); ++i) refused = log->append(std::string(500, 'p'));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(backpressure_of(refused.error()), BackpressureKind::kWriteQueue);
  EXPECT_GE(log->metrics().refused_appends, 1u);
  // The records that hold appends up are ones that nobody waits for: they are written all the same.
  ASSERT_TRUE(ok(log->wait_for_room(20s)));
  EXPECT_EQ(log->backpressure().kind, BackpressureKind::kNone);
  EXPECT_TRUE(ok(log->append("there is room")));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(ok(log->append_durable(std::string(500, 'p'))));
}

TEST(Library, TheOldestGoesBeyondTheSizeThatIsKept) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.retention_bytes = 3 * config.segment_size;
  auto log = Aof::open(config).value();
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(ok(log->append(std::string(700, 'r'))));
  }
  ASSERT_TRUE(ok(log->flush()));
  EXPECT_TRUE(comes([&] { return log->metrics().bytes <= *config.retention_bytes; }));
  EXPECT_GT(log->first(), 1u);
  EXPECT_GE(log->metrics().segments, 1u);
  EXPECT_EQ(drain(*log->reader().value()).back(), std::string(700, 'r'));
}

TEST(Library, WhatIsOlderThanItsTimeToLiveGoes) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.ttl_seconds = 1;
  auto log = Aof::open(config).value();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(ok(log->append(std::string(700, 't'))));
  }
  ASSERT_TRUE(ok(log->flush()));
  ASSERT_GE(log->metrics().segments, 2u);
  EXPECT_TRUE(comes([&] { return log->metrics().segments == 1; }));
}

TEST(Library, MetricsAddUp) {
  TemporaryFolder folder;
  auto log = Aof::open(small(folder)).value();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(ok(log->append_durable(std::string(1000, 'm'))));
  const AofMetrics metrics = log->metrics();
  EXPECT_EQ(metrics.total_appends, 50u);
  EXPECT_EQ(metrics.flush.total_records_flushed, 50u);
  EXPECT_EQ(metrics.flush.pending_records, 0u);
  EXPECT_EQ(metrics.flush.average_record_size, 1000u);
  EXPECT_EQ(metrics.flush.successful_flushes, 50u);
  EXPECT_EQ(metrics.flush.sync_flushes, 50u);
  EXPECT_EQ(metrics.flush.total_flushes, 50u);
  EXPECT_EQ(metrics.flush.flush_latency_ns.count, 50u);
  EXPECT_EQ(metrics.flush.records_per_flush.max, 2u);  // an upper bound of 1
  EXPECT_GE(metrics.flush.bytes_per_flush.p50, 4096u);
  EXPECT_GT(metrics.flush.flush_latency_ns.p50, 0u);
  EXPECT_LE(metrics.flush.flush_latency_ns.p50, metrics.flush.flush_latency_ns.p99);
  EXPECT_DOUBLE_EQ(metrics.flush.success_rate(), 1.0);
}

TEST(Library, ASecondProcessAndTheLogOfANodeAreRefused) {
  TemporaryFolder folder;
  {
    auto log = Aof::open(small(folder)).value();
    EXPECT_EQ(Aof::open(small(folder)).error().code(), ErrorCode::kLocked);
  }
  auto disk = open_system_disk("auto").value();
  const std::string directory = folder.path + "/node";
  {
    auto stream =
        CommitStream::open(*disk, system_clock(), system_random(), {.directory = directory}).value();
    ASSERT_TRUE(ok(append_one(*stream, 1, 10)));
    ASSERT_TRUE(ok(stream->close()));
  }
  auto config = small(folder);
  config.directory = directory;
  EXPECT_EQ(Aof::open(config).error().code(), ErrorCode::kConfigInvalid);
}

TEST(LibraryConfig, EveryOptionIsCheckedAndNamed) {
  struct Case {
    const char* option;
    void (*change)(AofConfig&);
    ErrorCode code = ErrorCode::kConfigInvalid;
  };
  constexpr auto kLater = ErrorCode::kNotImplemented;
  const Case cases[] = {
      {"directory", [](AofConfig& c) { c.directory.clear(); }},
      {"segment_size", [](AofConfig& c) { c.segment_size = 4096; }},
      {"segment_size", [](AofConfig& c) { c.segment_size += 1; }},
      {"segment_size", [](AofConfig& c) { c.segment_size = 1ULL << 40U; }},
      {"batch_size", [](AofConfig& c) { c.flush_strategy = FlushStrategy::kBatched, c.batch_size = 0; }},
      {"interval_ms", [](AofConfig& c) { c.flush_strategy = FlushStrategy::kPeriodic, c.interval_ms = 0; }},
      {"segment_cache_size", [](AofConfig& c) { c.segment_cache_size = 2000; }},
      {"pre_allocate_threshold", [](AofConfig& c) { c.pre_allocate_threshold = 1; }},
      {"pre_allocate_threshold", [](AofConfig& c) { c.pre_allocate_threshold = 0; }},
      {"ttl_seconds", [](AofConfig& c) { c.ttl_seconds = 0; }},
      {"retention_bytes", [](AofConfig& c) { c.retention_bytes = c.segment_size; }},
      {"max_unacknowledged", [](AofConfig& c) { c.max_unacknowledged = 0; }},
      {"max_in_flight", [](AofConfig& c) { c.max_in_flight = 17; }},
      {"write_size", [](AofConfig& c) { c.write_size = 0; }},
      {"max_producers", [](AofConfig& c) { c.max_producers = 1'000'000; }},
      {"disk", [](AofConfig& c) { c.disk = "tape"; }},
      {"log_level", [](AofConfig& c) { c.log_level = "loud"; }},
      {"archive_compression_level", [](AofConfig& c) { c.archive_compression_level = 99; }},
      {"archive_threshold", [](AofConfig& c) { c.archive_threshold = 0; }},
      {"archive_backpressure_segments", [](AofConfig& c) { c.archive_backpressure_segments = 0; }},
      {"archive_backpressure_bytes", [](AofConfig& c) { c.archive_backpressure_bytes = 1; }},
      {"archive_enabled", [](AofConfig& c) { c.archive_enabled = true; }, kLater},
      {"index_path", [](AofConfig& c) { c.index_path = "index"; }, kLater},
      {"compression_level", [](AofConfig& c) { c.compression_level = 20; }},
      {"encryption_keys", [](AofConfig& c) { c.enable_encryption = true; }},
      {"encryption_keys", [](AofConfig& c) { c.encryption_keys = "keys"; }},
      {"encryption_key_lifetime_seconds",
       [](AofConfig& c) { c.encryption_key_lifetime_seconds = UINT64_MAX; }},
  };
  for (const Case& one : cases) {
    AofConfig config{.directory = "/nowhere"};
    ASSERT_TRUE(ok(config.validate()));
    one.change(config);
    const auto opened = Aof::open(config);
    ASSERT_FALSE(opened.has_value()) << one.option;
    EXPECT_EQ(opened.error().code(), one.code) << opened.error().what();
    EXPECT_TRUE(opened.error().what().starts_with(one.option)) << opened.error().what();
  }
}

TEST(LibraryConfig, WithoutPreallocationAppendsPrepareSegmentsThemselves) {
  TemporaryFolder folder;
  auto config = small(folder);
  config.pre_allocate_enabled = false;
  auto log = Aof::open(config).value();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ok(log->append(std::string(900, 's'))));
  EXPECT_GE(log->metrics().segments, 3u);
}

}  // namespace
}  // namespace bop::aof::test
