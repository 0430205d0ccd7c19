// The manifest as its owner sees it: what was appended is there after reopening, rotations change nothing,
// and followers read on from a position.
#include "aof/tier/manifest.hpp"

#include <cstdlib>
#include <fstream>

#include "aof/tier/manifest_fixture.hpp"

namespace bop::aof::test {
namespace {

TEST(Manifest, WhatWasAppendedIsThereAgain) {
  ManifestWorld world(1);
  auto manifest = world.create();
  ASSERT_TRUE(ok(manifest));
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
    if (i % 37 == 0) {
      const ManifestState before = (*manifest)->state();
      const std::uint64_t sequence = (*manifest)->sequence();
      manifest = world.open();
      ASSERT_TRUE(ok(manifest));
      EXPECT_EQ((*manifest)->state(), before);
      EXPECT_EQ((*manifest)->sequence(), sequence);
    }
  }
  EXPECT_GT((*manifest)->generation(), 5U);
  EXPECT_EQ((*manifest)->state(), world.expected());
}

TEST(Manifest, ARecordThatDoesNotFitIsRefusedAndChangesNothing) {
  ManifestWorld world(2);
  auto manifest = world.create();
  ASSERT_TRUE(ok(manifest));
  SegmentMaker maker(9);
  const SegmentFacts one = maker.make().facts;
  const SegmentFacts two = maker.make().facts;
  const SegmentFacts three = maker.make().facts;
  Manifest& m = **manifest;
  ASSERT_TRUE(ok(m.append(FinalizedRecord{one})));
  const std::string key = print_key(key_of(one, Epoch(1)));
  const std::vector<std::pair<const char*, ManifestRecord>> wrong{
      {"a gap", FinalizedRecord{three}},
      {"an unknown segment", TierZeroDroppedRecord{2}},
      {"the only copy", TierZeroDroppedRecord{1}},
      {"an epoch that was never taken", ArchiveBegunRecord{1, {Epoch(1), key}}},
      {"the object of another segment",
       ArchivedRecord{1, {Epoch(1), 1, 1, print_key(key_of(two, Epoch(1))), "e"}}},
      {"the object of another epoch", ArchivedRecord{1, {Epoch(2), 1, 1, key, "e"}}},
      {"a cut through a segment", DeletedRecord{2, Lsn(2)}},
      {"a snapshot's mark", SnapshotEndRecord{1}},
  };
  for (const auto& [what, record] : wrong) {
    const ManifestState before = m.state();
    const std::uint64_t sequence = m.sequence();
    const auto refused = m.append(record);
    ASSERT_FALSE(refused.has_value()) << what;
    EXPECT_EQ(refused.error().code(), ErrorCode::kNotInPrerequisiteState) << what;
    EXPECT_EQ(m.state(), before);
    EXPECT_EQ(m.sequence(), sequence);
  }
  // All or none of several.
  const std::vector<ManifestRecord> half{FinalizedRecord{two}, TierZeroDroppedRecord{2}};
  EXPECT_FALSE(m.append(half).has_value());
  EXPECT_EQ(m.state().segments().size(), 1U);
  // What is known already is no error.
  EXPECT_TRUE(ok(m.append(FinalizedRecord{one})));
}

// What a reader would refuse is refused before it is written.
TEST(Manifest, TheLongestTextsAreKeptAndLongerOnesAreNotWritten) {
  ManifestWorld world(9);
  auto manifest = world.create();
  ASSERT_TRUE(ok(manifest));
  SegmentMaker maker(10);
  const SegmentFacts one = maker.make().facts;
  ASSERT_TRUE(ok((*manifest)->append(FinalizedRecord{one})));
  ASSERT_TRUE(ok((*manifest)->append(EpochTakenRecord{Epoch(1), Lsn(1)})));
  const std::string name = print_key(key_of(one, Epoch(1)));
  const std::string key = std::string(kLongestObjectKey - name.size() - 1, 'p') + "/" + name;
  const std::string etag(kLongestEtag, 'e');
  const ArchivedCopy longest{Epoch(1), 1, 2, key, etag};
  for (const ManifestRecord& record : std::vector<ManifestRecord>{
           ArchiveBegunRecord{1, {Epoch(1), "p" + key}}, ArchivedRecord{1, {Epoch(1), 1, 2, "p" + key, etag}},
           ArchivedRecord{1, {Epoch(1), 1, 2, key, etag + "e"}},
           KeyAddedRecord{1, std::string(kLongestWrappedKey + 1, 'k')}}) {
    const auto refused = (*manifest)->append(record);
    ASSERT_FALSE(refused.has_value()) << describe(record);
    EXPECT_EQ(refused.error().code(), ErrorCode::kNotInPrerequisiteState);
  }
  ASSERT_TRUE(ok((*manifest)->append(ArchivedRecord{1, longest})));
  ASSERT_TRUE(ok((*manifest)->append(KeyAddedRecord{1, std::string(kLongestWrappedKey, 'k')})));
  const ManifestState before = (*manifest)->state();
  ASSERT_TRUE(ok((*manifest)->rotate()));
  manifest = world.open();
  ASSERT_TRUE(ok(manifest));
  EXPECT_EQ((*manifest)->state(), before);
}

TEST(Manifest, WhenASegmentWasFinalizedSurvivesRotationsAndNeverGoesBack) {
  ManifestWorld world(11);
  auto manifest = world.create();
  ASSERT_TRUE(ok(manifest));
  SegmentMaker maker(12);
  ASSERT_TRUE(ok((*manifest)->append(FinalizedRecord{maker.make().facts})));  // before times were recorded
  for (const std::int64_t now : {100, 100, 250}) {
    const ManifestRecord both[] = {AgedRecord{now}, FinalizedRecord{maker.make().facts}};
    ASSERT_TRUE(ok((*manifest)->append(both)));
  }
  ASSERT_TRUE(ok((*manifest)->append(AgedRecord{400})));
  EXPECT_FALSE((*manifest)->append(AgedRecord{399}).has_value());
  const ManifestState before = (*manifest)->state();
  ASSERT_TRUE(ok((*manifest)->rotate()));
  manifest = world.open();
  ASSERT_TRUE(ok(manifest));
  EXPECT_EQ((*manifest)->state(), before);
  EXPECT_EQ((*manifest)->state().retention_us(), 400);
  std::vector<std::int64_t> times;
  for (const auto& [number, segment] : (*manifest)->state().segments()) times.push_back(segment.finalized_us);
  EXPECT_EQ(times, (std::vector<std::int64_t>{0, 100, 100, 250}));
}

TEST(Manifest, FollowersReadOnAndAreToldWhenTheyAreTooLate) {
  ManifestWorld world(3);
  auto manifest = world.create();
  ASSERT_TRUE(ok(manifest));
  ManifestState follower(world.identity());
  std::uint64_t position = 0;
  std::uint64_t compacted = 0;
  SimRandom dice(3);
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
    if (!dice.chance(1, i < 300 ? 5 : 60)) continue;
    auto entries = (*manifest)->read_from(position, 1 + dice.below(40));
    if (!entries.has_value()) {
      ASSERT_EQ(entries.error().code(), ErrorCode::kNotInPrerequisiteState);
      ++compacted;
      follower = (*manifest)->state();
      position = (*manifest)->sequence();
      continue;
    }
    while (!entries->empty()) {
      for (const ManifestEntry& entry : *entries) {
        ASSERT_EQ(entry.sequence, ++position);
        ASSERT_TRUE(ok(follower.check(entry.record)));
        follower.apply(entry.record);
      }
      entries = (*manifest)->read_from(position, 40);
      ASSERT_TRUE(ok(entries));
    }
    EXPECT_EQ(follower, (*manifest)->state());
    EXPECT_EQ(position, (*manifest)->sequence());
  }
  EXPECT_GT(compacted, 0U);
  EXPECT_FALSE((*manifest)->read_from((*manifest)->sequence() + 1, 1).has_value());
}

TEST(Manifest, AnotherStreamsIsRefused) {
  ManifestWorld world(4);
  ASSERT_TRUE(ok(world.create()));
  const auto other = Manifest::open(world.disk, kManifestDirectory, StreamIdentity{1}, {});
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code(), ErrorCode::kConfigInvalid);
  EXPECT_FALSE(world.create().has_value());
  const auto none = load_manifest(world.disk, "/");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), ErrorCode::kFileNotFound);
}

TEST(Manifest, ANewerVersionIsRefused) {
  ManifestWorld world(5);
  ASSERT_TRUE(ok(world.create()));
  for (const std::size_t field : {8U, 10U}) {  // version, flags
    auto header = encode_manifest_header({world.identity(), 1, 0, 16384, 0});
    for (std::size_t at = 0; at < header.size(); at += kDiskBlockBytes) {
      header[at + field] = std::byte{2};
      const std::uint64_t checksum =
          crc64(kManifestSeed + at, std::span(header).subspan(at, kDiskBlockBytes - 8));
      std::memcpy(header.data() + at + kDiskBlockBytes - 8, &checksum, 8);
    }
    ASSERT_TRUE(ok(put_file(world.disk, std::string(kManifestDirectory) + "/manifest-a", header)));
    const auto loaded = load_manifest(world.disk, kManifestDirectory);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code(), ErrorCode::kFormatTooNew);
  }
}

// A full disk: appends go on in the room that the files have, rotations take the file as it is, and what
// needs more answers kDiskFull, changes nothing, and works when there is room.
TEST(Manifest, AFullDiskStopsNothingButGrowthAndIsOverWhenThereIsRoom) {
  ManifestWorld world(6);
  auto manifest = world.create();
  ASSERT_TRUE(ok(manifest));
  world.disk.set_capacity(world.disk.used_bytes());
  std::uint64_t appended = 0, refused = 0;
  for (int i = 0; i < 4000 && refused < 3; ++i) {
    const auto records = world.peek_records(false);
    const ManifestState before = (*manifest)->state();
    const std::uint64_t sequence = (*manifest)->sequence();
    const auto status = (*manifest)->append(records);
    if (status.has_value()) {
      ++appended;
      world.note(records);
      continue;
    }
    ASSERT_EQ(status.error().code(), ErrorCode::kDiskFull);
    EXPECT_EQ((*manifest)->state(), before);
    EXPECT_EQ((*manifest)->sequence(), sequence);
    ++refused;
    // The same after a restart.
    if (refused == 2) {
      manifest = world.open();
      ASSERT_TRUE(ok(manifest));
      EXPECT_EQ((*manifest)->state(), before);
    }
  }
  EXPECT_EQ(refused, 3U);
  EXPECT_GT((*manifest)->generation(), 3U) << "rotations on a full disk";
  EXPECT_GT(appended, 20U);
  // Deleting works at zero bytes free, and the smaller snapshot makes room.
  world.disk.set_capacity(0);
  ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
  EXPECT_EQ((*manifest)->state(), world.expected());
}

TEST(Manifest, AFailedWritePoisonsAndAReopenedOneGoesOn) {
  std::uint64_t poisoned = 0, kept = 0;
  for (std::uint64_t call = 1; call <= 40; ++call) {
    for (const SimFault fault :
         {SimFault::kIo, SimFault::kFailedSync, SimFault::kDiskFull, SimFault::kShort}) {
      ManifestWorld world(call * 10 + static_cast<std::uint64_t>(fault));
      auto manifest = world.create();
      ASSERT_TRUE(ok(manifest));
      for (int i = 0; i < 3; ++i) ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
      world.disk.fail_call(call, fault);
      std::optional<std::vector<ManifestRecord>> doubtful;
      for (int i = 0; i < 12; ++i) {
        const auto records = world.peek_records();
        const auto status = i % 4 == 3 ? (*manifest)->rotate() : (*manifest)->append(records);
        if (status.has_value()) {
          if (i % 4 != 3) world.note(records);
          continue;
        }
        EXPECT_EQ((*manifest)->state(), world.expected());
        if (status.error().code() == ErrorCode::kDiskFull) continue;
        doubtful = records;
        if (status.error().code() == ErrorCode::kPoisoned) ++poisoned;
      }
      world.disk.clear_faults();
      manifest = world.open();
      ASSERT_TRUE(ok(manifest));
      if ((*manifest)->state() != world.expected() && doubtful.has_value()) {
        world.note(*doubtful);
        ++kept;
      }
      EXPECT_EQ((*manifest)->state(), world.expected()) << "call " << call;
      ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
    }
  }
  EXPECT_GT(poisoned, 10U);
  EXPECT_GT(kept, 0U);
}

// tests/golden/manifest-1: a manifest of version 1 with every kind of record, and what it says.
TEST(Manifest, TheGoldenOneOfVersion1IsReadForEver) {
  const char* source = std::getenv("BOP_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  const std::string folder = std::string(source) + "/tests/golden/manifest-1";
  SimDisk disk(1);
  ASSERT_TRUE(ok(disk.create_directories("/golden")));
  for (const char* name : {"manifest-a", "manifest-b"}) {
    std::ifstream in(folder + "/" + name, std::ios::binary);
    ASSERT_TRUE(in.good()) << folder;
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    ASSERT_TRUE(ok(put_file(disk, std::string("/golden/") + name, std::as_bytes(std::span(bytes)))));
  }
  const auto loaded = load_manifest(disk, "/golden");
  ASSERT_TRUE(ok(loaded));
  std::string text =
      fmt::format("generation {} sequence {}\n", loaded->newest.header.generation, loaded->sequence);
  for (const ManifestRecord& record : loaded->state.records()) text += describe(record) + "\n";
  std::ifstream in(folder + "/state.txt");
  const std::string expected((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(text, expected);
}

// How the files were made: BOP_GOLDEN=<folder> writes them anew.
TEST(Manifest, TheGoldenFilesAreWrittenSo) {
  SimDisk disk(1);
  ASSERT_TRUE(ok(disk.create_directories(kManifestDirectory)));
  SegmentMaker maker(1);
  auto manifest =
      Manifest::create(disk, kManifestDirectory, ManifestState(maker.identity), {.least_bytes = 65536});
  ASSERT_TRUE(ok(manifest));
  const SegmentFacts one = maker.make().facts, two = maker.make(2, 100).facts, three = maker.make(5).facts,
                     four = maker.make(0).facts;
  const auto key = [&](const SegmentFacts& facts) {
    return BucketNames("golden", maker.identity).segment(key_of(facts, Epoch(3)));
  };
  const std::vector<ManifestRecord> records{
      FinalizedRecord{one},
      FinalizedRecord{two},
      EpochTakenRecord{Epoch(3), Lsn(1)},
      KeyAddedRecord{0xabc, "wrapped"},
      TierOneMadeRecord{1, {500, 0x1234, 1}},
      ArchiveBegunRecord{1, {Epoch(3), key(one)}},
      ArchivedRecord{1, {Epoch(3), 500, 0x1234, key(one), "\"etag\""}},
      TierZeroDroppedRecord{1},
      FinalizedRecord{three},
      FinalizedRecord{four},
      TierOneDroppedRecord{1},
      DeletedRecord{2, two.base},
      TierOneMadeRecord{2, {600, 0x2345, 2}},
      ArchivedRecord{2, {Epoch(3), 600, 0x2345, key(two), "\"etag2\""}},
      TierZeroDroppedRecord{2},
      ArchiveBegunRecord{3, {Epoch(3), key(three)}},
  };
  for (std::size_t i = 0; i < records.size(); ++i) {
    ASSERT_TRUE(ok((*manifest)->append(records[i]))) << describe(records[i]);
  }
  EXPECT_GT((*manifest)->generation(), 1U);
  const auto loaded = load_manifest(disk, kManifestDirectory);
  ASSERT_TRUE(ok(loaded));
  const char* folder = std::getenv("BOP_GOLDEN");
  if (folder == nullptr) return;
  std::string text =
      fmt::format("generation {} sequence {}\n", loaded->newest.header.generation, loaded->sequence);
  for (const ManifestRecord& record : loaded->state.records()) text += describe(record) + "\n";
  std::ofstream(std::string(folder) + "/state.txt") << text;
  for (const char* name : {"manifest-a", "manifest-b"}) {
    auto file = disk.open(std::string(kManifestDirectory) + "/" + name, OpenMode::kRead);
    std::vector<char> bytes((*file)->size().value());
    ASSERT_TRUE(ok((*file)->read_at(ByteOffset(0), std::as_writable_bytes(std::span(bytes)))));
    std::ofstream(std::string(folder) + "/" + name, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
}

}  // namespace
}  // namespace bop::aof::test
