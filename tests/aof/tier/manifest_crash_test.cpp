// Power cuts through the manifest's writes: what was acknowledged is there, what was not is there whole or
// not at all, and the manifest always opens.
#include <array>
#include <cstdlib>

#include "aof/tier/manifest_fixture.hpp"

namespace bop::aof::test {
namespace {

enum class Op : std::uint8_t { kAppend, kAppendLarge, kRotate, kReopen };
constexpr std::array kOps{Op::kAppend, Op::kAppendLarge, Op::kRotate, Op::kReopen};

class Script {
 public:
  explicit Script(std::uint64_t seed) : world_(seed) {}

  // True when the power was cut before the end. 0: never.
  void run(const std::vector<Op>& ops, std::uint64_t cut_at) {
    auto created = world_.create();
    ASSERT_TRUE(ok(created));
    manifest_ = std::move(*created);
    ASSERT_TRUE(ok(manifest_->append(world_.next_records())));
    const std::uint64_t before = world_.disk.io_calls();
    if (cut_at != 0) world_.disk.fail_call(cut_at, SimFault::kIo, true);
    for (const Op op : ops) {
      if (!step(op)) break;
    }
    calls = world_.disk.io_calls() - before;
    manifest_.reset();
    world_.disk.clear_faults();
    world_.disk.power_cut();
    check();
    // And it goes on, through a rotation, and through another cut.
    for (int i = 0; i < 3 && !testing::Test::HasFatalFailure(); ++i) {
      ASSERT_TRUE(ok(manifest_->append(world_.next_records())));
      if (i == 1) {
        ASSERT_TRUE(ok(manifest_->rotate()));
      }
    }
    manifest_.reset();
    world_.disk.power_cut();
    check();
  }

  std::uint64_t calls = 0;
  std::uint64_t found_unacknowledged = 0;

 private:
  bool step(Op op) {
    switch (op) {
      case Op::kAppend: return append(world_.peek_records());
      case Op::kAppendLarge: {
        std::vector<ManifestRecord> records;
        for (std::uint64_t i = 0; i < 12; ++i) {
          records.emplace_back(KeyAddedRecord{1000 + ++keys_, std::string(900, 'x')});
        }
        return append(records);
      }
      case Op::kRotate: return manifest_->rotate().has_value();
      case Op::kReopen: {
        auto opened = world_.open();
        if (!opened.has_value()) return false;
        manifest_ = std::move(*opened);
        return manifest_->state() == world_.expected();
      }
    }
    return false;
  }
  bool append(const std::vector<ManifestRecord>& given) {
    const std::vector<ManifestRecord> records = given;
    if (!manifest_->append(records).has_value()) {
      doubtful_ = records;
      return false;
    }
    world_.note(records);
    return true;
  }
  void check() {
    auto opened = world_.open();
    ASSERT_TRUE(ok(opened));
    manifest_ = std::move(*opened);
    if (manifest_->state() != world_.expected()) {
      ASSERT_TRUE(doubtful_.has_value()) << "an acknowledged record is gone";
      world_.note(*doubtful_);
      ++found_unacknowledged;
    }
    doubtful_.reset();
    ASSERT_EQ(manifest_->state(), world_.expected());
  }

  ManifestWorld world_;
  std::unique_ptr<Manifest> manifest_;
  std::optional<std::vector<ManifestRecord>> doubtful_;
  std::uint64_t keys_ = 0;
};

// Every script of up to three operations, cut at every call of the disk, by several seeds of what survives.
TEST(ManifestPowerCut, EveryShortScriptAtEveryCall) {
  std::uint64_t runs = 0, unacknowledged = 0;
  std::vector<std::vector<Op>> scripts{{}};
  for (std::size_t from = 0; from < scripts.size(); ++from) {
    if (scripts[from].size() == 3) continue;
    for (const Op op : kOps) {
      scripts.push_back(scripts[from]);
      scripts.back().push_back(op);
    }
  }
  ASSERT_EQ(scripts.size(), 1U + 4U + 16U + 64U);
  for (const auto& script : scripts) {
    std::uint64_t calls = 0;
    for (std::uint64_t cut = 0; cut <= calls + 1; ++cut) {
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        Script run(seed);
        run.run(script, cut);
        if (testing::Test::HasFatalFailure()) {
          std::string text;
          for (const Op op : script) text += std::to_string(static_cast<int>(op)) + " ";
          FAIL() << "script " << text << "cut at call " << cut << " seed " << seed;
        }
        if (cut == 0) calls = run.calls;
        unacknowledged += run.found_unacknowledged;
        ++runs;
      }
    }
  }
  printf("%zu scripts, %llu runs, %llu unacknowledged writes found whole\n", scripts.size(),
         static_cast<unsigned long long>(runs), static_cast<unsigned long long>(unacknowledged));
  EXPECT_GT(unacknowledged, 40U);
}

// Wherever a rotation was cut: once its file holds an append, losing that file's header is never mistaken for
// a rotation that did not happen.
TEST(ManifestPowerCut, AFileIsSupersededBeforeItsSuccessorIsAppendedTo) {
  std::uint64_t rotated = 0, cut_before_mark = 0;
  for (std::uint64_t cut = 1; cut <= 16; ++cut) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      ManifestWorld world(seed);
      auto manifest = world.create();
      ASSERT_TRUE(ok(manifest));
      ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
      world.disk.fail_call(cut, SimFault::kIo, true);
      const bool whole = (*manifest)->rotate().has_value();
      world.disk.clear_faults();
      world.disk.power_cut();
      manifest = world.open();
      ASSERT_TRUE(ok(manifest));
      ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
      const auto loaded = load_manifest(world.disk, kManifestDirectory);
      ASSERT_TRUE(ok(loaded));
      ASSERT_EQ(loaded->state, world.expected());
      if ((*manifest)->generation() == 1) continue;
      ++rotated;
      cut_before_mark += !whole;
      for (const std::uint64_t block : {0U, 4096U}) {
        ASSERT_TRUE(world.disk.flip_bit(loaded->newest.path, block + 30, 1));
      }
      const auto broken = load_manifest(world.disk, kManifestDirectory);
      ASSERT_FALSE(broken.has_value()) << "cut " << cut << " seed " << seed;
      EXPECT_EQ(broken.error().code(), ErrorCode::kCorrupt);
    }
  }
  EXPECT_GT(rotated, 8U);
  EXPECT_GT(cut_before_mark, 4U);
}

TEST(ManifestPowerCut, CreatingIsCutAtEveryCall) {
  std::uint64_t none = 0, some = 0;
  for (std::uint64_t cut = 1; cut <= 40; ++cut) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      ManifestWorld world(seed);
      world.disk.fail_call(cut, SimFault::kIo, true);
      static_cast<void>(world.create());
      world.disk.clear_faults();
      world.disk.power_cut();
      auto manifest = world.open();
      if (!manifest.has_value()) {
        ASSERT_EQ(manifest.error().code(), ErrorCode::kFileNotFound) << manifest.error().what();
        manifest = world.create();
        ++none;
      } else {
        ++some;
      }
      ASSERT_TRUE(ok(manifest)) << "cut " << cut << " seed " << seed;
      for (int i = 0; i < 3; ++i) ASSERT_TRUE(ok((*manifest)->append(world.next_records())));
      ASSERT_TRUE(ok((*manifest)->rotate()));
      manifest = world.open();
      ASSERT_TRUE(ok(manifest));
      EXPECT_EQ((*manifest)->state(), world.expected());
    }
  }
  EXPECT_GT(none, 20U);
  EXPECT_GT(some, 20U);
}

TEST(ManifestPowerCut, LongLives) {
  const char* text = std::getenv("BOP_AOF_SEEDS");
  const std::uint64_t seeds = text == nullptr ? 1500 : std::strtoull(text, nullptr, 10);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SimRandom dice(seed);
    std::vector<Op> ops;
    for (std::uint64_t i = 0, n = dice.below(40); i < n; ++i) ops.push_back(kOps[dice.below(kOps.size())]);
    Script run(seed);
    run.run(ops, 1 + dice.below(160));
    if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace bop::aof::test
