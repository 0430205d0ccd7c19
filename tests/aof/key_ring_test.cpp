// The files of data keys: what is written is read, whatever was changed is noticed, no cut and no failure
// loses a key that a record may need, and a wrong key-encryption key is told.
#include "aof/key_ring.hpp"

#include <cstdlib>
#include <set>

#include "aof/codec_fixture.hpp"
#include "base/crc64.hpp"

namespace bop::aof::test {
namespace {

constexpr const char* kKeyDirectory = "/keys";

std::string hex_of(std::uint8_t number) {
  std::string text;
  for (std::size_t i = 0; i < kKeyBytes; ++i) text += fmt::format("{:02x}", number);
  return text;
}

struct Keys : World {
  explicit Keys(std::uint64_t seed = 1) : World(seed) {
    EXPECT_TRUE(ok(disk.create_directories(kKeyDirectory)));
  }
  Result<std::shared_ptr<KeyRing>> open_ring(std::initializer_list<std::uint8_t> numbers,
                                             KeyRing::Mode mode = KeyRing::Mode::kWrite) {
    return KeyRing::open(disk, clock, random, kKeyDirectory, keks(numbers), mode);
  }
  std::vector<std::byte> read(int slot) {
    auto file = disk.open(path(slot), OpenMode::kRead).value();
    std::vector<std::byte> bytes(file->size().value());
    EXPECT_EQ(file->read_at(ByteOffset(0), bytes).value(), bytes.size());
    return bytes;
  }
  static std::string path(int slot) { return fmt::format("{}/{}", kKeyDirectory, kKeyFileNames[slot]); }
  void write(int slot, std::span<const std::byte> bytes) {
    EXPECT_TRUE(ok(write_key_file(disk, kKeyDirectory, slot, bytes)));
  }
};

std::vector<std::byte> secret(const KeyRing& ring, std::uint64_t id) {
  const auto key = ring.find(id);
  return key ? std::vector<std::byte>(key->key.bytes().begin(), key->key.bytes().end())
             : std::vector<std::byte>();
}

TEST(KeyEncryptionKeys, AreReadFromLinesOfHexAndBase64) {
  const std::string text =
      "# the newest one\n\n  " + hex_of(7) + " \r\n" + "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=\n";
  const auto keys = parse_key_encryption_keys(text, "file").value();
  ASSERT_EQ(keys.keys.size(), 2U);
  EXPECT_EQ(keys.first().id, keks({7})->first().id);
  EXPECT_EQ(keys.keys[1].id, keks({8})->first().id);
  EXPECT_NE(keys.find(keks({8})->first().id), nullptr);
  EXPECT_EQ(keys.find(1), nullptr);
}

TEST(KeyEncryptionKeys, WhatIsNoKeyIsRefusedWithoutShowingIt) {
  const std::string bad = hex_of(7).replace(10, 1, "g");
  for (const std::string& text : {std::string(), std::string("# none\n"), bad, hex_of(7).substr(1),
                                  std::string("c2hvcnQ="), hex_of(1) + "\n" + hex_of(1)}) {
    const auto keys = parse_key_encryption_keys(text, "the file");
    ASSERT_FALSE(keys.has_value()) << text;
    EXPECT_EQ(keys.error().code(), ErrorCode::kConfigInvalid);
    EXPECT_NE(keys.error().what().find("the file"), std::string::npos);
    EXPECT_EQ(keys.error().what().find("070707"), std::string::npos);
  }
  std::string many;
  for (std::uint8_t i = 0; i <= kMostKeyEncryptionKeys; ++i) many += hex_of(i) + "\n";
  EXPECT_EQ(parse_key_encryption_keys(many, "f").error().code(), ErrorCode::kConfigInvalid);
}

TEST(KeyEncryptionKeys, ComeFromAFileOrTheEnvironment) {
  World world(1);
  EXPECT_EQ(load_key_encryption_keys(world.disk, "/none").error().code(), ErrorCode::kConfigInvalid);
  ASSERT_TRUE(ok(world.disk.create_directories("/k")));
  auto file = world.disk.open("/k/key", OpenMode::kCreate).value();
  const std::string text = hex_of(3) + "\n";
  ASSERT_TRUE(ok(file->write_at(ByteOffset(0), std::as_bytes(std::span(text)))));
  EXPECT_EQ(load_key_encryption_keys(world.disk, "/k/key").value().first().id, keks({3})->first().id);
  ::setenv("BOP_TEST_KEK", hex_of(4).c_str(), 1);
  EXPECT_EQ(load_key_encryption_keys(world.disk, "env:BOP_TEST_KEK").value().first().id,
            keks({4})->first().id);
  ::unsetenv("BOP_TEST_KEK");
  EXPECT_EQ(load_key_encryption_keys(world.disk, "env:BOP_TEST_KEK").error().code(),
            ErrorCode::kConfigInvalid);
}

TEST(KeyRing, KeysComeBackAndTheNewestIsInUse) {
  Keys world;
  std::map<std::uint64_t, std::vector<std::byte>> made;
  {
    const auto ring = world.open_ring({1}).value();
    for (int i = 0; i < 3; ++i) {
      made[ring->in_use()->id] = secret(*ring, ring->in_use()->id);
      EXPECT_TRUE(ok(ring->rotate()));
    }
    made[ring->in_use()->id] = secret(*ring, ring->in_use()->id);
    EXPECT_EQ(ring->size(), 4U);
  }
  EXPECT_EQ(made.size(), 4U);
  EXPECT_EQ(world.read(0), world.read(1));
  const auto again = world.open_ring({1}, KeyRing::Mode::kRead).value();
  EXPECT_EQ(again->size(), 4U);
  for (const auto& [id, bytes] : made) EXPECT_EQ(secret(*again, id), bytes);
  EXPECT_EQ(again->find(12345), nullptr);
}

TEST(KeyRing, AWrongKeyIsToldByItsId) {
  Keys world;
  ASSERT_TRUE(ok(world.open_ring({1})));
  const auto wrong = world.open_ring({2});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code(), ErrorCode::kEncryptionKeyWrong);
  for (const std::uint8_t number : {1, 2}) {
    EXPECT_NE(wrong.error().what().find(fmt::format("{:016x}", keks({number})->first().id)),
              std::string::npos)
        << wrong.error().what();
  }
  EXPECT_EQ(Keys(2).open_ring({1}, KeyRing::Mode::kRead).error().code(), ErrorCode::kEncryptionKeyMissing);
}

TEST(KeyRing, AChangeOfTheKeyEncryptionKeyWrapsAllAnewAndLeavesNothingOfTheOldOne) {
  Keys world;
  const auto ring = world.open_ring({1}).value();
  ASSERT_TRUE(ok(ring->rotate()));
  const auto id = ring->in_use()->id;
  const auto bytes = secret(*ring, id);
  ASSERT_TRUE(ok(ring->rewrap(keks({2, 1}))));
  EXPECT_EQ(ring->wrapping_key(), keks({2})->first().id);
  EXPECT_EQ(ring->in_use()->id, id) << "records go on with the key they had";
  ASSERT_TRUE(ok(ring->rotate()));
  for (const int slot : {0, 1}) {
    EXPECT_EQ(decode_key_file(world.read(slot), "f").value().wrapping_key, keks({2})->first().id);
  }
  EXPECT_EQ(world.open_ring({1}).error().code(), ErrorCode::kEncryptionKeyWrong);
  const auto again = world.open_ring({2}).value();
  EXPECT_EQ(again->size(), 3U);
  EXPECT_EQ(secret(*again, id), bytes);
  // At a start, too.
  ASSERT_TRUE(ok(world.open_ring({3, 2})));
  EXPECT_EQ(secret(*world.open_ring({3}).value(), id), bytes);
  EXPECT_EQ(world.open_ring({2}).error().code(), ErrorCode::kEncryptionKeyWrong);
}

TEST(KeyRing, EveryFlippedBitIsNoticedAndTheOtherCopyGoesOn) {
  Keys world;
  std::uint64_t id = 0;
  {
    const auto ring = world.open_ring({1}).value();
    ASSERT_TRUE(ok(ring->rotate()));
    id = ring->in_use()->id;
  }
  const auto sound = world.read(0);
  ASSERT_EQ(sound.size(), kKeyFileFixedBytes + 2 * kWrappedKeyBytes);
  for (std::size_t bit = 0; bit < sound.size() * 8; ++bit) {
    auto damaged = sound;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_EQ(decode_key_file(damaged, "f").error().code(), ErrorCode::kCorrupt) << bit;
    if (bit % 61 != 0) continue;
    world.write(0, damaged);
    const auto ring = world.open_ring({1}).value();
    EXPECT_EQ(ring->in_use()->id, id);
    EXPECT_EQ(world.read(0), sound) << "it is mended";
  }
  auto damaged = sound;
  damaged[50] ^= std::byte{1};
  world.write(0, damaged);
  world.write(1, damaged);
  EXPECT_EQ(world.open_ring({1}).error().code(), ErrorCode::kCorrupt)
      << "never a new ring in place of a damaged one";
}

// With a checksum that holds: what somebody without the key would do.
TEST(KeyRing, ChangesBySomebodyWithoutTheKeyAreNoticed) {
  Keys world;
  std::uint64_t older = 0;
  {
    const auto ring = world.open_ring({1}).value();
    older = ring->in_use()->id;
    ASSERT_TRUE(ok(ring->rotate()));
  }
  const auto forged = [&](const std::function<void(std::vector<std::byte>&)>& change) {
    auto bytes = world.read(0);
    change(bytes);
    const std::uint64_t sum = crc64(kKeyFileSeed, std::span(bytes).first(bytes.size() - 8));
    std::memcpy(bytes.data() + bytes.size() - 8, &sum, 8);
    world.write(0, bytes);
    world.write(1, bytes);
    return world.open_ring({1}, KeyRing::Mode::kRead);
  };
  ASSERT_TRUE(ok(forged([](auto&) {})));
  const auto sound = world.read(0);
  const auto put_back = [&](auto& bytes) { bytes = sound; };
  EXPECT_EQ(forged([&](auto& bytes) { std::memcpy(bytes.data() + 24, &older, 8); }).error().code(),
            ErrorCode::kCorrupt);
  ASSERT_TRUE(ok(forged(put_back)));
  EXPECT_EQ(forged([](auto& bytes) { bytes[16] ^= std::byte{4}; }).error().code(), ErrorCode::kCorrupt);
  ASSERT_TRUE(ok(forged(put_back)));
  EXPECT_EQ(forged([](auto& bytes) { bytes[90] ^= std::byte{4}; }).error().code(), ErrorCode::kCorrupt);
  // A newer version is not mistaken for damage.
  ASSERT_TRUE(ok(forged(put_back)));
  EXPECT_EQ(forged([](auto& bytes) { bytes[8] = std::byte{2}; }).error().code(), ErrorCode::kFormatTooNew);
}

// Every call of the disk fails once, then the power goes: the keys that were in use before are there.
TEST(KeyRing, NoFailureAndNoCutLosesAKey) {
  std::uint64_t failures = 0;
  for (std::uint64_t call = 1; call < 60; ++call) {
    for (const SimFault fault :
         {SimFault::kIo, SimFault::kDiskFull, SimFault::kShort, SimFault::kFailedSync}) {
      Keys world(call);
      auto ring = world.open_ring({1}).value();
      ASSERT_TRUE(ok(ring->rotate()));
      std::set<std::uint64_t> used = {ring->in_use()->id};
      world.disk.fail_call(call, fault, false);
      bool wraps_anew = false;
      for (int i = 0; i < 3; ++i) {
        if (!ring->rotate().has_value()) ++failures;
        used.insert(ring->in_use()->id);
        if (i == 1) {
          wraps_anew = true;
          if (!ring->rewrap(keks({2, 1})).has_value()) ++failures;
        }
      }
      ASSERT_TRUE(wraps_anew);
      world.disk.clear_faults();
      world.disk.power_cut();
      ring = world.open_ring({2, 1}).value();
      for (const std::uint64_t id : used) {
        EXPECT_NE(ring->find(id), nullptr) << "call " << call << " fault " << static_cast<int>(fault);
      }
    }
  }
  EXPECT_GT(failures, 50U);
}

TEST(KeyRing, PowerCutsAtAnyMomentLeaveAllKeysThatWereInUse) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    Keys world(seed);
    SimRandom dice(seed);
    std::set<std::uint64_t> used;
    for (int life = 0; life < 4; ++life) {
      auto opened = world.open_ring({2, 1});
      ASSERT_TRUE(ok(opened));
      for (const std::uint64_t id : used) ASSERT_NE((*opened)->find(id), nullptr) << "seed " << seed;
      used.insert((*opened)->in_use()->id);
      // From some call on nothing reaches the disk any more.
      world.disk.fail_call(1 + dice.below(20), SimFault::kIo, true);
      for (int i = 0; i < 3; ++i) {
        static_cast<void>((*opened)->rotate());
        static_cast<void>((*opened)->rewrap(dice.chance(1, 2) ? keks({1, 2}) : keks({2, 1})));
        used.insert((*opened)->in_use()->id);
      }
      opened->reset();
      world.disk.clear_faults();
      world.disk.power_cut();
    }
  }
}

TEST(KeyRing, ThereIsALimitOfKeys) {
  Keys world;
  KeyFile file{.generation = 1, .key_in_use = 1, .wrapping_key = keks({1})->first().id, .keys = {}};
  for (std::uint64_t id = 1; id <= kMostDataKeys; ++id) {
    file.keys.push_back(wrap_key(keks({1})->first(), world.random, id, 0, SecretKey(world.random)).value());
  }
  world.write(0, encode_key_file(file, keks({1})->first(), world.random).value());
  const auto ring = world.open_ring({1}).value();
  EXPECT_EQ(ring->size(), kMostDataKeys);
  EXPECT_EQ(ring->rotate().error().code(), ErrorCode::kProgramLimitExceeded);
  EXPECT_EQ(ring->in_use()->id, 1U);
}

TEST(KeyRing, SeededMutationsOfAFileAreAllNoticed) {
  Keys world;
  ASSERT_TRUE(ok(world.open_ring({1}).value()->rotate()));
  const auto sound = world.read(0);
  std::uint64_t decoded = 0;
  for (std::uint64_t seed = 1; seed <= 20000; ++seed) {
    SimRandom dice(seed);
    auto bytes = sound;
    for (std::uint64_t i = 1 + dice.below(3); i > 0; --i) {
      const std::size_t at = dice.below(bytes.size());
      switch (dice.below(4)) {
        case 0: bytes[at] = static_cast<std::byte>(dice.below(256)); break;
        case 1: bytes.resize(at + 1); break;
        case 2:
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), dice.below(90), std::byte{1});
          break;
        default: {
          const std::uint32_t odd[] = {0, 1, 4096, 4097, 0xffffffff};
          const std::uint32_t value = odd[dice.below(std::size(odd))];
          std::memcpy(bytes.data() + at, &value, std::min<std::size_t>(4, bytes.size() - at));
        }
      }
    }
    if (bytes.size() >= kKeyFileFixedBytes && dice.chance(1, 2)) {  // past the checksum
      const std::uint64_t sum = crc64(kKeyFileSeed, std::span(bytes).first(bytes.size() - 8));
      std::memcpy(bytes.data() + bytes.size() - 8, &sum, 8);
    }
    const auto file = decode_key_file(bytes, "f");
    if (!file.has_value()) continue;
    ++decoded;
    if (bytes == sound) continue;
    EXPECT_FALSE(seal_holds(bytes, keks({1})->first()).value()) << seed;
  }
  EXPECT_GT(decoded, 500U);
}

}  // namespace
}  // namespace bop::aof::test
