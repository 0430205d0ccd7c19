// Parsers of outside bytes: records and segment headers.
#include "aof/record.hpp"

#include <array>

#include "aof/segment_header.hpp"
#include "aof/segment_walk.hpp"
#include "aof/stream_fixture.hpp"

namespace bop::aof::test {
namespace {

void random_tail(SimRandom& dice, std::vector<std::byte>& bytes) {
  const std::size_t from = dice.below(bytes.size());
  dice.fill(std::span(bytes).subspan(from));
}

std::vector<std::byte> sample(std::uint64_t seed, std::size_t payload_bytes) {
  const auto payload = payload_of(1, payload_bytes);
  const std::array parts{std::span<const std::byte>(payload)};
  std::vector<std::byte> bytes(record_bytes(payload_bytes));
  encode_record(bytes, seed,
                {.lsn = Lsn(9), .term = Term(2), .timeline = Timeline(1), .kind = RecordKind::kRowCommit},
                parts);
  return bytes;
}

TEST(Record, TheChecksumIsFoldedAndKeptWhole) {
  const auto bytes = sample(42, 100);
  RecordView view;
  ASSERT_EQ(decode_record(bytes, 42, view), RecordState::kValid);
  RecordHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::uint32_t high = 0;
  std::memcpy(&high, header.reserved, 4);
  EXPECT_EQ(high, view.checksum >> 32U);
  EXPECT_EQ(header.checksum, static_cast<std::uint32_t>(view.checksum) ^ high);
  EXPECT_EQ(header.size, sizeof(RecordEnvelope) + 100);
}

TEST(Record, EveryFlippedBitIsDetected) {
  for (const std::size_t payload_bytes : {0U, 1U, 8U, 61U}) {
    auto bytes = sample(7, payload_bytes);
    for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
      bytes[i / 8] ^= static_cast<std::byte>(1U << (i % 8));
      RecordView view;
      EXPECT_EQ(decode_record(bytes, 7, view), RecordState::kDamaged) << "bit " << i;
      bytes[i / 8] ^= static_cast<std::byte>(1U << (i % 8));
    }
  }
}

TEST(Record, BytesOfAnotherPlaceSegmentOrStreamDoNotPass) {
  const SegmentHeader one{.identity = {1}, .number = 1, .seed = 5};
  SegmentHeader other = one;
  const auto bytes = sample(one.record_key() + 4096, 40);
  RecordView view;
  EXPECT_EQ(decode_record(bytes, one.record_key() + 4096, view), RecordState::kValid);
  EXPECT_EQ(decode_record(bytes, one.record_key() + 8192, view), RecordState::kDamaged);
  other.number = 2;
  EXPECT_EQ(decode_record(bytes, other.record_key() + 4096, view), RecordState::kDamaged);
  other = one;
  other.seed = 6;
  EXPECT_EQ(decode_record(bytes, other.record_key() + 4096, view), RecordState::kDamaged);
  other = one;
  other.identity = {2};
  EXPECT_EQ(decode_record(bytes, other.record_key() + 4096, view), RecordState::kDamaged);
}

TEST(Record, ZerosAreNeverARecord) {
  const std::vector<std::byte> zeros(4096);
  RecordView view;
  EXPECT_EQ(decode_record(zeros, 0, view), RecordState::kZero);
  EXPECT_EQ(extent_of(zeros, zeros.size()), 0U);
}

RecordState state_of_kind(RecordKind kind) {
  std::vector<std::byte> bytes(record_bytes(0));
  encode_record(bytes, 3, {.lsn = Lsn(9), .term = Term(2), .timeline = Timeline(1), .kind = kind}, {});
  RecordView out;
  return decode_record(bytes, 3, out);
}

TEST(Record, UnknownKindsAreRefusedNotSkipped) {
  for (unsigned value = 0; value < 256; ++value) {
    const bool known = is_known(static_cast<RecordKind>(value));
    EXPECT_EQ(state_of_kind(static_cast<RecordKind>(value)),
              known ? RecordState::kValid : RecordState::kTooNew);
    EXPECT_EQ(name_of(static_cast<RecordKind>(value)) != "unknown", known);
  }
}

TEST(SegmentHeaderBlock, RoundTripAndEveryFlippedBitDetected) {
  SegmentHeader header{.timeline = Timeline(3),
                       .identity = {1, 2, 3},
                       .number = 0x1f,
                       .bytes = 65536,
                       .seed = 77,
                       .base = Lsn(11),
                       .previous = {Lsn(10), Term(2), 0x1234},
                       .previous_number = 0x1e,
                       .created_us = 5};
  std::vector<std::byte> block(kSegmentHeaderBytes);
  encode_segment_header(block, header);
  SegmentHeader out;
  ASSERT_EQ(decode_segment_header(block, out), HeaderState::kValid);
  EXPECT_EQ(out.previous, header.previous);
  EXPECT_EQ(out.identity, header.identity);
  EXPECT_EQ(out.record_key(), header.record_key());
  for (std::size_t i = 0; i < block.size() * 8; ++i) {
    block[i / 8] ^= static_cast<std::byte>(1U << (i % 8));
    ASSERT_EQ(decode_segment_header(block, out), HeaderState::kDamaged) << "bit " << i;
    block[i / 8] ^= static_cast<std::byte>(1U << (i % 8));
  }
  EXPECT_EQ(decode_segment_header(std::vector<std::byte>(kSegmentHeaderBytes), out), HeaderState::kZero);
}

TEST(SegmentName, RoundTripAndOthersAreNotSegments) {
  for (const std::uint64_t number : {std::uint64_t{1}, std::uint64_t{255}, ~std::uint64_t{0}}) {
    EXPECT_EQ(segment_number(segment_name(number)), number);
  }
  for (const char* name :
       {"", "lock", "ballast", "0000000000000000.log", "000000000000001.log", "x000000000000001.log",
        "0000000000000001.lo", "0000000000000001.log.tmp", "-000000000000001.log"}) {
    EXPECT_FALSE(segment_number(name).has_value()) << name;
  }
}

// Mutated, cut, spliced and random bytes: decoding reads nothing out of bounds and believes nothing.
TEST(Fuzz, DecodersOfArbitraryBytes) {
  SimRandom dice(99);
  std::uint64_t valid = 0;
  for (int round = 0; round < 200'000; ++round) {
    const std::uint64_t seed = dice.below(3);
    auto bytes = sample(seed, dice.below(300));
    const std::uint64_t mutations = 1 + dice.below(4);
    for (std::uint64_t i = 0; i < mutations; ++i) {
      switch (dice.below(4)) {
        case 0: bytes[dice.below(bytes.size())] = static_cast<std::byte>(dice.next()); break;
        case 1: bytes.resize(1 + dice.below(bytes.size())); break;
        case 2: {
          const std::uint32_t size = static_cast<std::uint32_t>(dice.next()) >> dice.below(32);
          if (bytes.size() >= 8) std::memcpy(bytes.data() + 4, &size, 4);
          break;
        }
        default: random_tail(dice, bytes); break;
      }
    }
    const std::vector<std::byte> exact(bytes.begin(),
                                       bytes.end());  // of exact size: a sanitizer sees every overrun
    RecordView view;
    if (decode_record(exact, seed, view) == RecordState::kValid) ++valid;
  }
  EXPECT_LT(valid, 4000U);  // a mutation that changes nothing
}

// Whole segment files of mutated blocks: the walk ends with a verdict and never gives a record that was not
// written.
TEST(Fuzz, SegmentsOfArbitraryBlocks) {
  World world(21);
  {
    auto stream = world.open().value();
    for (std::uint64_t i = 1; i <= 40; ++i) {
      ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, i, i * 11).value())));
    }
    ASSERT_TRUE(ok(stream->close()));
  }
  const std::string path = world.segment_paths().front();
  auto file = world.disk.open(path, OpenMode::kReadWrite).value();
  std::vector<std::byte> sound(64U << 10U);
  ASSERT_EQ(file->read_at(ByteOffset(0), sound).value(), sound.size());
  SegmentHeader header;
  ASSERT_EQ(decode_segment_header(std::span(sound).first(kSegmentHeaderBytes), header), HeaderState::kValid);
  SimRandom dice(5);
  for (int round = 0; round < 1500; ++round) {
    auto bytes = sound;
    const std::uint64_t changes = 1 + dice.below(6);
    for (std::uint64_t i = 0; i < changes; ++i) {
      const std::size_t from = dice.below(16) * kDiskBlockBytes;
      const std::size_t to = dice.below(16) * kDiskBlockBytes;
      switch (dice.below(4)) {
        case 0: std::memcpy(bytes.data() + to, sound.data() + from, kDiskBlockBytes); break;
        case 1: std::memset(bytes.data() + to, 0, kDiskBlockBytes); break;
        case 2: bytes[dice.below(bytes.size())] ^= static_cast<std::byte>(1U << dice.below(8)); break;
        default: std::memcpy(bytes.data() + to + 512 * dice.below(8), sound.data() + from, 512); break;
      }
    }
    ASSERT_TRUE(ok(file->write_at(ByteOffset(0), bytes)));
    SegmentWalk walk(*file, header, {.last = header.previous, .limit = header.bytes});
    std::uint64_t expected = 1;
    while (const auto record = walk.next()) {
      if (!is_entry(record->kind)) continue;
      ASSERT_EQ(record->lsn.value, expected);
      const auto payload = payload_of(expected, expected * 11);
      ASSERT_TRUE(std::ranges::equal(record->payload, payload));
      ++expected;
    }
    ASSERT_FALSE(walk.error_of_ending().what().empty());
    file->truncate(header.bytes).value();
  }
}

}  // namespace
}  // namespace bop::aof::test
