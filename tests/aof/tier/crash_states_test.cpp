// Every crash of every move leaves exactly one state of the table, every state of the table is met, and a
// start makes of it what its row says.
#include "aof/tier/crash_states.hpp"

#include <algorithm>
#include <set>

#include "aof/tier/bucket_fixture.hpp"
#include "aof/tier/segment_store.hpp"
#include "aof/tier/tier_files.hpp"

namespace bop::aof::test {
namespace {

constexpr std::uint64_t kSegmentBytes = 64U << 10U;

// Which rows were met; a row is checked by who meets it.
class Seen {
 public:
  const CrashState* meet(TierMove move, const CrashTraces& traces) {
    const CrashState* row = crash_state_of(move, traces);
    EXPECT_NE(row, nullptr) << "move " << static_cast<int>(move)
                            << " left traces that are not in the table: begun " << traces.begun << " effect "
                            << traces.effect << " published " << traces.published << " recorded "
                            << traces.recorded;
    if (row != nullptr) rows_.insert(row);
    return row;
  }
  void expect_all_of(std::initializer_list<TierMove> moves) const {
    for (const CrashState& state : kCrashStates) {
      if (std::find(moves.begin(), moves.end(), state.move) == moves.end()) continue;
      EXPECT_TRUE(rows_.contains(&state)) << "never met: " << state.name;
    }
  }

 private:
  std::set<const CrashState*> rows_;
};

TEST(CrashStates, EveryRowIsOneOfItsOwn) {
  for (const CrashState& one : kCrashStates) {
    EXPECT_EQ(crash_state_of(one.move, one.traces), &one) << one.name;
    EXPECT_FALSE(one.name.empty());
  }
  for (std::size_t move = 0; move < kTierMoves; ++move) {
    EXPECT_TRUE(std::ranges::any_of(
        kCrashStates, [&](const CrashState& state) { return static_cast<std::size_t>(state.move) == move; }));
  }
}

TEST(CrashStates, NothingThatIsRecordedIsDoneAgain) {
  for (const CrashState& state : kCrashStates) {
    if (state.traces.recorded && state.move != TierMove::kTakeEpoch) {
      EXPECT_TRUE(state.after == AfterCrash::kNothing || state.after == AfterCrash::kFinish) << state.name;
    }
  }
}

// A log with its store of segments; the mover runs when it is told to.
struct Node {
  explicit Node(std::uint64_t seed) : world(seed), scheduler(seed), mover(scheduler) {}
  Status open(TierLimits limits) {
    BOP_LET(opened, world.open({.directory = kDirectory,
                                .segment_bytes = kSegmentBytes,
                                .max_in_flight = 4,
                                .write_bytes = 16U << 10U}));
    stream = std::move(opened);
    BOP_LET(made, SegmentStore::open({world.disk, world.clock, mover}, *stream,
                                     {.directory = kDirectory,
                                      .limits = limits,
                                      .compression_level = 1,
                                      .manifest = {.least_bytes = 64U << 10U}}));
    store = std::move(made);
    return {};
  }
  void append(std::uint64_t count) {
    Lsn newest;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto lsn = append_one(*stream, ++tags, 4000);
      ASSERT_TRUE(ok(lsn));
      newest = *lsn;
    }
    ASSERT_TRUE(ok(stream->wait_durable(newest)));
  }
  void close() {
    store.reset();
    stream.reset();
  }
  [[nodiscard]] bool exists(const std::string& path) { return world.disk.exists(path).value(); }
  [[nodiscard]] ManifestState state() {
    auto loaded = load_manifest(world.disk, kDirectory);
    EXPECT_TRUE(ok(loaded));
    return loaded->state;
  }

  World world;
  SimScheduler scheduler;
  SimExecutor mover;
  std::unique_ptr<CommitStream> stream;
  std::unique_ptr<SegmentStore> store;
  std::uint64_t tags = 0;
};

// What a crash has left of one segment, and what a start has to make of it.
struct Left {
  std::uint64_t number = 0;
  const CrashState* state = nullptr;
  std::string raw, compressed;
};

std::vector<Left> look(Node& node, const std::vector<SegmentId>& ids, Seen& seen, bool drops_tier_one) {
  const ManifestState state = node.state();
  std::vector<Left> left;
  for (const SegmentId& id : ids) {
    const std::string raw = std::string(kDirectory) + "/" + segment_name(id.number);
    const std::string compressed = std::string(kDirectory) + "/" + tier_one_name(id.number);
    const auto meet = [&](TierMove move, const CrashTraces& traces) {
      left.push_back({id.number, seen.meet(move, traces), raw, compressed});
    };
    const bool deleted = id.number < state.low_number();
    const bool has_raw = node.exists(raw), has_compressed = node.exists(compressed);
    if (deleted) {
      meet(TierMove::kDelete, {.effect = !has_raw && !has_compressed, .recorded = true});
      continue;
    }
    const SegmentState* known = state.find(id.number);
    meet(TierMove::kDelete, {});
    meet(TierMove::kFinalize, {.recorded = known != nullptr});
    if (known == nullptr) continue;
    if (drops_tier_one) {
      meet(TierMove::kDropTierOne, {.effect = !has_compressed, .recorded = !known->tier_one.has_value()});
      continue;
    }
    meet(TierMove::kMakeTierOne, {.begun = node.exists(compressed + std::string(kPartSuffix)),
                                  .effect = has_compressed,
                                  .recorded = known->tier_one.has_value()});
    meet(TierMove::kDropTierZero, {.effect = !has_raw, .recorded = !known->tier_zero});
  }
  return left;
}

// After the start, before any work.
void check_start(Node& node, const std::vector<Left>& left) {
  const ManifestState state = node.state();
  for (const Left& one : left) {
    if (one.state == nullptr) continue;
    SCOPED_TRACE(testing::Message() << one.state->name << ", segment " << one.number);
    const SegmentState* known = state.find(one.number);
    switch (one.state->move) {
      case TierMove::kFinalize: EXPECT_EQ(known != nullptr, one.state->traces.recorded); break;
      case TierMove::kMakeTierOne:
        EXPECT_EQ(known->tier_one.has_value(), one.state->traces.recorded);
        EXPECT_EQ(node.exists(one.compressed), one.state->traces.recorded);
        EXPECT_FALSE(node.exists(one.compressed + std::string(kPartSuffix)));
        break;
      case TierMove::kDropTierZero:
        EXPECT_EQ(known->tier_zero, !one.state->traces.effect);
        EXPECT_EQ(node.exists(one.raw), !one.state->traces.effect);
        break;
      case TierMove::kDropTierOne: EXPECT_EQ(known->tier_one.has_value(), !one.state->traces.effect); break;
      case TierMove::kDelete:
        if (one.state->traces.recorded) {
          EXPECT_FALSE(node.exists(one.raw));
          EXPECT_FALSE(node.exists(one.compressed));
        }
        break;
      default: FAIL();
    }
  }
}

std::vector<SegmentId> sealed_of(Node& node) {
  std::vector<SegmentId> ids;
  const auto files = find_segments(node.world.disk, kDirectory);
  EXPECT_TRUE(ok(files));
  for (std::size_t i = 0; i + 1 < files->chain.size(); ++i) {
    ids.push_back({files->chain[i].header.number, files->chain[i].header.seed});
  }
  return ids;
}

// Finalizing, compressing, dropping and deleting, cut at every call of the disk.
TEST(CrashStates, MovesOfLocalFiles) {
  Seen seen;
  const TierLimits limits{.tier_zero_bytes = 2 * kSegmentBytes, .keep_bytes = 4 * kSegmentBytes};
  bool struck = true;
  for (std::uint64_t call = 1; struck && !testing::Test::HasFatalFailure(); ++call) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(testing::Message() << "call " << call << " seed " << seed);
      Node node(seed);
      ASSERT_TRUE(ok(node.open(limits)));
      node.append(90);
      const std::vector<SegmentId> ids = sealed_of(node);
      ASSERT_GT(ids.size(), 4U);
      node.world.disk.fail_call(call, SimFault::kIo, true);
      static_cast<void>(node.store->work());
      struck = node.world.disk.faults_struck() != 0;
      node.close();
      node.world.disk.clear_faults();
      node.world.disk.power_cut();
      const auto left = look(node, ids, seen, false);
      ASSERT_TRUE(ok(node.open(limits)));
      check_start(node, left);
      ASSERT_TRUE(ok(node.store->work()));
      const Residency now = node.store->residency();
      EXPECT_LE(now.tier_zero_bytes, 2 * kSegmentBytes);
      EXPECT_GT(node.store->low(), Lsn(1));
    }
  }
  seen.expect_all_of(
      {TierMove::kFinalize, TierMove::kMakeTierOne, TierMove::kDropTierZero, TierMove::kDelete});
}

TEST(CrashStates, DroppingCompressedFiles) {
  Seen seen;
  bool struck = true;
  for (std::uint64_t call = 1; struck && !testing::Test::HasFatalFailure(); ++call) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(testing::Message() << "call " << call << " seed " << seed);
      Node node(seed);
      ASSERT_TRUE(ok(node.open({})));
      node.append(60);
      const std::vector<SegmentId> ids = sealed_of(node);
      ASSERT_TRUE(ok(node.store->work()));
      const StreamIdentity identity = node.stream->recovered().identity;
      node.close();
      {
        auto manifest = Manifest::open(node.world.disk, kDirectory, identity, {.least_bytes = 64U << 10U});
        ASSERT_TRUE(ok(manifest));
        for (const SegmentId& id : ids) {
          const SegmentFacts& facts = (*manifest)->state().find(id.number)->facts;
          auto raw =
              node.world.disk.open(std::string(kDirectory) + "/" + segment_name(id.number), OpenMode::kRead);
          const auto image = load_image(**raw, facts);
          ASSERT_TRUE(ok(image));
          const auto object = encode_object(*image, facts, {.level = 1});
          ASSERT_TRUE(ok(object));
          ASSERT_TRUE(ok(write_whole(node.world.disk, kDirectory, tier_one_name(id.number), *object->bytes)));
          ASSERT_TRUE(ok((*manifest)->append(
              TierOneMadeRecord{id.number, {object->bytes->size(), object->checksum, object->frames}})));
        }
      }
      const TierLimits limits{.tier_one_bytes = 0};
      ASSERT_TRUE(ok(node.open(limits)));
      node.world.disk.fail_call(call, SimFault::kIo, true);
      static_cast<void>(node.store->work());
      struck = node.world.disk.faults_struck() != 0;
      node.close();
      node.world.disk.clear_faults();
      node.world.disk.power_cut();
      const auto left = look(node, ids, seen, true);
      ASSERT_TRUE(ok(node.open(limits)));
      check_start(node, left);
      ASSERT_TRUE(ok(node.store->work()));
      for (const SegmentId& id : ids) {
        EXPECT_FALSE(node.exists(std::string(kDirectory) + "/" + tier_one_name(id.number)));
      }
    }
  }
  seen.expect_all_of({TierMove::kDropTierOne});
}

// Taking over, archiving, giving up: cut after every number of steps of process, store and disk.
TEST(CrashStates, MovesOfTheArchive) {
  Seen seen;
  for (std::uint64_t steps = 0; steps < 150 && !testing::Test::HasFatalFailure(); ++steps) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      SCOPED_TRACE(testing::Message() << steps << " steps, seed " << seed);
      StrayBucket bucket(seed);
      SimDisk disk(seed, {.trace_length = 0});
      SimRandom dice(seed * 100 + steps);
      SegmentMaker maker(seed);
      ASSERT_TRUE(ok(disk.create_directories("/log")));
      std::vector<MadeSegment> made;
      auto process = std::make_unique<Process>(bucket, disk, maker.identity, 1);
      for (int i = 0; i < 3; ++i) {
        made.push_back(maker.make());
        ASSERT_TRUE(ok(process->seal(made.back())));
      }
      process->start();
      process->archiver->publish_now();
      bool deleting = false;
      for (std::uint64_t i = 0; i < steps; ++i) {
        if (!process->step(dice) && !deleting) {
          deleting = true;
          process->archiver->publish_now();
          process->archiver->delete_below(2, made[1].facts.base, [](Status) {});
        }
      }
      const BucketNames names = process->names;
      process.reset();
      disk.power_cut();
      // What is on its way and arrives later is met by the next start.
      bucket.strays.clear();

      auto loaded = load_manifest(disk, "/log");
      ASSERT_TRUE(ok(loaded));
      const ManifestState before = loaded->state;
      const auto reg = register_in(bucket, names, maker.identity);
      const CrashState* epoch = seen.meet(
          TierMove::kTakeEpoch, {.published = reg.has_value(), .recorded = before.epoch().epoch.value != 0});
      const bool raised = reg.has_value() && reg->low_number > 1;
      const CrashState* given_up =
          seen.meet(TierMove::kGiveUp, {.published = raised, .recorded = before.low_number() > 1});
      std::map<std::uint64_t, const CrashState*> archiving;
      for (const MadeSegment& segment : made) {
        const SegmentState* known = before.find(segment.facts.id.number);
        if (known == nullptr) continue;  // deleted
        const std::string key = names.segment(key_of(segment.facts, Epoch(1)));
        archiving[segment.facts.id.number] =
            seen.meet(TierMove::kArchive,
                      {.begun = known->begun.has_value(),
                       .effect = bucket.objects.contains(key),
                       .published = reg.has_value() && (segment.facts.id.number <= reg->archived_number),
                       .recorded = known->archived.has_value()});
      }
      ASSERT_TRUE(epoch != nullptr && given_up != nullptr);

      Process next(bucket, disk, maker.identity, 2);
      next.start();
      next.settle(dice);
      ASSERT_TRUE(next.started.has_value() && next.started->has_value());
      EXPECT_EQ(next.manifest->state().epoch().epoch, Epoch(reg.has_value() ? 2 : 1)) << epoch->name;
      EXPECT_EQ(next.manifest->state().low_number() > 1, given_up->traces.published) << given_up->name;
      next.archiver->publish_now();
      next.settle(dice);
      for (const auto& [number, state] : archiving) {
        const SegmentState* known = next.manifest->state().find(number);
        if (known == nullptr || state == nullptr) continue;
        ASSERT_TRUE(known->archived.has_value()) << state->name;
        const bool old_key = known->archived->epoch == Epoch(1) && reg.has_value();
        if (reg.has_value()) {
          EXPECT_EQ(old_key, state->traces.published) << state->name;
        }
      }
    }
  }
  seen.expect_all_of({TierMove::kTakeEpoch, TierMove::kArchive, TierMove::kGiveUp});
}

TEST(CrashStates, RotatingTheManifest) {
  Seen seen;
  for (std::uint64_t call = 1; call <= 16; ++call) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      SCOPED_TRACE(testing::Message() << "call " << call << " seed " << seed);
      SimDisk disk(seed, {.trace_length = 0});
      ASSERT_TRUE(ok(disk.create_directories("/log")));
      SegmentMaker maker(seed);
      auto manifest =
          Manifest::create(disk, "/log", ManifestState(maker.identity), {.least_bytes = 64U << 10U});
      ASSERT_TRUE(ok(manifest));
      ASSERT_TRUE(ok((*manifest)->append(FinalizedRecord{maker.make().facts})));
      const ManifestState before = (*manifest)->state();
      disk.fail_call(call, SimFault::kIo, true);
      static_cast<void>((*manifest)->rotate());
      disk.clear_faults();
      disk.power_cut();
      const auto older = scan_manifest(disk, "/log/manifest-a");
      const auto newer = scan_manifest(disk, "/log/manifest-b");
      ASSERT_TRUE(older.has_value() && newer.has_value());
      const bool valid = newer->state == ManifestScan::State::kValid;
      const CrashState* state =
          seen.meet(TierMove::kRotate, {.effect = valid, .recorded = older->superseded_by.has_value()});
      ASSERT_NE(state, nullptr);
      manifest = Manifest::open(disk, "/log", maker.identity, {.least_bytes = 64U << 10U});
      ASSERT_TRUE(ok(manifest));
      EXPECT_EQ((*manifest)->state(), before) << state->name;
      EXPECT_EQ((*manifest)->generation(), valid ? 2U : 1U) << state->name;
      ASSERT_TRUE(ok((*manifest)->append(FinalizedRecord{maker.make().facts})));
      // An append heals a torn header by another rotation; what comes before an append is marked either way.
      const std::string before_path = "/log/" + manifest_name((*manifest)->generation() + 1);
      EXPECT_EQ(scan_manifest(disk, before_path)->superseded_by.has_value(), valid) << state->name;
    }
  }
  seen.expect_all_of({TierMove::kRotate});
}

}  // namespace
}  // namespace bop::aof::test
