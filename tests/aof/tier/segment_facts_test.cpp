// Facts: derived from the file alone, the same whatever a dying process left behind the end, and of the image
// alone as of the file.
#include "aof/tier/segment_facts.hpp"

#include "aof/stream_files.hpp"
#include "aof/tier/made_segments.hpp"

namespace bop::aof::test {
namespace {

Result<FoundFacts> facts_on_disk(SimDisk& disk, const MadeSegment& made, const Progress& progress = {}) {
  const std::string path = std::string("/log/") + segment_name(made.header.number);
  auto file = disk.open(path, OpenMode::kRead);
  if (!file.has_value()) return std::unexpected(file.error());
  return find_facts(**file, made.header, made.seal, progress);
}

TEST(SegmentFacts, AreWhatTheMakerKnows) {
  SimDisk disk(1);
  ASSERT_TRUE(ok(disk.create_directories("/log")));
  SegmentMaker maker(7);
  for (const std::uint64_t entries : {3U, 1U, 0U, 20U}) {
    const MadeSegment made = maker.make(entries);
    ASSERT_TRUE(ok(put_segment(disk, "/log", made)));
    const auto found = facts_on_disk(disk, made);
    ASSERT_TRUE(ok(found));
    EXPECT_EQ(found->facts, made.facts);
    EXPECT_EQ(found->facts.entries(), entries);
    const auto alone = facts_of_image(SegmentMaker::image_of(made), "image");
    ASSERT_TRUE(ok(alone));
    EXPECT_EQ(*alone, made.facts);
  }
}

TEST(SegmentFacts, WhatIsBehindAFenceDoesNotCount) {
  // Whatever stands there, and also when it changes later: every length up to the end of the block and
  // beyond.
  for (std::size_t torn = 1; torn < 5000; torn += 97) {
    SimDisk disk(torn);
    ASSERT_TRUE(ok(disk.create_directories("/log")));
    SegmentMaker maker(3);
    MadeSegment made = maker.make(2, torn);
    ASSERT_TRUE(ok(put_segment(disk, "/log", made)));
    const auto before = facts_on_disk(disk, made);
    ASSERT_TRUE(ok(before));
    EXPECT_EQ(before->facts, made.facts);
    made.file[static_cast<std::size_t>(made.facts.records_end)] ^= std::byte{1};
    ASSERT_TRUE(ok(put_segment(disk, "/log", made)));
    const auto after = facts_on_disk(disk, made);
    ASSERT_TRUE(ok(after));
    EXPECT_EQ(after->facts, made.facts);
    const auto alone = facts_of_image(SegmentMaker::image_of(made), "image");
    ASSERT_TRUE(ok(alone));
    EXPECT_EQ(*alone, made.facts);
  }
}

TEST(SegmentFacts, AnImageWhoseRecordsEndAnywhereInABlockIsRead) {
  std::set<std::uint64_t> left;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    SegmentMaker maker(seed);
    const MadeSegment made = maker.make(1 + seed % 25, 8);
    const auto alone = facts_of_image(SegmentMaker::image_of(made), "image");
    ASSERT_TRUE(ok(alone)) << seed;
    EXPECT_EQ(*alone, made.facts);
    left.insert(made.facts.image_bytes() - made.facts.records_end);
  }
  EXPECT_LT(*left.begin(), 32U) << "no image ended within a record's header of a block's end";
}

TEST(SegmentFacts, EveryFlippedBitOfAnImageIsDetected) {
  SegmentMaker maker(5);
  const MadeSegment made = maker.make(3);
  auto image = SegmentMaker::image_of(made);
  SimDisk disk(1);
  ASSERT_TRUE(ok(disk.create_directories("/log")));
  ASSERT_TRUE(ok(put_file(disk, "/log/x", made.file)));
  auto file = disk.open("/log/x", OpenMode::kRead);
  ASSERT_TRUE(ok(file));
  for (std::size_t bit = 0; bit < image.size() * 8; ++bit) {
    image[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto facts = facts_of_image(image, "image");
    EXPECT_TRUE(!facts.has_value() || *facts != made.facts) << bit;
    image[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    if (bit % 61 != 0) continue;
    ASSERT_TRUE(disk.flip_bit("/log/x", bit / 8, bit % 8));
    EXPECT_FALSE(load_image(**file, made.facts).has_value()) << bit;
    ASSERT_TRUE(disk.flip_bit("/log/x", bit / 8, bit % 8));
  }
  EXPECT_TRUE(ok(load_image(**file, made.facts)));
}

TEST(SegmentFacts, AMissingTailOfASealedSegmentIsDamage) {
  SimDisk disk(1);
  ASSERT_TRUE(ok(disk.create_directories("/log")));
  SegmentMaker maker(7);
  MadeSegment made = maker.make(3);
  std::fill(made.file.begin() + 4500, made.file.end(), std::byte{0});
  ASSERT_TRUE(ok(put_segment(disk, "/log", made)));
  const auto found = facts_on_disk(disk, made);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code(), ErrorCode::kCorrupt);
}

TEST(SegmentFacts, ProgressIsToldAndCanCancel) {
  SimDisk disk(1);
  ASSERT_TRUE(ok(disk.create_directories("/log")));
  SegmentMaker maker(7);
  const MadeSegment made = maker.make(3);
  ASSERT_TRUE(ok(put_segment(disk, "/log", made)));
  std::uint64_t calls = 0;
  ASSERT_TRUE(ok(facts_on_disk(disk, made, [&](std::uint64_t done, std::uint64_t all) {
    EXPECT_LE(done, all);
    return ++calls > 0;
  })));
  EXPECT_GT(calls, 0U);
  const auto cancelled = facts_on_disk(disk, made, [](std::uint64_t, std::uint64_t) { return false; });
  ASSERT_FALSE(cancelled.has_value());
  EXPECT_EQ(cancelled.error().code(), ErrorCode::kCancelled);
}

// Segments of a real stream, through crashes: every sealed one has facts, and its image alone gives the same.
TEST(SegmentFacts, OfStreamsThatWereCutOff) {
  std::uint64_t sealed = 0, fenced = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    SimRandom dice(seed);
    for (int life = 0; life < 4; ++life) {
      auto stream = world.open();
      ASSERT_TRUE(ok(stream));
      for (std::uint64_t i = 0, n = dice.below(120); i < n; ++i) {
        static_cast<void>(append_one(**stream, i, dice.below(1500)));
        if (dice.chance(1, 3)) static_cast<void>(world.disk.poll());
        if (dice.chance(1, 10)) static_cast<void>((*stream)->maintain());
      }
      world.disk.power_cut();
    }
    const auto files = find_segments(world.disk, kDirectory);
    ASSERT_TRUE(ok(files));
    for (std::size_t i = 0; i + 1 < files->chain.size(); ++i) {
      const SegmentHeader& next = files->chain[i + 1].header;
      auto file = world.disk.open(files->chain[i].path, OpenMode::kRead);
      ASSERT_TRUE(ok(file));
      const auto found = find_facts(**file, files->chain[i].header, {next.previous, next.timeline});
      ASSERT_TRUE(ok(found));
      ++sealed;
      fenced += next.timeline != files->chain[i].header.timeline;
      const auto image = load_image(**file, found->facts);
      ASSERT_TRUE(ok(image));
      const auto alone = facts_of_image(*image, "image");
      ASSERT_TRUE(ok(alone));
      EXPECT_EQ(*alone, found->facts);
      if (next.timeline == files->chain[i].header.timeline) {
        EXPECT_EQ(found->facts.records_end, found->facts.image_bytes());
      }
    }
  }
  EXPECT_GT(fenced, 50U);
  EXPECT_GT(sealed, fenced);
}

}  // namespace
}  // namespace bop::aof::test
