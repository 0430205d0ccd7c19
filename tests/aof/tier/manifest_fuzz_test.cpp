// Parsers of outside bytes: the manifest's records and the names of objects.
#include "aof/tier/manifest_fixture.hpp"

namespace bop::aof::test {
namespace {

std::vector<ManifestRecord> corpus() {
  SegmentMaker maker(1);
  const SegmentFacts facts = maker.make().facts;
  const std::string key = BucketNames("a/b", maker.identity).segment(key_of(facts, Epoch(2)));
  return {IdentityRecord{maker.identity},
          FinalizedRecord{facts},
          TierOneMadeRecord{1, {2, 3, 4}},
          TierOneDroppedRecord{1},
          ArchiveBegunRecord{1, {Epoch(2), key}},
          ArchivedRecord{1, {Epoch(2), 5, 6, key, "\"etag\""}},
          TierZeroDroppedRecord{1},
          DeletedRecord{4, Lsn(9)},
          EpochTakenRecord{Epoch(2), Lsn(1)},
          KeyAddedRecord{7, "wrapped"},
          SnapshotBeginRecord{8, 9},
          SnapshotEndRecord{9},
          AgedRecord{1'767'225'600'000'000}};
}

TEST(ManifestRecord, EveryTypeRoundTrips) {
  const auto records = corpus();
  ASSERT_EQ(records.size(), std::variant_size_v<ManifestRecord>);
  std::vector<std::byte> bytes;
  for (const ManifestRecord& record : records) encode(record, bytes);
  const auto again = decode_records(bytes, "test");
  ASSERT_TRUE(ok(again));
  EXPECT_EQ(*again, records);
  for (std::size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].index(), i);
    EXPECT_FALSE(describe(records[i]).empty());
  }
}

TEST(ManifestRecord, UnknownTypesAreRefusedNotSkipped) {
  for (unsigned type = 0; type < 256; ++type) {
    std::vector<std::byte> bytes;
    encode(TierZeroDroppedRecord{1}, bytes);
    bytes[0] = static_cast<std::byte>(type);
    const auto decoded = decode_records(bytes, "test");
    if (type > corpus().size()) {
      ASSERT_FALSE(decoded.has_value());
      EXPECT_EQ(decoded.error().code(), ErrorCode::kFormatTooNew);
    }
    if (type == 0) {
      EXPECT_FALSE(decoded.has_value());
    }
  }
}

TEST(ManifestRecord, APayloadOfAnotherLengthIsRefused) {
  for (const ManifestRecord& record : corpus()) {
    std::vector<std::byte> bytes;
    encode(record, bytes);
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data() + 4, 4);
    for (const std::uint32_t other : {size - 1, size + 1, size + 8, 0U, 0xffffffffU}) {
      auto wrong = bytes;
      wrong.resize(bytes.size() + 8);
      std::memcpy(wrong.data() + 4, &other, 4);
      EXPECT_FALSE(decode_records(wrong, "test").has_value()) << name_of(record) << " " << other;
    }
  }
}

TEST(Fuzz, ManifestRecordsOfArbitraryBytes) {
  SimRandom dice(5);
  std::uint64_t valid = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::vector<std::byte> bytes;
    const auto records = corpus();
    for (std::uint64_t i = 0, n = 1 + dice.below(4); i < n; ++i)
      encode(records[dice.below(records.size())], bytes);
    for (std::uint64_t i = 0, n = 1 + dice.below(4); i < n; ++i) {
      switch (dice.below(3)) {
        case 0: bytes[dice.below(bytes.size())] = static_cast<std::byte>(dice.next()); break;
        case 1: bytes.resize(1 + dice.below(bytes.size())); break;
        default: dice.fill(std::span(bytes).subspan(dice.below(bytes.size())));
      }
    }
    const auto decoded = decode_records(bytes, "fuzz");
    if (!decoded.has_value()) continue;
    ++valid;
    // What was understood is written the same way again.
    std::vector<std::byte> again;
    for (const ManifestRecord& record : *decoded) encode(record, again);
    ASSERT_EQ(again, bytes);
    static_cast<void>(state_of(*decoded, "fuzz"));
  }
  EXPECT_GT(valid, 1000U);
}

TEST(ObjectKey, RoundTripAndOthersAreNotKeys) {
  const ObjectKey key{0x1f, Epoch(3), Lsn(10), Lsn(20), 0xfedcba9876543210};
  const std::string name = print_key(key);
  EXPECT_EQ(name, "000000000000001f-0000000000000003-000000000000000a-0000000000000014-fedcba9876543210.zst");
  EXPECT_EQ(parse_key(name), key);
  for (std::size_t i = 0; i < name.size(); ++i) {
    auto wrong = name;
    wrong[i] = wrong[i] == '-' ? '0' : '-';
    EXPECT_FALSE(parse_key(wrong).has_value()) << wrong;
    wrong[i] = 'A';
    EXPECT_FALSE(parse_key(wrong).has_value()) << wrong;
  }
  EXPECT_FALSE(parse_key(name + "x").has_value());
  EXPECT_FALSE(parse_key("").has_value());
  EXPECT_FALSE(parse_key(print_key({0, Epoch(1), Lsn(1), Lsn(1), 0})).has_value()) << "number 0";
  EXPECT_FALSE(parse_key(print_key({1, Epoch(0), Lsn(1), Lsn(1), 0})).has_value()) << "epoch 0";
  EXPECT_FALSE(parse_key(print_key({1, Epoch(1), Lsn(0), Lsn(1), 0})).has_value()) << "base 0";
  EXPECT_FALSE(parse_key(print_key({1, Epoch(1), Lsn(5), Lsn(3), 0})).has_value()) << "last before base";
  EXPECT_TRUE(parse_key(print_key({1, Epoch(1), Lsn(5), Lsn(4), 0})).has_value()) << "no entries";

  const BucketNames names("", {1, 2, 3});
  EXPECT_EQ(names.register_name(), "01020300000000000000000000000000/register");
  EXPECT_EQ(names.parse(names.segment(key)), key);
  EXPECT_FALSE(names.parse(name).has_value());
  EXPECT_FALSE(BucketNames("p", {1, 2, 3}).parse(names.segment(key)).has_value());
  EXPECT_EQ(BucketNames("a/b", {}).key(10), "a/b/00000000000000000000000000000000/keys/000000000000000a");
}

TEST(Fuzz, NamesOfObjects) {
  SimRandom dice(6);
  constexpr std::string_view kAlphabet = "0123456789abcdefABF-.zst/ \0x";
  std::uint64_t valid = 0;
  for (int round = 0; round < 300'000; ++round) {
    std::string name = print_key({dice.next(), Epoch(dice.next()), Lsn(dice.next() >> 1U),
                                  Lsn(dice.next() | 1ULL << 63U), dice.next()});
    for (std::uint64_t i = 0, n = dice.below(3); i < n; ++i) {
      switch (dice.below(3)) {
        case 0: name[dice.below(name.size())] = kAlphabet[dice.below(kAlphabet.size())]; break;
        case 1: name.insert(dice.below(name.size() + 1), 1, kAlphabet[dice.below(kAlphabet.size())]); break;
        default: name.resize(1 + dice.below(name.size()));
      }
    }
    const auto key = parse_key(name);
    if (!key.has_value()) continue;
    ++valid;
    ASSERT_EQ(print_key(*key), name);
  }
  EXPECT_GT(valid, 1000U);
}

}  // namespace
}  // namespace bop::aof::test
