// Two processes archive one log, each for a while the writer and for a while a zombie that does not know it
// yet, and every request between them and the bucket may be late, lost or answered by nothing.
//
//   * what was published is never lost, replaced or overwritten, and stays what it was;
//   * the register only goes forward;
//   * after a collection by the writer, nothing is below segments/ but what counts;
//   * whoever was replaced ends with kFenced.
//
// BOP_AOF_SEEDS sets how many seeds are run (20,000; fewer under sanitizers), BOP_AOF_FIRST_SEED where they
// begin.
#include <cstdlib>

#include "aof/tier/bucket_fixture.hpp"

namespace bop::aof::test {
namespace {

struct Tally {
  std::uint64_t steps = 0, takeovers = 0, refused = 0, fenced = 0, crashes = 0, published = 0, orphans = 0,
                collections = 0, deletions = 0, forks = 0, adopted = 0;
};

class Interleaving {
 public:
  Interleaving(std::uint64_t seed, Tally& tally)
      : dice_(seed * 2654435761U + 1), bucket_(seed), tally_(tally), root_(seed) {
    bucket_.faults_per_1000 = dice_.chance(1, 2) ? 0 : 60;
    for (std::size_t i = 0; i < 2; ++i) nodes_[i] = std::make_unique<Node>(seed * 2 + i, root_);
  }

  void run() {
    begin(0);
    const std::uint64_t steps = 40 + dice_.below(160);
    for (std::uint64_t i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      step();
      watch();
      ++tally_.steps;
    }
    if (!testing::Test::HasFatalFailure()) finish();
  }

 private:
  struct Node {
    Node(std::uint64_t seed, const SegmentMaker& from) : disk(seed, {.trace_length = 0}), maker(from) {
      EXPECT_TRUE(ok(disk.create_directories("/log")));
    }
    SimDisk disk;
    SegmentMaker maker;
    std::vector<MadeSegment> made;  // its own history
    std::unique_ptr<Process> process;
  };

  void begin(std::size_t who) {
    Node& node = *nodes_[who];
    ArchiverOptions options = Process::quick_options();
    options.publish_bytes = (1 + dice_.below(3)) * 8192;
    options.range_bytes = 4096;
    node.process = std::make_unique<Process>(bucket_, node.disk, root_.identity, ++writers_, options);
    node.process->start();
    ++tally_.takeovers;
  }
  // The node's disk becomes a copy of the other one's: a replica that is to take over.
  void copy(std::size_t who) {
    Node& node = *nodes_[who];
    const Node& other = *nodes_[1 - who];
    const std::uint64_t low = other.process == nullptr ? 1 : other.process->manifest->state().low_number();
    node.process.reset();
    const std::uint64_t seed = dice_.next();
    auto fresh = std::make_unique<Node>(seed, other.maker);
    fresh->made = other.made;
    if (dice_.chance(1, 2)) {
      // From here on they have different histories.
      fresh->maker.fork(seed);
      ++tally_.forks;
    }
    nodes_[who] = std::move(fresh);
    Node& now = *nodes_[who];
    auto manifest = Manifest::create(now.disk, "/log", ManifestState(root_.identity), {.least_bytes = 65536});
    ASSERT_TRUE(ok(manifest));
    if (low > 1) {
      ASSERT_TRUE(ok((*manifest)->append(DeletedRecord{low, base_of(now, low)})));
    }
    for (const MadeSegment& made : now.made) {
      if (made.header.number < low) continue;
      ASSERT_TRUE(ok(put_segment(now.disk, "/log", made)));
      ASSERT_TRUE(ok((*manifest)->append(FinalizedRecord{made.facts})));
    }
  }
  static Lsn base_of(const Node& node, std::uint64_t number) {
    return node.made.at(static_cast<std::size_t>(number - 1)).facts.base;
  }

  void step() {
    const std::size_t who = dice_.below(2);
    Node& node = *nodes_[who];
    switch (dice_.below(16)) {
      case 0:
        if (node.process != nullptr) {
          node.made.push_back(node.maker.make(1 + dice_.below(3)));
          ASSERT_TRUE(ok(node.process->seal(node.made.back())));
        }
        return;
      case 1:
        if (node.process != nullptr && dice_.chance(1, 3)) {
          note_unrecorded(node);
          node.process.reset();
          if (dice_.chance(1, 2)) node.disk.power_cut();
          ++tally_.crashes;
        } else if (node.process == nullptr) {
          begin(who);
        }
        return;
      case 2:
        if (node.process == nullptr && dice_.chance(1, 2)) copy(who);
        return;
      case 3: static_cast<void>(bucket_.deliver_stray()); return;
      case 4:
        if (node.process != nullptr && !node.process->collection->is_running()) collect(*node.process);
        return;
      case 5:
        if (node.process != nullptr && dice_.chance(1, 3)) delete_some(node);
        return;
      case 6:
        if (node.process != nullptr) node.process->archiver->publish_now();
        return;
      case 7:
        if (node.process != nullptr) node.process->archiver->poke();
        return;
      default:
        if (node.process != nullptr) {
          for (std::uint64_t i = 0, n = 1 + dice_.below(12); i < n; ++i) {
            node.process->step(dice_);
            watch();
          }
        }
    }
  }
  void settle(Process& process) {
    while (!testing::Test::HasFatalFailure() && process.step(dice_)) watch();
  }
  void note_unrecorded(const Node& node) {
    const auto reg = register_in(bucket_, node.process->names, root_.identity);
    if (!reg.has_value()) return;
    for (const auto& [number, segment] : node.process->manifest->state().segments()) {
      tally_.adopted += !segment.archived.has_value() && epoch_of(*reg, number).has_value();
    }
  }
  void collect(Process& process) {
    process.collection->run([this](Result<CollectionReport> report) {
      if (!report.has_value()) return;
      ++tally_.collections;
      tally_.orphans += report->removed;
    });
  }
  void delete_some(Node& node) {
    const auto& segments = node.process->manifest->state().segments();
    if (segments.size() < 4 || !node.process->writer().is_writer()) return;
    auto low = segments.begin();
    std::advance(low, 1 + static_cast<std::ptrdiff_t>(dice_.below(2)));
    node.process->archiver->delete_below(low->first, low->second.facts.base, [this](Status status) {
      if (status.has_value()) ++tally_.deletions;
    });
  }

  // What everybody can see must be true at every moment.
  void watch() {
    const BucketNames names(kPrefix, root_.identity);
    const auto found = bucket_.objects.find(names.register_name());
    if (found == bucket_.objects.end()) return;
    const bool moved = found->second.etag != seen_etag_;
    if (!moved && bucket_.removes == seen_removes_ && bucket_.puts == seen_puts_) return;
    seen_etag_ = found->second.etag;
    seen_removes_ = bucket_.removes;
    seen_puts_ = bucket_.puts;
    const auto reg = decode_register(found->second.bytes, root_.identity, "watch");
    ASSERT_TRUE(ok(reg));
    if (moved && seen_.has_value()) {
      ASSERT_EQ(reg->revision, seen_->revision + 1);
      ASSERT_GE(reg->epoch, seen_->epoch);
      ASSERT_GE(reg->archived_number, seen_->archived_number);
      ASSERT_GE(reg->low_number, seen_->low_number);
    }
    seen_ = *reg;
    // Of every number one object counts: always the same one, always with the same bytes.
    std::map<std::uint64_t, std::string> counting;
    for (auto it = bucket_.objects.lower_bound(names.segments());
         it != bucket_.objects.end() && it->first.starts_with(names.segments()); ++it) {
      const auto key = names.parse(it->first);
      ASSERT_TRUE(key.has_value());
      if (!counts(*reg, *key)) continue;
      ASSERT_TRUE(counting.emplace(key->number, it->first).second) << "two objects count: " << it->first;
      const auto [known, is_new] = published_.try_emplace(key->number, std::pair(it->first, it->second.etag));
      tally_.published += is_new;
      ASSERT_EQ(known->second.first, it->first);
      ASSERT_EQ(known->second.second, it->second.etag) << "it was put again";
    }
    // None is missing: they chain from low to the archive's end.
    Lsn next = reg->low;
    for (const auto& [number, name] : counting) {
      ASSERT_EQ(names.parse(name)->base, next);
      next = names.parse(name)->last.next();
    }
    ASSERT_EQ(next, reg->archived.index.next()) << "something published is not there";
    for (const auto& [number, object] : published_) {
      ASSERT_TRUE(number < reg->low_number || counting.contains(number))
          << "segment " << number << " was lost";
    }
  }

  // The world calms down: strays arrive, a writer takes over, archives all it has and collects.
  void finish() {
    bucket_.faults_per_1000 = 0;
    for (auto& node : nodes_) {
      if (node->process != nullptr) {
        settle(*node->process);
      }
    }
    while (bucket_.deliver_stray()) watch();
    for (int i = 0; i < 3; ++i) {
      for (std::size_t who = 0; who < 2 && !testing::Test::HasFatalFailure(); ++who) end_as_writer(who);
    }
  }
  void end_as_writer(std::size_t who) {
    Node& node = *nodes_[who];
    Node& other = *nodes_[1 - who];
    const std::unique_ptr<Process> zombie = std::exchange(other.process, nullptr);
    node.process.reset();
    begin(who);
    Process& process = *node.process;
    settle(process);
    ASSERT_TRUE(process.started.has_value());
    if (!process.started->has_value()) {
      // Its history is not the archive's: the other one's is.
      ASSERT_EQ(process.started->error().code(), ErrorCode::kNotInPrerequisiteState);
      ++tally_.refused;
      node.process.reset();
      return;
    }
    process.archiver->publish_now();
    settle(process);
    EXPECT_TRUE(process.archiver->is_idle());
    std::optional<Result<CollectionReport>> report;
    process.collection->run([&](Result<CollectionReport> result) { report = std::move(result); });
    settle(process);
    ASSERT_TRUE(report.has_value() && report->has_value());
    const auto reg = register_in(bucket_, process.names, root_.identity);
    for (const std::string& name : segment_names(bucket_, process.names)) {
      ASSERT_TRUE(counts(*reg, *process.names.parse(name))) << "an orphan is left: " << name;
    }
    // Whoever was the writer before learns it as soon as it asks.
    if (zombie != nullptr && zombie->started.has_value() && zombie->started->has_value()) {
      settle(*zombie);
      if (!zombie->writer().is_busy()) {
        std::optional<Status> fresh;
        zombie->writer().refresh([&](Status status) { fresh = std::move(status); });
        settle(*zombie);
        ASSERT_TRUE(fresh.has_value());
        ASSERT_FALSE(fresh->has_value());
        ASSERT_EQ(fresh->error().code(), ErrorCode::kFenced);
        ++tally_.fenced;
      }
    }
  }

  SimRandom dice_;
  StrayBucket bucket_;
  Tally& tally_;
  SegmentMaker root_;
  std::array<std::unique_ptr<Node>, 2> nodes_;
  std::uint64_t writers_ = 0;
  std::string seen_etag_;
  std::uint64_t seen_removes_ = 0, seen_puts_ = 0;
  std::optional<BucketRegister> seen_;
  std::map<std::uint64_t, std::pair<std::string, std::string>> published_;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSeeds = 1'000;
#else
constexpr std::uint64_t kSeeds = 20'000;
#endif

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Interleavings, NothingPublishedIsLostAndNothingIsLeftOver) {
  const std::uint64_t first = number_from_environment("BOP_AOF_FIRST_SEED", 1);
  const std::uint64_t seeds = number_from_environment("BOP_AOF_SEEDS", kSeeds);
  Tally tally;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    Interleaving world(seed, tally);
    world.run();
    if (testing::Test::HasFatalFailure() || testing::Test::HasNonfatalFailure()) {
      FAIL() << "BOP_AOF_FIRST_SEED=" << seed << " BOP_AOF_SEEDS=1";
    }
  }
  printf(
      "%llu interleavings: %llu steps, %llu take-overs (%llu refused), %llu forks, %llu crashes, %llu segments "
      "published, %llu published and not recorded, %llu deletions, %llu collections, %llu orphans removed, %llu "
      "zombies fenced\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(tally.steps),
      static_cast<unsigned long long>(tally.takeovers), static_cast<unsigned long long>(tally.refused),
      static_cast<unsigned long long>(tally.forks), static_cast<unsigned long long>(tally.crashes),
      static_cast<unsigned long long>(tally.published), static_cast<unsigned long long>(tally.adopted),
      static_cast<unsigned long long>(tally.deletions), static_cast<unsigned long long>(tally.collections),
      static_cast<unsigned long long>(tally.orphans), static_cast<unsigned long long>(tally.fenced));
  if (seeds < 1000) return;
  EXPECT_GT(tally.published, seeds);
  EXPECT_GT(tally.orphans, seeds / 10);
  EXPECT_GT(tally.fenced, seeds / 10);
  EXPECT_GT(tally.adopted, seeds / 100);
  EXPECT_GT(tally.deletions, seeds / 100);
}

}  // namespace
}  // namespace bop::aof::test
