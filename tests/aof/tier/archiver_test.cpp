// The archiver of one process: what it puts, what it records, and what a restart makes of every step.
#include "aof/tier/archiver.hpp"

#include "aof/tier/bucket_fixture.hpp"
#include "aof/tier/tier_files.hpp"

namespace bop::aof::test {
namespace {

struct One {
  explicit One(std::uint64_t seed) : bucket(seed), disk(seed, {.trace_length = 0}), dice(seed), maker(seed) {
    EXPECT_TRUE(ok(disk.create_directories("/log")));
  }
  // A new process on the same disk; the one before is gone.
  Process& restart(std::optional<ArchiverOptions> options = {}) {
    process.reset();
    process = std::make_unique<Process>(bucket, disk, maker.identity, ++writers,
                                        options.has_value() ? *options : Process::quick_options());
    return *process;
  }
  void seal(int count) {
    for (int i = 0; i < count; ++i) {
      made.push_back(maker.make());
      ASSERT_TRUE(ok(process->seal(made.back())));
    }
  }
  // Everything is archived, once, and the objects are the segments.
  void check_all() {
    const auto reg = register_in(bucket, process->names, maker.identity);
    ASSERT_TRUE(ok(reg));
    EXPECT_EQ(reg->archived, made.back().facts.last);
    for (const MadeSegment& segment : made) {
      const SegmentState* state = process->manifest->state().find(segment.facts.id.number);
      ASSERT_NE(state, nullptr);
      ASSERT_TRUE(state->archived.has_value());
      const auto object = bucket.objects.find(state->archived->key);
      ASSERT_NE(object, bucket.objects.end());
      EXPECT_EQ(state->archived->checksum, crc64(0, object->second.bytes));
      EXPECT_EQ(state->archived->bytes, object->second.bytes.size());
      EXPECT_EQ(state->archived->etag, object->second.etag);
      EXPECT_TRUE(counts(*reg, *process->names.parse(state->archived->key)));
      const auto image = decode_object(object->second.bytes, segment.facts.content_checksum, "test");
      ASSERT_TRUE(ok(image));
      EXPECT_EQ(*image, SegmentMaker::image_of(segment));
    }
  }

  StrayBucket bucket;
  SimDisk disk;
  SimRandom dice;
  SegmentMaker maker;
  std::uint64_t writers = 0;
  std::unique_ptr<Process> process;
  std::vector<MadeSegment> made;
};

TEST(Archiver, ArchivesInOrderAndPublishesSeveralAtOnce) {
  One one(1);
  Process& process = one.restart();
  process.start();
  process.settle(one.dice);
  ASSERT_TRUE(process.started.has_value() && process.started->has_value());
  std::vector<std::uint64_t> told;
  process.archiver->on_archived([&](std::uint64_t number) { told.push_back(number); });
  one.seal(10);
  process.settle(one.dice);
  EXPECT_EQ(told, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_FALSE(process.archiver->is_idle());
  EXPECT_EQ(process.archiver->counts().waiting_segments, 2U);
  process.archiver->publish_now();
  process.settle(one.dice);
  EXPECT_TRUE(process.archiver->is_idle());
  EXPECT_LE(process.archiver->counts().publications, 5U)
      << "taking over, three for nine segments, one asked for";
  EXPECT_EQ(process.archiver->counts().puts, 10U);
  one.check_all();
}

// 64 MiB segments by their numbers: the facts say so, the bytes are small.
TEST(Archiver, PutsOfAGibibyte) {
  ArchiverOptions options = Process::quick_options();
  const std::uint64_t segments = 16;  // of 64 MiB
  options.publish_bytes =
      ArchiverOptions{}.publish_bytes / (64U << 20U) * 8192;  // the same number of segments
  One one(2);
  Process& process = one.restart(options);
  process.start();
  process.settle(one.dice);
  one.seal(static_cast<int>(segments));
  process.settle(one.dice);
  EXPECT_TRUE(process.archiver->is_idle());
  EXPECT_LE(one.bucket.puts, 20U);
  EXPECT_EQ(one.bucket.puts, 19U) << "16 objects, 2 publications, taking over";
  one.check_all();
}

// The process ends after every number of steps, and another one goes on with its disk.
TEST(Archiver, ARestartAnywhereGoesOn) {
  std::uint64_t adopted = 0, again = 0;
  for (std::uint64_t steps = 0; steps < 130; ++steps) {
    for (const bool power : {false, true}) {
      SCOPED_TRACE(testing::Message() << steps << " steps, power cut " << power);
      One one(100 + steps);
      one.restart().start();
      one.process->settle(one.dice);
      one.seal(4);
      for (std::uint64_t i = 0; i < steps; ++i) one.process->step(one.dice);
      one.process.reset();
      if (power) one.disk.power_cut();
      while (one.bucket.deliver_stray()) {
      }
      const auto before =
          register_in(one.bucket, BucketNames(kPrefix, one.maker.identity), one.maker.identity);
      ASSERT_TRUE(ok(before));
      Process& next = one.restart();
      std::uint64_t unrecorded = 0;
      for (const auto& [number, state] : next.manifest->state().segments()) {
        unrecorded += !state.archived.has_value() && number <= before->archived_number;
      }
      adopted += unrecorded;
      next.start();
      next.settle(one.dice);
      next.archiver->publish_now();
      next.settle(one.dice);
      ASSERT_TRUE(next.started.has_value() && next.started->has_value());
      EXPECT_TRUE(next.archiver->is_idle());
      one.check_all();
      again += one.bucket.puts > 4 + 4;
      std::optional<Result<CollectionReport>> report;
      next.collection->run([&](Result<CollectionReport> result) { report = std::move(result); });
      next.settle(one.dice);
      ASSERT_TRUE(report.has_value());
      ASSERT_TRUE(ok(*report));
      EXPECT_EQ(segment_names(one.bucket, next.names).size(), 4U);
      one.check_all();
    }
  }
  EXPECT_GT(adopted, 10U) << "published and not recorded";
  EXPECT_GT(again, 10U) << "put, not published, put again";
}

TEST(Archiver, FaultsOfTheStoreAreTriedAgain) {
  std::uint64_t failures = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    One one(seed);
    one.bucket.faults_per_1000 = 200;
    Process* process = nullptr;
    for (int i = 0; i < 50 && (process == nullptr || !process->started->has_value()); ++i) {
      process = &one.restart();
      process->start();
      process->settle(one.dice);
      ASSERT_TRUE(process->started.has_value());
    }
    one.seal(6);
    for (int i = 0; i < 200 && !process->archiver->is_idle(); ++i) {
      process->archiver->publish_now();
      process->settle(one.dice);
      if (one.dice.chance(1, 3)) one.bucket.deliver_stray();
    }
    ASSERT_TRUE(process->archiver->is_idle()) << seed << ": " << process->archiver->failure()->what();
    failures += process->archiver->counts().failures;
    one.check_all();
  }
  EXPECT_GT(failures, 200U);
}

// What is stored is not what was sent: noticed before anything is published, and put again.
TEST(Archiver, ADamagedObjectIsNeverPublished) {
  One one(3);
  Process& process = one.restart();
  process.start();
  process.settle(one.dice);
  bool damaged = false;
  one.seal(3);
  while (process.step(one.dice)) {
    const auto names = segment_names(one.bucket, process.names);
    if (damaged || names.empty()) continue;
    auto& bytes = one.bucket.objects[names.front()].bytes;
    bytes[bytes.size() / 2] ^= std::byte{4};
    damaged = true;
  }
  process.archiver->publish_now();
  process.settle(one.dice);
  ASSERT_TRUE(damaged);
  EXPECT_EQ(one.bucket.removes, 1U);
  EXPECT_TRUE(process.archiver->is_idle());
  one.check_all();
}

TEST(Archiver, ARottenRawFileIsNotArchivedAndNamed) {
  One one(4);
  Process& process = one.restart();
  process.start();
  process.settle(one.dice);
  one.made.push_back(one.maker.make());
  ASSERT_TRUE(ok(put_segment(one.disk, "/log", one.made.back())));
  ASSERT_TRUE(one.disk.flip_bit("/log/" + segment_name(1), 4300, 2));
  ASSERT_TRUE(ok(process.manifest->append(FinalizedRecord{one.made.back().facts})));
  process.archiver->poke();
  process.settle(one.dice);
  ASSERT_TRUE(process.archiver->failure().has_value());
  EXPECT_EQ(process.archiver->failure()->code(), ErrorCode::kCorrupt);
  EXPECT_TRUE(segment_names(one.bucket, process.names).empty());
  // Mended, it goes on.
  ASSERT_TRUE(one.disk.flip_bit("/log/" + segment_name(1), 4300, 2));
  process.archiver->publish_now();
  process.settle(one.dice);
  EXPECT_FALSE(process.archiver->failure().has_value());
  one.check_all();
}

TEST(Archiver, ACompressedFileIsPutAsItIs) {
  One one(5);
  Process& process = one.restart();
  const MadeSegment made = one.maker.make();
  one.made.push_back(made);
  SeekableWriterOptions other;
  other.level = 9;
  const auto object = encode_object(SegmentMaker::image_of(made), made.facts, other);
  ASSERT_TRUE(ok(object));
  ASSERT_TRUE(ok(write_whole(one.disk, "/log", tier_one_name(1), *object->bytes)));
  ASSERT_TRUE(ok(put_segment(one.disk, "/log", made)));
  ASSERT_TRUE(ok(process.manifest->append(FinalizedRecord{made.facts})));
  ASSERT_TRUE(ok(process.manifest->append(
      TierOneMadeRecord{1, {object->bytes->size(), object->checksum, object->frames}})));
  ASSERT_TRUE(ok(process.manifest->append(TierZeroDroppedRecord{1})));
  ASSERT_TRUE(ok(one.disk.remove("/log/" + segment_name(1))));
  process.start();
  process.settle(one.dice);
  process.archiver->publish_now();
  process.settle(one.dice);
  ASSERT_TRUE(process.archiver->is_idle());
  EXPECT_EQ(one.bucket.objects[process.manifest->state().find(1)->archived->key].bytes, *object->bytes);
  one.check_all();
}

TEST(Archiver, AZombieIsFencedAndLeavesNothing) {
  One one(6);
  Process& zombie = one.restart();
  zombie.start();
  zombie.settle(one.dice);
  one.seal(2);
  zombie.archiver->publish_now();
  zombie.settle(one.dice);
  // Its disk is copied, and a successor takes over.
  SimDisk other(7, {.trace_length = 0});
  ASSERT_TRUE(ok(other.create_directories("/log")));
  Process successor(one.bucket, other, one.maker.identity, 99);
  for (const MadeSegment& made : one.made) ASSERT_TRUE(ok(successor.seal(made)));
  successor.start();
  successor.settle(one.dice);
  ASSERT_TRUE(successor.started->has_value());
  // Both go on with a segment of the same number, and their own contents.
  SegmentMaker fork = one.maker;
  const MadeSegment mine = fork.make(7);
  one.seal(1);
  zombie.archiver->publish_now();
  zombie.settle(one.dice);
  ASSERT_TRUE(zombie.archiver->failure().has_value());
  EXPECT_EQ(zombie.archiver->failure()->code(), ErrorCode::kFenced);
  ASSERT_TRUE(ok(successor.seal(mine)));
  successor.archiver->publish_now();
  successor.settle(one.dice);
  EXPECT_TRUE(successor.archiver->is_idle());
  EXPECT_EQ(segment_names(one.bucket, successor.names).size(), 4U) << "two shared, one of each";
  std::optional<Result<CollectionReport>> report;
  zombie.collection->run([&](Result<CollectionReport> result) { report = std::move(result); });
  zombie.settle(one.dice);
  ASSERT_FALSE(report->has_value());
  EXPECT_EQ(report->error().code(), ErrorCode::kFenced);
  successor.collection->run([&](Result<CollectionReport> result) { report = std::move(result); });
  successor.settle(one.dice);
  ASSERT_TRUE(ok(*report));
  EXPECT_EQ((*report)->removed, 1U);
  EXPECT_EQ((*report)->counted, 3U);
  const auto reg = register_in(one.bucket, successor.names, one.maker.identity);
  EXPECT_EQ(reg->archived, mine.facts.last);
}

TEST(Archiver, DeletingRaisesTheRegisterThenTheManifestAndIsFinishedByARestart) {
  for (std::uint64_t steps = 0; steps < 25; ++steps) {
    One one(50 + steps);
    Process* process = &one.restart();
    process->start();
    process->settle(one.dice);
    one.seal(5);
    process->archiver->publish_now();
    process->settle(one.dice);
    ASSERT_TRUE(process->archiver->is_idle());
    std::optional<Status> deleted;
    process->archiver->delete_below(4, one.made[3].facts.base,
                                    [&](Status status) { deleted = std::move(status); });
    for (std::uint64_t i = 0; i < steps; ++i) process->step(one.dice);
    const bool finished = deleted.has_value();
    process = &one.restart();
    const std::uint64_t low = process->manifest->state().low_number();
    if (finished) {
      EXPECT_EQ(low, 4U);
    }
    while (one.bucket.deliver_stray()) {
    }
    process->start();
    process->settle(one.dice);
    const auto reg = register_in(one.bucket, process->names, one.maker.identity);
    EXPECT_EQ(process->manifest->state().low_number() == 4, reg->low_number == 4) << steps;
    if (reg->low_number != 4) {
      process->archiver->delete_below(4, one.made[3].facts.base,
                                      [&](Status status) { EXPECT_TRUE(ok(status)); });
      process->settle(one.dice);
    }
    EXPECT_EQ(process->manifest->state().low_number(), 4U);
    std::optional<Result<CollectionReport>> report;
    process->collection->run([&](Result<CollectionReport> result) { report = std::move(result); });
    process->settle(one.dice);
    ASSERT_TRUE(ok(*report));
    EXPECT_EQ((*report)->removed, 3U);
    EXPECT_EQ(segment_names(one.bucket, process->names).size(), 2U);
    // Not below what is archived.
    process->archiver->delete_below(9, Lsn(999), [&](Status status) { EXPECT_FALSE(status.has_value()); });
    process->settle(one.dice);
  }
}

TEST(OrphanCollection, NamesThatAreNoKeysAreReportedAndStay) {
  One one(8);
  Process& process = one.restart();
  process.start();
  process.settle(one.dice);
  one.bucket.objects[process.names.segments() + "readme"] = {};
  one.bucket.objects[std::string(kPrefix) + "/other"] = {};
  std::optional<Result<CollectionReport>> report;
  process.collection->run([&](Result<CollectionReport> result) { report = std::move(result); });
  process.settle(one.dice);
  ASSERT_TRUE(ok(*report));
  EXPECT_EQ((*report)->strangers, std::vector<std::string>{process.names.segments() + "readme"});
  EXPECT_EQ(one.bucket.objects.size(), 3U);
}

}  // namespace
}  // namespace bop::aof::test
