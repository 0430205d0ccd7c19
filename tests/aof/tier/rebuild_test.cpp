// A lost disk, from the bucket alone: byte for byte, resumed after any interruption, and nothing damaged is
// believed.
#include "aof/tier/rebuild.hpp"

#include "aof/tier/bucket_fixture.hpp"
#include "aof/tier/tier_files.hpp"

namespace bop::aof::test {
namespace {

struct Lost {
  explicit Lost(std::uint64_t seed, int segments = 5)
      : bucket(seed), disk(seed, {.trace_length = 0}), dice(seed), maker(seed) {
    EXPECT_TRUE(ok(disk.create_directories("/log")));
    process = std::make_unique<Process>(bucket, disk, maker.identity, 1);
    process->start();
    process->settle(dice);
    for (int i = 0; i < segments; ++i) add(i % 3 == 2 ? 77 : 0);
    archive();
  }
  void add(std::size_t torn) {
    made.push_back(maker.make(1 + dice.below(6), torn));
    EXPECT_TRUE(ok(process->seal(made.back())));
  }
  void archive() {
    process->archiver->publish_now();
    process->settle(dice);
    EXPECT_TRUE(process->archiver->is_idle());
  }
  [[nodiscard]] RebuildOptions options() const {
    return {
        .prefix = kPrefix, .identity = maker.identity, .directory = "/new", .range_bytes = 900, .call = {}};
  }
  Result<Rebuilt> rebuilt(SimDisk& to, const std::function<bool(const RebuildProgress&)>& tell = {}) {
    return rebuild(*process->store, to, options(), tell);
  }
  void check(SimDisk& to, std::size_t from = 0) const {
    for (std::size_t i = from; i < made.size(); ++i) {
      auto file = to.open("/new/" + segment_name(made[i].header.number), OpenMode::kRead);
      ASSERT_TRUE(ok(file));
      std::vector<std::byte> bytes(made[i].file.size() + 1);
      const auto got = (*file)->read_at(ByteOffset(0), bytes);
      ASSERT_TRUE(ok(got));
      bytes.resize(*got);
      // What stood behind the end of the records is not archived.
      std::vector<std::byte> wanted = made[i].file;
      std::fill(wanted.begin() + static_cast<std::ptrdiff_t>(made[i].facts.records_end), wanted.end(),
                std::byte{});
      EXPECT_EQ(bytes, wanted);
    }
    const auto manifest = load_manifest(to, "/new");
    ASSERT_TRUE(ok(manifest));
    EXPECT_EQ(manifest->state.segments().size(), made.size() - from);
    for (const auto& [number, segment] : manifest->state.segments()) {
      EXPECT_TRUE(segment.archived.has_value());
      EXPECT_EQ(segment, [&] {
        SegmentState here = *process->manifest->state().find(number);
        here.tier_zero = true;
        return here;
      }());
    }
  }

  StrayBucket bucket;
  SimDisk disk;
  SimRandom dice;
  SegmentMaker maker;
  std::unique_ptr<Process> process;
  std::vector<MadeSegment> made;
};

TEST(Rebuild, ByteForByte) {
  Lost lost(1);
  SimDisk to(9);
  const auto rebuilt = lost.rebuilt(to);
  ASSERT_TRUE(ok(rebuilt));
  EXPECT_EQ(rebuilt->progress.done, 5U);
  EXPECT_EQ(rebuilt->progress.found, 0U);
  EXPECT_EQ(rebuilt->last, lost.made.back().facts.last.index);
  lost.check(to);
  // And it archives on.
  to.power_cut();
  lost.check(to);
}

TEST(Rebuild, OnlyWhatCountsIsTaken) {
  Lost lost(2);
  // An orphan of a later epoch, one of an epoch that never was, a stranger.
  auto orphan = lost.bucket.objects.at(lost.process->manifest->state().find(2)->archived->key);
  for (const std::uint64_t epoch : {2U, 7U}) {
    lost.bucket.objects[lost.process->names.segment(key_of(lost.made[1].facts, Epoch(epoch)))] = orphan;
  }
  lost.bucket.objects[lost.process->names.segments() + "x"] = orphan;
  SimDisk to(9);
  ASSERT_TRUE(ok(lost.rebuilt(to)));
  lost.check(to);
}

TEST(Rebuild, ResumesWhereverItWasCut) {
  std::uint64_t found = 0;
  for (std::uint64_t call = 1; call < 160; call += 3) {
    Lost lost(3);
    SimDisk to(call, {.trace_length = 0});
    to.fail_call(call, SimFault::kIo, true);
    const auto cut = lost.rebuilt(to);
    to.clear_faults();
    to.power_cut();
    const std::uint64_t gets = lost.bucket.gets;
    const auto again = lost.rebuilt(to);
    ASSERT_TRUE(ok(again)) << "call " << call;
    found += again->progress.found;
    if (cut.has_value()) {
      EXPECT_EQ(lost.bucket.gets, gets + 1) << "the register only";
    }
    lost.check(to);
  }
  EXPECT_GT(found, 50U);
}

TEST(Rebuild, IsStoppedAndGoesOnWithAnArchiveThatMovedOn) {
  Lost lost(4);
  SimDisk to(9);
  const auto stopped = lost.rebuilt(to, [](const RebuildProgress& progress) { return progress.done < 2; });
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code(), ErrorCode::kCancelled);
  lost.add(0);
  lost.archive();
  const auto again = lost.rebuilt(to);
  ASSERT_TRUE(ok(again));
  EXPECT_EQ(again->progress.found, 2U);
  EXPECT_EQ(again->progress.done, 6U);
  lost.check(to);
  // Retention moves on, too.
  std::optional<Status> deleted;
  lost.process->archiver->delete_below(3, lost.made[2].facts.base,
                                       [&](Status status) { deleted = std::move(status); });
  lost.process->settle(lost.dice);
  ASSERT_TRUE(ok(*deleted));
  ASSERT_TRUE(ok(lost.rebuilt(to)));
  lost.check(to, 2);
  EXPECT_FALSE(to.exists("/new/" + segment_name(1)).value());
}

// Every object missing, cut or flipped: refused by name, nothing wrong is written.
TEST(Rebuild, DamageIsRefusedByName) {
  Lost lost(5, 3);
  SimRandom dice(5);
  std::uint64_t refused = 0;
  const auto names = segment_names(lost.bucket, lost.process->names);
  for (const std::string& name : names) {
    const auto whole = lost.bucket.objects[name];
    const auto expect_refusal = [&](const char* what) {
      SimDisk to(9, {.trace_length = 0});
      const auto result = lost.rebuilt(to);
      ASSERT_FALSE(result.has_value()) << what;
      // A flipped bit may make a table promise more than an object has.
      EXPECT_TRUE(result.error().code() == ErrorCode::kCorrupt ||
                  result.error().code() == ErrorCode::kProgramLimitExceeded)
          << result.error().what();
      ++refused;
      for (const MadeSegment& made : lost.made) {
        const std::string path = "/new/" + segment_name(made.header.number);
        if (!to.exists(path).value_or(false)) continue;
        auto file = to.open(path, OpenMode::kRead);
        EXPECT_TRUE(ok(load_image(**file, made.facts)));
      }
    };
    lost.bucket.objects.erase(name);
    expect_refusal("missing");
    for (std::size_t bit = 0; bit < whole.bytes.size() * 8; bit += 1 + dice.below(23)) {
      lost.bucket.objects[name] = whole;
      lost.bucket.objects[name].bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
      expect_refusal("flipped");
    }
    lost.bucket.objects[name] = whole;
    lost.bucket.objects[name].bytes.resize(whole.bytes.size() / 2);
    expect_refusal("cut");
    lost.bucket.objects[name].bytes =
        lost.bucket.objects[names.front() == name ? names.back() : names.front()].bytes;
    expect_refusal("another segment");
    lost.bucket.objects[name] = whole;
  }
  EXPECT_GT(refused, 500U);
  SimDisk to(9);
  EXPECT_TRUE(ok(lost.rebuilt(to)));
}

TEST(Rebuild, AnotherLogIsNotTouched) {
  Lost lost(6);
  SimDisk to(9);
  ASSERT_TRUE(ok(to.create_directories("/new")));
  SegmentMaker other(77);
  for (int i = 0; i < 9; ++i) static_cast<void>(other.make());
  const MadeSegment made = other.make();
  ASSERT_TRUE(ok(put_segment(to, "/new", made)));
  const auto refused = lost.rebuilt(to);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kFileExists);
  EXPECT_NE(refused.error().what().find(segment_name(10)), std::string::npos);
  SimDisk empty(9);
  RebuildOptions options = lost.options();
  options.identity = StreamIdentity{1};
  const auto none = rebuild(*lost.process->store, empty, options);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), ErrorCode::kObjectNotFound);
}

// A real stream, archived and lost: the rebuilt one opens and has every record up to the archive's end.
TEST(Rebuild, TheRebuiltLogOpens) {
  World world(11);
  SimRandom dice(11);
  for (int life = 0; life < 4; ++life) {
    auto stream = world.open();
    ASSERT_TRUE(ok(stream));
    for (std::uint64_t i = 0; i < 90; ++i) {
      static_cast<void>(append_one(**stream, i, dice.below(1500)));
      static_cast<void>(world.disk.poll());
      if (dice.chance(1, 8)) static_cast<void>((*stream)->maintain());
    }
    world.disk.power_cut();
  }
  const auto files = find_segments(world.disk, kDirectory);
  ASSERT_TRUE(ok(files));
  ASSERT_GT(files->chain.size(), 4U);
  StrayBucket bucket(1);
  const StreamIdentity identity = files->chain.front().header.identity;
  Process process(bucket, world.disk, identity, 1);
  for (std::size_t i = 0; i + 1 < files->chain.size(); ++i) {
    const SegmentHeader& next = files->chain[i + 1].header;
    auto file = world.disk.open(files->chain[i].path, OpenMode::kRead);
    const auto found = find_facts(**file, files->chain[i].header, {next.previous, next.timeline});
    ASSERT_TRUE(ok(found));
    ASSERT_TRUE(ok(process.manifest->append(FinalizedRecord{found->facts})));
  }
  process.start();
  process.settle(dice);
  process.archiver->publish_now();
  process.settle(dice);
  ASSERT_TRUE(process.archiver->is_idle());
  SimDisk to(3);
  const auto rebuilt =
      rebuild(*process.store, to, {.prefix = kPrefix, .identity = identity, .directory = "/new"});
  ASSERT_TRUE(ok(rebuilt));
  Options options = world.options();
  options.directory = "/new";
  auto opened = CommitStream::open(to, world.clock, world.random, options);
  ASSERT_TRUE(ok(opened));
  EXPECT_EQ((*opened)->recovered().last, rebuilt->last);
  auto original = world.open();
  ASSERT_TRUE(ok(original));
  const auto copies = read_all(**opened, Lsn(1));
  auto all = read_all(**original, Lsn(1));
  ASSERT_TRUE(ok(copies));
  ASSERT_TRUE(ok(all));
  ASSERT_EQ(copies->size(), rebuilt->last.value);
  all->resize(copies->size());
  EXPECT_EQ(*copies, *all);
}

}  // namespace
}  // namespace bop::aof::test
