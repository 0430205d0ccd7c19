// A manifest that is damaged or gone is made anew from segments, compressed files and the archive, or refused
// by name.
#include "aof/tier/manifest_repair.hpp"

#include "aof/tier/bucket_fixture.hpp"
#include "aof/tier/tier_files.hpp"

namespace bop::aof::test {
namespace {

// Seven segments: 1 to 4 archived, of them 1 and 2 only there; 3 and 4 compressed, 4 raw, too; 5 and 6 raw; 7
// is being written.
struct Damaged {
  explicit Damaged(std::uint64_t seed)
      : bucket(seed), disk(seed, {.trace_length = 0}), dice(seed), maker(seed) {
    EXPECT_TRUE(ok(disk.create_directories("/log")));
    process = std::make_unique<Process>(bucket, disk, maker.identity, 1);
    process->start();
    process->settle(dice);
    for (int i = 0; i < 4; ++i) seal();
    process->archiver->publish_now();
    process->settle(dice);
    EXPECT_TRUE(process->archiver->is_idle());
    process->archiver.reset();
    Manifest& manifest = *process->manifest;
    for (const std::uint64_t number : {3U, 4U}) {
      const MadeSegment& segment = made[number - 1];
      const auto object = encode_object(SegmentMaker::image_of(segment), segment.facts, {});
      EXPECT_TRUE(ok(write_whole(disk, "/log", tier_one_name(number), *object->bytes)));
      EXPECT_TRUE(ok(manifest.append(
          TierOneMadeRecord{number, {object->bytes->size(), object->checksum, object->frames}})));
    }
    for (const std::uint64_t number : {1U, 2U, 3U}) {
      EXPECT_TRUE(ok(remove_durably(disk, "/log", segment_name(number))));
      EXPECT_TRUE(ok(manifest.append(TierZeroDroppedRecord{number})));
    }
    for (int i = 0; i < 2; ++i) {
      made.push_back(maker.make(2, i == 0 ? 50 : 0));
      EXPECT_TRUE(ok(put_segment(disk, "/log", made.back())));
      EXPECT_TRUE(ok(manifest.append(FinalizedRecord{made.back().facts})));
    }
    active = maker.make(1);
    EXPECT_TRUE(ok(put_segment(disk, "/log", active)));
    before = manifest.state();
  }
  void seal() {
    made.push_back(maker.make(1 + dice.below(4)));
    EXPECT_TRUE(ok(process->seal(made.back())));
  }
  void destroy() {
    for (const char* name : {"/log/manifest-a", "/log/manifest-b"}) {
      static_cast<void>(disk.flip_bit(name, 30, 1));
      static_cast<void>(disk.flip_bit(name, 4096 + 30, 1));
    }
    ASSERT_FALSE(load_manifest(disk, "/log").has_value());
  }
  Result<ManifestRepair> repair(bool with_archive = true) {
    BucketView view(*process->store, process->names, maker.identity, {}, 700);
    return repair_manifest(disk, {.directory = "/log",
                                  .identity = maker.identity,
                                  .archive = with_archive ? &view : nullptr,
                                  .manifest = {.least_bytes = 65536}});
  }

  StrayBucket bucket;
  SimDisk disk;
  SimRandom dice;
  SegmentMaker maker;
  std::unique_ptr<Process> process;
  std::vector<MadeSegment> made;
  MadeSegment active;
  ManifestState before;
};

std::vector<std::string> texts(const ManifestState& state) {
  std::vector<std::string> out;
  for (const ManifestRecord& record : state.records()) out.push_back(describe(record));
  return out;
}

TEST(ManifestRepair, EverythingIsFoundAgain) {
  Damaged log(1);
  log.destroy();
  const auto repaired = log.repair();
  ASSERT_TRUE(ok(repaired));
  EXPECT_FALSE(repaired->was_sound);
  EXPECT_EQ(repaired->segments, 6U);
  EXPECT_EQ(repaired->raw, 3U);
  EXPECT_EQ(repaired->compressed, 2U);
  EXPECT_EQ(repaired->archived, 4U);
  const auto loaded = load_manifest(log.disk, "/log");
  ASSERT_TRUE(ok(loaded));
  EXPECT_EQ(texts(loaded->state), texts(log.before));
  EXPECT_TRUE(log.disk.exists("/log/manifest-a.damaged").value());
  const auto again = log.repair();
  ASSERT_TRUE(ok(again));
  EXPECT_TRUE(again->was_sound);
}

TEST(ManifestRepair, AlsoWhenTheManifestIsGone) {
  Damaged log(2);
  log.process->manifest.reset();
  ASSERT_TRUE(ok(log.disk.remove("/log/manifest-a")));
  if (log.disk.exists("/log/manifest-b").value()) {
    ASSERT_TRUE(ok(log.disk.remove("/log/manifest-b")));
  }
  ASSERT_TRUE(ok(log.repair()));
  EXPECT_EQ(texts(load_manifest(log.disk, "/log")->state), texts(log.before));
}

TEST(ManifestRepair, CutAnywhereItIsMadeAgain) {
  for (std::uint64_t call = 1; call < 120; call += 2) {
    Damaged log(3);
    log.destroy();
    log.disk.fail_call(call, SimFault::kIo, true);
    static_cast<void>(log.repair());
    log.disk.clear_faults();
    log.disk.power_cut();
    const auto repaired = log.repair();
    ASSERT_TRUE(ok(repaired)) << "call " << call;
    const auto loaded = load_manifest(log.disk, "/log");
    ASSERT_TRUE(ok(loaded)) << "call " << call;
    EXPECT_EQ(texts(loaded->state), texts(log.before)) << "call " << call;
  }
}

TEST(ManifestRepair, ASegmentWithoutACopyIsNamed) {
  {
    Damaged log(4);
    log.destroy();
    const auto refused = log.repair(false);
    ASSERT_TRUE(ok(refused)) << "without the archive 1 and 2 count as deleted";
    EXPECT_EQ(refused->segments, 4U);
    EXPECT_EQ(load_manifest(log.disk, "/log")->state.low_number(), 3U);
  }
  {
    Damaged log(5);
    log.destroy();
    ASSERT_TRUE(ok(remove_durably(log.disk, "/log", segment_name(4))));
    ASSERT_TRUE(ok(remove_durably(log.disk, "/log", tier_one_name(log.made[3].facts.id.number))));
    const auto refused = log.repair(false);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt);
    EXPECT_NE(refused.error().what().find("segment 4"), std::string::npos) << refused.error().what();
    EXPECT_FALSE(log.disk.exists("/log/manifest-a.damaged").value()) << "nothing was changed";
    EXPECT_TRUE(ok(log.repair(true))) << "the archive has it";
  }
}

// A compressed file that is not whole is passed over where there is another copy, and not believed where
// there is none.
TEST(ManifestRepair, ADamagedCopyIsNotBelieved) {
  Damaged log(6);
  log.destroy();
  ASSERT_TRUE(log.disk.flip_bit("/log/" + tier_one_name(log.made[2].facts.id.number), 90, 2));
  const auto repaired = log.repair();
  ASSERT_TRUE(ok(repaired));
  EXPECT_EQ(repaired->compressed, 1U);
  ASSERT_EQ(repaired->passed_over.size(), 1U);
  EXPECT_NE(repaired->passed_over[0].find(tier_one_name(log.made[2].facts.id.number)), std::string::npos);
  Damaged raw(7);
  raw.destroy();
  ASSERT_TRUE(raw.disk.flip_bit("/log/" + segment_name(6), 4400, 2));
  const auto refused = raw.repair();
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().what().find(segment_name(6)), std::string::npos) << refused.error().what();
}

}  // namespace
}  // namespace bop::aof::test
