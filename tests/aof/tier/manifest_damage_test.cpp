// Rot in the manifest: every single bit, every sector, every block. It is healed from the copy beside it or
// from the other file, or refused by name; never are wrong facts believed.
//
// BOP_AOF_EVERY_BIT=1 flips every bit of both files, padding too.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "aof/tier/manifest_fixture.hpp"

namespace bop::aof::test {
namespace {

struct Rotten {
  explicit Rotten(std::uint64_t seed) : world(seed) {
    auto manifest = world.create();
    EXPECT_TRUE(ok(manifest));
    history.push_back((*manifest)->state());
    const auto append = [&](int count) {
      for (int i = 0; i < count; ++i) {
        EXPECT_TRUE(ok((*manifest)->append(world.next_records())));
        history.push_back((*manifest)->state());
      }
    };
    append(2);
    EXPECT_TRUE(ok((*manifest)->rotate()));
    append(2);
    end = load_manifest(world.disk, kManifestDirectory)->newest.end;
  }
  [[nodiscard]] bool is_old(const ManifestState& state) const {
    return std::ranges::find(history, state) != history.end();
  }
  ManifestWorld world;
  std::vector<ManifestState> history;
  std::uint64_t end = 0;  // of the newest file
};

constexpr const char* kOlder = "/log/manifest-a";
constexpr const char* kNewer = "/log/manifest-b";

TEST(ManifestDamage, EverySingleBitIsHealed) {
  Rotten rotten(1);
  SimDisk& disk = rotten.world.disk;
  const std::uint64_t clean = load_manifest(disk, kManifestDirectory)->damaged_copies;
  EXPECT_EQ(clean, 0U);
  const bool every = std::getenv("BOP_AOF_EVERY_BIT") != nullptr;
  std::uint64_t detected = 0, used = 0;
  for (const char* path : {kOlder, kNewer}) {
    for (std::uint64_t byte = 0; byte < 65536; ++byte) {
      // Every bit of what is used of a block, and of its checksum; of the zeros between and behind some.
      const bool dense = every || byte % kDiskBlockBytes < 400 || byte % kDiskBlockBytes >= 4088;
      for (unsigned bit = 0; bit < 8; ++bit) {
        if (!dense && (byte * 8 + bit) % 67 != 0) continue;
        if (!every && byte >= rotten.end && (byte * 8 + bit) % 31 != 0) continue;
        ASSERT_TRUE(disk.flip_bit(path, byte, bit));
        const auto loaded = load_manifest(disk, kManifestDirectory);
        ASSERT_TRUE(ok(loaded)) << path << " byte " << byte << " bit " << bit;
        ASSERT_EQ(loaded->state, rotten.world.expected()) << path << " byte " << byte << " bit " << bit;
        if (path == kNewer && byte < rotten.end) {
          ++used;
          detected += loaded->damaged_copies == 1;
        }
        ASSERT_TRUE(disk.flip_bit(path, byte, bit));
      }
    }
  }
  EXPECT_EQ(detected, used) << "a flipped bit went unnoticed";
  EXPECT_GT(used, 20'000U);
}

// The next append after it writes a whole new file.
TEST(ManifestDamage, HealingIsARotation) {
  Rotten rotten(2);
  ASSERT_TRUE(rotten.world.disk.flip_bit(kNewer, kManifestHeaderEnd + 60, 1));
  auto manifest = rotten.world.open();
  ASSERT_TRUE(ok(manifest));
  EXPECT_EQ((*manifest)->damaged_copies(), 1U);
  const std::uint64_t generation = (*manifest)->generation();
  ASSERT_TRUE(ok((*manifest)->append(rotten.world.next_records())));
  EXPECT_EQ((*manifest)->generation(), generation + 1);
  const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
  ASSERT_TRUE(ok(loaded));
  EXPECT_EQ(loaded->damaged_copies, 0U);
  EXPECT_EQ(loaded->state, rotten.world.expected());
}

TEST(ManifestDamage, AnUnreadableSectorIsHealedOrRefusedByName) {
  std::uint64_t healed = 0, refused = 0;
  for (const char* path : {kOlder, kNewer}) {
    for (std::uint64_t sector = 0; sector < 65536 / kSectorBytes; ++sector) {
      Rotten rotten(3);
      ASSERT_TRUE(rotten.world.disk.break_sector(path, sector * kSectorBytes));
      const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
      if (loaded.has_value()) {
        ++healed;
        ASSERT_EQ(loaded->state, rotten.world.expected());
      } else {
        ++refused;
        EXPECT_EQ(loaded.error().code(), ErrorCode::kCorrupt);
        EXPECT_NE(loaded.error().what().find("manifest-"), std::string::npos);
        // Only where a next write could have stood.
        EXPECT_GE(sector * kSectorBytes, rotten.end / 2);
      }
    }
  }
  EXPECT_GT(healed, 100U);
  EXPECT_GT(refused, 0U);
}

// Both copies of anything gone at once: the snapshot comes from the other file, the last append cannot be
// told from one that was never acknowledged, anything else is refused.
TEST(ManifestDamage, BothCopiesOfEveryWrite) {
  const auto scan = [](Rotten& rotten) {
    return load_manifest(rotten.world.disk, kManifestDirectory)->newest;
  };
  Rotten whole(4);
  const ManifestScan newest = scan(whole);
  ASSERT_EQ(newest.live.size(), 2U);
  const auto break_write = [](Rotten& rotten, std::uint64_t offset, std::uint64_t end) {
    for (std::uint64_t at = offset; at < end; at += kDiskBlockBytes) {
      ASSERT_TRUE(rotten.world.disk.flip_bit(kNewer, at + 20, 3));
    }
  };
  {
    Rotten rotten(4);
    break_write(rotten, newest.snapshot.front().offset, newest.header.snapshot_end);
    const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
    ASSERT_TRUE(ok(loaded));
    EXPECT_TRUE(loaded->snapshot_from_other);
    EXPECT_EQ(loaded->state, rotten.world.expected());
    auto manifest = rotten.world.open();
    ASSERT_TRUE(ok(manifest));
    ASSERT_TRUE(ok((*manifest)->append(rotten.world.next_records())));
    EXPECT_TRUE(load_manifest(rotten.world.disk, kManifestDirectory)->newest.snapshot_whole);
  }
  // Healing it fails or is cut at every call: until the new file is whole the only whole snapshot stays.
  std::uint64_t calls = 1;
  for (bool struck = true; struck; ++calls) {
    for (const SimFault fault : {SimFault::kIo, SimFault::kDiskFull, SimFault::kFailedSync}) {
      Rotten rotten(4);
      break_write(rotten, newest.snapshot.front().offset, newest.header.snapshot_end);
      const ManifestState before = rotten.world.expected();
      const auto records = rotten.world.next_records();
      auto manifest = rotten.world.open();
      ASSERT_TRUE(ok(manifest));
      rotten.world.disk.fail_call(calls, fault);
      static_cast<void>((*manifest)->append(records));
      if (fault == SimFault::kIo) struck = rotten.world.disk.faults_struck() > 0;
      manifest = Result<std::unique_ptr<Manifest>>(std::unique_ptr<Manifest>());
      rotten.world.disk.clear_faults();
      rotten.world.disk.power_cut();
      const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
      ASSERT_TRUE(ok(loaded)) << "call " << calls;
      EXPECT_TRUE(loaded->state == before || loaded->state == rotten.world.expected()) << "call " << calls;
    }
  }
  EXPECT_GT(calls, 10U);
  {
    Rotten rotten(4);
    break_write(rotten, newest.live[0].offset, newest.live[1].offset);
    // A follower is not led over the hole.
    auto manifest = rotten.world.open();
    EXPECT_FALSE(manifest.has_value());
  }
  {
    Rotten rotten(4);
    auto manifest = rotten.world.open();
    ASSERT_TRUE(ok(manifest));
    const std::uint64_t begin = newest.header.sequence;
    ASSERT_TRUE((*manifest)->read_from(begin, 100).has_value());
    break_write(rotten, newest.live[0].offset, newest.live[1].offset);  // while it is open
    const auto hole = (*manifest)->read_from(begin, 100);
    ASSERT_FALSE(hole.has_value());
    EXPECT_EQ(hole.error().code(), ErrorCode::kNotInPrerequisiteState);
  }
  {
    Rotten rotten(4);
    break_write(rotten, newest.snapshot.front().offset, newest.header.snapshot_end);
    ASSERT_TRUE(rotten.world.disk.flip_bit(kOlder, kManifestHeaderEnd + 20, 3));
    EXPECT_TRUE(ok(load_manifest(rotten.world.disk, kManifestDirectory)));
    ASSERT_TRUE(rotten.world.disk.flip_bit(kOlder, kManifestHeaderEnd + kDiskBlockBytes + 20, 3));
    const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code(), ErrorCode::kCorrupt);
  }
  {
    Rotten rotten(4);
    break_write(rotten, newest.live[0].offset, newest.live[1].offset);
    const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code(), ErrorCode::kCorrupt);
  }
  {
    Rotten rotten(4);
    break_write(rotten, newest.live[1].offset, newest.end);
    const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
    ASSERT_TRUE(ok(loaded));
    EXPECT_TRUE(loaded->torn_tail);
    EXPECT_EQ(loaded->state, rotten.history[rotten.history.size() - 2]);
  }
  {
    Rotten rotten(4);
    break_write(rotten, 0, kManifestHeaderEnd);
    const auto loaded = load_manifest(rotten.world.disk, kManifestDirectory);
    ASSERT_FALSE(loaded.has_value()) << "the older file was superseded";
    EXPECT_EQ(loaded.error().code(), ErrorCode::kCorrupt);
  }
}

// Bytes changed, cut, moved and zeroed at random: a state that was once true, or a refusal.
TEST(ManifestDamage, RandomRotGivesNoStateThatNeverWas) {
  SimRandom dice(77);
  std::uint64_t refused = 0, read = 0;
  Rotten rotten(5);
  std::array<std::vector<std::byte>, 2> whole;
  for (std::size_t i = 0; i < 2; ++i) {
    auto file = rotten.world.disk.open(i == 0 ? kOlder : kNewer, OpenMode::kRead);
    whole[i].resize((*file)->size().value());
    ASSERT_TRUE(ok((*file)->read_at(ByteOffset(0), whole[i])));
  }
  for (int round = 0; round < 6000; ++round) {
    SimDisk disk(1, {.trace_length = 0});
    ASSERT_TRUE(ok(disk.create_directories("/log")));
    auto bytes = whole;
    for (std::uint64_t i = 0, n = 1 + dice.below(6); i < n; ++i) {
      auto& one = bytes[dice.below(2)];
      const std::size_t used = std::min<std::size_t>(one.size(), 12 * kDiskBlockBytes);
      if (used < 2 * kDiskBlockBytes) continue;
      const std::size_t at = dice.below(used);
      switch (dice.below(5)) {
        case 0: one[at] ^= static_cast<std::byte>(1 + dice.below(255)); break;
        case 1: one.resize(at); break;
        case 2:
          std::ranges::fill(std::span(one).subspan(at, std::min<std::size_t>(kDiskBlockBytes, used - at)),
                            std::byte{});
          break;
        case 3: {
          const auto& other = bytes[dice.below(2)];
          if (other.size() < used) break;
          const std::size_t from = dice.below(used / kDiskBlockBytes) * kDiskBlockBytes;
          const std::size_t to = at / kDiskBlockBytes * kDiskBlockBytes;
          const std::vector<std::byte> piece(
              other.begin() + static_cast<std::ptrdiff_t>(from),
              other.begin() + static_cast<std::ptrdiff_t>(from + kDiskBlockBytes));
          std::ranges::copy(piece, one.begin() + static_cast<std::ptrdiff_t>(to));
          break;
        }
        default: dice.fill(std::span(one).subspan(at, std::min<std::size_t>(64, used - at)));
      }
    }
    ASSERT_TRUE(ok(put_file(disk, kOlder, bytes[0])));
    ASSERT_TRUE(ok(put_file(disk, kNewer, bytes[1])));
    const auto loaded = load_manifest(disk, "/log");
    if (!loaded.has_value()) {
      ++refused;
      continue;
    }
    ++read;
    ASSERT_TRUE(rotten.is_old(loaded->state)) << "round " << round;
  }
  EXPECT_GT(refused, 500U);
  EXPECT_GT(read, 500U);
}

}  // namespace
}  // namespace bop::aof::test
