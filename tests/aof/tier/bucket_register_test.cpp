// The register: its format, which objects count, and what becomes of it when writers meet.
#include "aof/tier/bucket_register.hpp"

#include <cstdlib>
#include <fstream>

#include "aof/tier/bucket_fixture.hpp"

namespace bop::aof::test {
namespace {

// A log archived by three epochs, the second of which archived nothing.
struct Archived {
  Archived() : maker(1), state(maker.identity) {
    for (int i = 0; i < 6; ++i) {
      facts.push_back(maker.make().facts);
      state.apply(FinalizedRecord{facts.back()});
    }
    one = taken_over({}, {&state, {}}, WriterId{1}, 5, "test").value();
    one = published(one, std::span(facts).first(2), 6).value();
    const BucketRegister idle = taken_over(one, {&state, {}}, WriterId{2}, 7, "test").value();
    two = taken_over(idle, {&state, {}}, WriterId{3}, 8, "test").value();
    two = published(two, std::span(facts).subspan(2, 2), 9).value();
  }
  SegmentMaker maker;
  ManifestState state;
  std::vector<SegmentFacts> facts;
  BucketRegister one, two;
};

TEST(BucketRegister, RoundTripAndEveryFlippedBitDetected) {
  const Archived world;
  auto bytes = encode_register(world.two);
  EXPECT_EQ(bytes.size(), kRegisterHeadBytes + 2 * kRegisterEpochBytes + 8);
  const auto again = decode_register(bytes, world.maker.identity, "test");
  ASSERT_TRUE(ok(again));
  EXPECT_EQ(*again, world.two);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    ASSERT_FALSE(decode_register(bytes, world.maker.identity, "test").has_value()) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
  EXPECT_FALSE(decode_register(bytes, StreamIdentity{9}, "test").has_value());
}

TEST(BucketRegister, AnEpochThatArchivedNothingLeavesNoEntry) {
  const Archived world;
  EXPECT_EQ(world.two.epoch, Epoch(3));
  ASSERT_EQ(world.two.history.size(), 2U);
  EXPECT_EQ(world.two.history[0].epoch, Epoch(1));
  EXPECT_EQ(world.two.history[1].epoch, Epoch(3));
}

TEST(BucketRegister, OneObjectOfEachNumberCountsAndNoneOfAReplacedWriter) {
  const Archived world;
  for (std::size_t i = 0; i < world.facts.size(); ++i) {
    std::uint64_t counting = 0;
    for (std::uint64_t epoch = 0; epoch < 6; ++epoch)
      counting += counts(world.two, key_of(world.facts[i], Epoch(epoch)));
    EXPECT_EQ(counting, i < 4 ? 1U : 0U) << i;
    EXPECT_EQ(counts(world.two, key_of(world.facts[i], Epoch(i < 2 ? 1 : 3))), i < 4);
  }
  // An empty segment of the zombie, whose ids lie before its successor's start, and whose number was used
  // again.
  ObjectKey empty = key_of(world.facts[2], Epoch(1));
  empty.last = Lsn(empty.base.value - 1);
  EXPECT_FALSE(counts(world.two, empty));
  const BucketRegister raised_one = raised(world.two, 3, world.facts[2].base);
  EXPECT_FALSE(counts(raised_one, key_of(world.facts[1], Epoch(1))));
  EXPECT_TRUE(counts(raised_one, key_of(world.facts[2], Epoch(3))));
  EXPECT_EQ(raised_one.history.size(), 1U);
  // Never below what it was, never above what is archived.
  EXPECT_EQ(raised(raised_one, 1, Lsn(1)).low_number, 3U);
  EXPECT_EQ(raised(raised_one, 99, Lsn(999)).low_number, 5U);
}

TEST(BucketRegister, ALogThatDoesNotGoOnWhereTheArchiveEndsIsRefused) {
  const Archived world;
  const auto refused = [&](const ManifestState& state, std::optional<SegmentHeader> active = {}) {
    const auto result = taken_over(world.two, {&state, std::move(active)}, WriterId{4}, 1, "test");
    return !result.has_value() && result.error().code() == ErrorCode::kNotInPrerequisiteState;
  };
  EXPECT_FALSE(refused(world.state));
  ManifestState behind(world.maker.identity);
  for (int i = 0; i < 3; ++i) behind.apply(FinalizedRecord{world.facts[static_cast<std::size_t>(i)]});
  EXPECT_TRUE(refused(behind)) << "restored from an older copy";
  EXPECT_TRUE(refused(ManifestState(world.maker.identity))) << "empty";
  ManifestState gap(world.maker.identity);
  gap.apply(FinalizedRecord{world.facts[5]});
  EXPECT_TRUE(refused(gap)) << "segment 5 is nowhere";
  ManifestState next(world.maker.identity);
  next.apply(FinalizedRecord{world.facts[4]});
  EXPECT_FALSE(refused(next)) << "what is archived is not here any more";
  SegmentFacts other = world.facts[4];
  ++other.previous.checksum;
  ManifestState parted(world.maker.identity);
  parted.apply(FinalizedRecord{other});
  EXPECT_TRUE(refused(parted)) << "another history";
  SegmentHeader active;
  active.number = 5;
  active.previous_number = 4;
  active.previous = world.facts[3].last;
  EXPECT_FALSE(refused(ManifestState(world.maker.identity), active));
  ++active.previous.checksum;
  EXPECT_TRUE(refused(ManifestState(world.maker.identity), active));
}

TEST(BucketRegister, TheGoldenOneOfVersion1IsReadForEver) {
  const char* source = std::getenv("BOP_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  const std::string path = std::string(source) + "/tests/golden/register-1";
  const Archived world;
  if (const char* folder = std::getenv("BOP_GOLDEN"); folder != nullptr) {
    const auto bytes = encode_register(world.two);
    std::ofstream(std::string(folder) + "/register-1", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto read = decode_register(std::as_bytes(std::span(bytes)), world.maker.identity, path);
  ASSERT_TRUE(ok(read));
  EXPECT_EQ(*read, world.two);
}

TEST(Fuzz, RegistersOfArbitraryBytes) {
  SimRandom dice(3);
  const Archived world;
  std::uint64_t valid = 0;
  for (int round = 0; round < 200'000; ++round) {
    auto bytes = encode_register(dice.chance(1, 2) ? world.one : world.two);
    for (std::uint64_t i = 0, n = 1 + dice.below(4); i < n; ++i) {
      switch (dice.below(4)) {
        case 0: bytes[dice.below(bytes.size())] = static_cast<std::byte>(dice.next()); break;
        case 1: bytes.resize(1 + dice.below(bytes.size())); break;
        case 2: bytes.resize(bytes.size() + dice.below(100)); break;
        default: dice.fill(std::span(bytes).subspan(dice.below(bytes.size())));
      }
    }
    // With the right checksum, so that what is behind it is met, too.
    if (bytes.size() > 40 && dice.chance(3, 4)) {
      const std::uint64_t checksum =
          crc64(crc64(0, std::span(bytes).subspan(16, 16)), std::span(bytes).first(bytes.size() - 8));
      std::memcpy(bytes.data() + bytes.size() - 8, &checksum, 8);
    }
    const auto read = decode_register(bytes, world.maker.identity, "fuzz");
    if (!read.has_value()) continue;
    ++valid;
    ASSERT_EQ(encode_register(*read), bytes);
    static_cast<void>(counts(*read, key_of(world.facts[1], Epoch(1))));
    static_cast<void>(raised(*read, dice.next(), Lsn(dice.next())));
  }
  EXPECT_GT(valid, 1000U);
}

// Two writers take over from each other, and every answer may be lost: there is one writer, it knows, and no
// change that was told as made is lost.
TEST(RegisterWriter, LostAnswersChangeNothing) {
  std::uint64_t unavailable = 0, fenced = 0, done = 0;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    StrayBucket bucket(seed);
    SimRandom dice(seed * 31);
    bucket.faults_per_1000 = 150;
    Archived world;
    QueueExecutor executor;
    StrayStore store(bucket);
    const BucketNames names(kPrefix, world.maker.identity);
    std::array<std::unique_ptr<RegisterWriter>, 2> writers;
    std::array<std::uint64_t, 2> acknowledged{};
    std::uint64_t ids = 0;
    for (int i = 0; i < 25; ++i) {
      const std::size_t who = dice.below(2);
      auto& writer = writers[who];
      std::optional<Status> answer;
      const auto note = [&](Status status) { answer = std::move(status); };
      const bool taking = writer == nullptr || writer->fenced().has_value();
      if (taking) {
        WriterId id{};
        ++ids;
        std::memcpy(id.data(), &ids, sizeof ids);
        writer = std::make_unique<RegisterWriter>(store, executor, names, world.maker.identity, id);
        writer->take_over({&world.state, {}}, 1, note);
      } else if (!writer->is_writer()) {
        writer.reset();
        continue;
      } else {
        const std::uint64_t next = writer->current().archived_number;
        if (next >= world.facts.size()) break;
        acknowledged[who] = next + 1;
        writer->publish({world.facts[next]}, 1, note);
      }
      while (!answer.has_value()) {
        if (!executor.run_one()) {
          ASSERT_GT(store.poll(), 0U);
        }
        if (dice.chance(1, 40)) bucket.deliver_stray();
      }
      const auto now = register_in(bucket, names, world.maker.identity);
      if (answer->has_value()) {
        ++done;
        ASSERT_TRUE(ok(now));
        if (!taking) {
          ASSERT_GE(now->archived_number, acknowledged[who]) << seed;
        }
      } else if (answer->error().code() == ErrorCode::kFenced) {
        ++fenced;
        ASSERT_NE(now->writer, (WriterId{})) << seed;
        ASSERT_TRUE(writer->fenced().has_value());
      } else {
        ASSERT_EQ(answer->error().code(), ErrorCode::kObjectStoreUnavailable) << answer->error().what();
        ++unavailable;
        if (taking) writer.reset();
      }
    }
  }
  EXPECT_GT(unavailable, 1000U);
  EXPECT_GT(fenced, 1000U);
  EXPECT_GT(done, 10000U);
}

}  // namespace
}  // namespace bop::aof::test
