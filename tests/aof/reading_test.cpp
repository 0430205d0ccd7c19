// Reading at the tail, backward and by time.
#include <algorithm>

#include "aof/segment_age.hpp"
#include "aof/stream_fixture.hpp"

namespace bop::aof::test {
namespace {

std::vector<Copy> drain(Reader& reader) {
  std::vector<Copy> copies;
  for (;;) {
    auto record = reader.next();
    EXPECT_TRUE(ok(record));
    if (!record.has_value() || !record->has_value()) return copies;
    copies.push_back({(*record)->lsn, (*record)->term, (*record)->timeline, (*record)->database,
                      std::vector<std::byte>((*record)->payload.begin(), (*record)->payload.end()),
                      (*record)->batch_remaining});
  }
}

// Records of two databases over several segments, in writes of many sizes.
void fill(World& world, CommitStream& stream, unsigned records) {
  for (unsigned i = 0; i < records; ++i) {
    world.clock.advance(std::chrono::milliseconds(1));
    const auto lsn = append_one(stream, i, 10 + i * 37 % 3000, 1 + i % 2);
    ASSERT_TRUE(ok(lsn));
    if (i % 7 == 0) {
      ASSERT_TRUE(ok(stream.wait_durable(*lsn)));
    }
    if (i % 20 == 0) {
      ASSERT_TRUE(ok(stream.maintain()));
    }
  }
  ASSERT_TRUE(ok(stream.wait_durable(stream.appended())));
}

TEST(Tail, AppendedRecordsAreSeenFromMemoryAndDurableOnesOnlyWhenTheyAre) {
  World world(1);
  auto stream = world.open().value();
  auto appended = stream->tail_from(Lsn(1), std::nullopt, ReadUpTo::kAppended).value();
  auto durable = stream->tail_from(Lsn(1), std::nullopt, ReadUpTo::kDurable).value();
  ASSERT_TRUE(ok(
      append(*stream, {Entry{DatabaseId(1), payload_of(1, 100)}, Entry{DatabaseId(2), payload_of(2, 50)}})));
  const auto seen = drain(*appended);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].payload, payload_of(1, 100));
  EXPECT_EQ(seen[1].payload, payload_of(2, 50));
  EXPECT_LT(stream->durable(), Lsn(2));
  EXPECT_TRUE(drain(*durable).empty());
  ASSERT_TRUE(ok(stream->wait_durable(Lsn(2))));
  EXPECT_EQ(drain(*durable).size(), 2u);
  EXPECT_TRUE(drain(*appended).empty());
}

TEST(Tail, IsTheSameAsTheFilesWhereverTheRecordsAre) {
  World world(2);
  auto stream = world.open().value();
  // Readers that start at different times and look at different moments.
  std::vector<std::unique_ptr<Reader>> readers;
  std::vector<std::vector<Copy>> seen;
  SimRandom random(77);
  for (unsigned i = 0; i < 600; ++i) {
    if (i % 50 == 0) {
      readers.push_back(stream
                            ->tail_from(Lsn(1 + random.below(i + 1)), DatabaseId(1 + i / 50 % 2),
                                        i % 100 == 0 ? ReadUpTo::kAppended : ReadUpTo::kDurable)
                            .value());
      seen.emplace_back();
    }
    // Some larger than what a reader copies at once, and than a standard buffer.
    const std::size_t bytes = i % 97 == 5 ? 20'000 : random.below(3000);
    ASSERT_TRUE(ok(append_one(*stream, i, bytes, 1 + i % 2)));
    if (random.chance(1, 3)) world.disk.poll();
    if (random.chance(1, 9)) {
      ASSERT_TRUE(ok(stream->maintain()));
    }
    for (std::size_t r = 0; r < readers.size(); ++r) {
      if (!random.chance(1, r * 10 + 2)) continue;
      const auto some = drain(*readers[r]);
      seen[r].insert(seen[r].end(), some.begin(), some.end());
    }
  }
  ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
  ASSERT_GE(stream->metrics().rotations.load(), 5u);
  for (std::size_t r = 0; r < readers.size(); ++r) {
    const auto rest = drain(*readers[r]);
    seen[r].insert(seen[r].end(), rest.begin(), rest.end());
    ASSERT_FALSE(seen[r].empty());
    const auto expected = read_all(*stream, seen[r].front().lsn, DatabaseId(1 + r % 2)).value();
    ASSERT_EQ(seen[r], expected) << "reader " << r;
  }
}

TEST(Tail, ARecordThatIsGoneFromMemoryAndTrimmedIsAnError) {
  World world(3);
  auto stream = world.open().value();
  auto reader = stream->tail_from(Lsn(1), std::nullopt, ReadUpTo::kDurable).value();
  fill(world, *stream, 400);
  ASSERT_TRUE(ok(stream->trim(Lsn(200))));
  ASSERT_GT(stream->first(), Lsn(1));
  const auto record = reader->next();
  ASSERT_FALSE(record.has_value());
  EXPECT_EQ(record.error().code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_FALSE(reader->next().has_value());
}

TEST(Tail, BuffersOfABurstAreKeptForTheNextWithinALimitAndNotAtRest) {
  World world(8);
  Options options = world.options();
  options.max_unacknowledged = 512U << 10U;
  auto stream = world.open(options).value();
  const std::uint64_t each = options.write_bytes;
  const std::uint64_t kept = options.max_in_flight + 2;
  for (unsigned burst = 0; burst < 3; ++burst) {
    for (unsigned i = 0; i < 60; ++i) {
      ASSERT_TRUE(ok(append_one(*stream, i, 11'000)));
      ASSERT_TRUE(ok(stream->maintain()));
    }
    EXPECT_GT(stream->buffer_bytes(), 2 * kept * each);
    ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
    EXPECT_LE(stream->buffer_bytes(), 2 * kept * each);  // for readers at the tail, and for reuse
  }
  ASSERT_TRUE(ok(stream->maintain()));
  ASSERT_TRUE(ok(stream->maintain()));
  ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
  EXPECT_LE(stream->buffer_bytes(), (kept + 1) * each);
}

TEST(Backward, IsForwardTurnedRound) {
  World world(4);
  auto stream = world.open().value();
  fill(world, *stream, 300);
  const auto check = [&](CommitStream& log) {
    for (const auto database :
         {std::optional<DatabaseId>(), std::optional(DatabaseId(1)), std::optional(DatabaseId(9))}) {
      auto expected = read_all(log, log.first(), database).value();
      std::ranges::reverse(expected);
      auto reader = log.read_backward(log.durable(), database);
      EXPECT_EQ(drain(*reader), expected);
    }
    auto expected = read_all(log, log.first()).value();
    const Lsn middle(log.first().value + (log.durable().value - log.first().value) / 2);
    std::erase_if(expected, [middle](const Copy& copy) { return copy.lsn > middle; });
    std::ranges::reverse(expected);
    EXPECT_EQ(drain(*log.read_backward(middle)), expected);
  };
  check(*stream);
  ASSERT_TRUE(ok(stream->trim(Lsn(120))));
  ASSERT_GT(stream->first(), Lsn(1));
  check(*stream);
  // Of an earlier life nothing is known of where records are.
  ASSERT_TRUE(ok(stream->close()));
  stream = world.open().value();
  fill(world, *stream, 100);
  check(*stream);
  stream.reset();
  world.disk.power_cut();
  stream = world.open().value();
  check(*stream);
  fill(world, *stream, 10);
  check(*stream);
}

TEST(Backward, OfAnEmptyLogIsNothing) {
  World world(5);
  auto stream = world.open().value();
  EXPECT_TRUE(drain(*stream->read_backward(Lsn(0))).empty());
  EXPECT_TRUE(drain(*stream->read_backward(Lsn(7))).empty());
}

TEST(Time, TheFirstRecordOfATimeOrLaterIsFound) {
  World world(6);
  auto stream = world.open().value();
  EXPECT_FALSE(stream->find_time(0).value().has_value());
  fill(world, *stream, 300);
  ASSERT_TRUE(ok(stream->close()));
  stream = world.open().value();
  fill(world, *stream, 100);
  auto reader = stream->read_from(Lsn(1)).value();
  std::vector<std::pair<std::int64_t, Lsn>> times;
  while (auto record = reader->next().value()) times.emplace_back(record->timestamp_us, record->lsn);
  ASSERT_EQ(times.size(), 400u);
  ASSERT_TRUE(std::ranges::is_sorted(times));
  for (const std::int64_t off : {-1, 0, 1}) {
    for (const auto& [time, lsn] : times) {
      const auto expected = std::ranges::lower_bound(times, std::pair(time + off, Lsn(0)));
      const auto found = stream->find_time(time + off).value();
      ASSERT_EQ(found.has_value(), expected != times.end());
      if (found.has_value()) {
        ASSERT_EQ(*found, expected->second);
      }
    }
  }
}

TEST(Time, NeverGoesBackOverARestart) {
  World world(7);
  auto stream = world.open().value();
  ASSERT_TRUE(ok(append_one(*stream, 1, 10)));
  ASSERT_TRUE(ok(stream->close()));
  world.clock.step_wall(-std::chrono::hours(5));
  stream = world.open().value();
  ASSERT_TRUE(ok(append_one(*stream, 2, 10)));
  ASSERT_TRUE(ok(stream->wait_durable(Lsn(2))));
  auto reader = stream->read_from(Lsn(1)).value();
  const std::int64_t first = reader->next().value()->timestamp_us;
  EXPECT_GE(reader->next().value()->timestamp_us, first);
}

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kSecondNs = 1'000'000'000;

std::vector<CommitStream::SegmentSpan> spans(std::initializer_list<std::int64_t> begins_s) {
  std::vector<CommitStream::SegmentSpan> all;
  for (const std::int64_t begin : begins_s) {
    all.push_back(
        {.number = all.size() + 1, .base = Lsn(all.size() * 10 + 1), .begin_us = begin * kSecondUs});
  }
  return all;
}

TEST(Age, IsThatOfTheNewestRecordAndTheTimeSince) {
  // Records up to 1000 s, opened 50 s later.
  const auto segments = spans({0, 400, 900});
  SegmentAge age(segments, 1000 * kSecondUs, 1050 * kSecondUs, 7 * kSecondNs);
  const auto expired = [&](std::int64_t ttl, std::int64_t at) {
    return age.expired(segments, std::chrono::seconds(ttl), at * kSecondNs).value;
  };
  EXPECT_EQ(expired(651, 7), 0u);  // the first one's newest record is 1050 - 400 old
  EXPECT_EQ(expired(650, 7), 11u);
  EXPECT_EQ(expired(150, 7), 21u);  // the newest segment is never told
  EXPECT_EQ(expired(1, 7), 21u);
  EXPECT_EQ(expired(651, 8), 11u);
}

TEST(Age, DoesNotBelieveTheWallClockMoreThanADay) {
  const auto segments = spans({0, 900});
  const std::int64_t year_s = 366 * 86400;
  SegmentAge ahead(segments, 1000 * kSecondUs, year_s * kSecondUs, 0);
  EXPECT_EQ(ahead.expired(segments, std::chrono::seconds(86400 + 101), 0).value, 0u);
  EXPECT_EQ(ahead.expired(segments, std::chrono::seconds(86400 + 100), 0).value, 11u);
  SegmentAge behind(segments, 1000 * kSecondUs, 0, 0);
  EXPECT_EQ(behind.expired(segments, std::chrono::seconds(101), 0).value, 0u);
  EXPECT_EQ(behind.expired(segments, std::chrono::seconds(101), kSecondNs).value, 11u);
}

TEST(Age, OfWhatIsSealedWhileWeLookBeginsThere) {
  SegmentAge age(spans({0}), 0, 0, 0);
  const auto segments = spans({0, 500});
  EXPECT_EQ(age.expired(segments, std::chrono::seconds(10), 100 * kSecondNs).value, 0u);
  EXPECT_EQ(age.expired(segments, std::chrono::seconds(10), 109 * kSecondNs).value, 0u);
  EXPECT_EQ(age.expired(segments, std::chrono::seconds(10), 110 * kSecondNs).value, 11u);
}

}  // namespace
}  // namespace bop::aof::test
