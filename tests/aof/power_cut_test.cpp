// Power cuts: after each, the log opens, every acknowledged record is there and intact, nothing stands behind
// a gap, batches are whole, and what was once discarded never comes back.
//
// BOP_AOF_SEEDS sets how many seeds are run, BOP_AOF_FIRST_SEED where they begin.
#include <cstdlib>

#include "aof/codec_fixture.hpp"
#include "aof/inspection.hpp"

namespace bop::aof::test {
namespace {

struct Problems final : InspectionSink {
  void segment(const std::string&, const SegmentHeader&) override {}
  void record(const RecordView&, ByteOffset) override {}
  void problem(const Error& error) override { texts.push_back(error.what()); }
  void end(Lsn, const std::string&) override {}
  std::vector<std::string> texts;
};

// What the log has to hold, kept by the test alone.
struct Model {
  struct Record {
    std::uint64_t tag = 0;
    std::size_t bytes = 0;
    std::uint32_t database = 0;
    std::uint32_t batch_remaining = 0;
  };
  std::map<std::uint64_t, Record> records;  // by LSN, as appended last
  std::uint64_t acknowledged = 0;
};

class Life {
 public:
  Life(std::uint64_t seed, bool faults_at_open, Coding coding = Coding::kOff)
      : world_(seed, {.longest_delay = 1 + static_cast<std::uint32_t>(seed % 7), .trace_length = 0}),
        dice_(seed * 7919 + 1),
        faults_at_open_(faults_at_open),
        coding_(coding) {}

  void run() {
    const std::uint64_t lives = 2 + dice_.below(4);
    for (std::uint64_t life = 0; life < lives && !testing::Test::HasFatalFailure(); ++life) {
      live();
      if (testing::Test::HasFatalFailure()) return;
    }
    open_and_check();
  }

  std::uint64_t holes = 0, torn = 0, clean = 0, rotations = 0, pipelined = 0, discarded = 0, failed_opens = 0;

 private:
  void live() {
    open_and_check();
    if (testing::Test::HasFatalFailure()) return;
    const std::uint64_t steps = dice_.below(60);
    for (std::uint64_t i = 0; i < steps; ++i) step();
    rotations += stream_->metrics().rotations.load();
    if (stream_->metrics().max_in_flight.load() > 1) ++pipelined;
    const std::uint64_t how = dice_.below(8);
    if (how == 0) {
      ASSERT_TRUE(ok(stream_->close()));
      model_.acknowledged = stream_->appended().value;
      stream_.reset();
      if (dice_.chance(1, 2)) world_.disk.power_cut();
    } else if (how == 1) {
      note_durable();
      world_.disk.process_kill();
      stream_.reset();
    } else {
      note_durable();
      world_.disk.power_cut();
      stream_.reset();
    }
  }

  void step() {
    world_.clock.advance(std::chrono::microseconds(dice_.below(300)));
    switch (dice_.below(10)) {
      case 0:
        while (world_.disk.wait() != 0) {
        }
        break;
      case 1:
        ASSERT_TRUE(ok(stream_->maintain()));
        if (stream_->keys() && dice_.chance(1, 8)) {
          ASSERT_TRUE(ok(stream_->keys()->rotate()));
        }
        break;
      case 2:
        note_durable();
        if (dice_.chance(1, 4)) {
          ASSERT_TRUE(ok(stream_->trim(Lsn(1 + dice_.below(stream_->durable().value + 1)))));
        }
        break;
      case 3:
      case 4: static_cast<void>(world_.disk.poll()); break;
      default: append_some(); break;
    }
    note_durable();
  }

  void append_some() {
    const std::size_t count = dice_.chance(1, 3) ? 1 + dice_.below(5) : 1;
    std::vector<Entry> entries;
    std::vector<Model::Record> records;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t bytes = dice_.chance(1, 12) ? dice_.below(6000) : dice_.below(700);
      const auto database = static_cast<std::uint32_t>(dice_.below(4));
      const std::uint64_t tag = ++tags_;
      entries.push_back({DatabaseId(database), payload(tag, bytes)});
      records.push_back({tag, bytes, database, static_cast<std::uint32_t>(count - i - 1)});
    }
    const auto last = append(*stream_, entries);
    ASSERT_TRUE(ok(last));
    for (std::size_t i = 0; i < count; ++i) model_.records[last->value - count + 1 + i] = records[i];
  }

  [[nodiscard]] std::vector<std::byte> payload(std::uint64_t tag, std::size_t bytes) const {
    return coding_ != Coding::kOff && tag % 2 == 0 ? text_of(tag, bytes) : payload_of(tag, bytes);
  }

  void note_durable() {
    ASSERT_LE(stream_->durable(), stream_->appended());
    model_.acknowledged = std::max(model_.acknowledged, stream_->durable().value);
  }

  // Opens; before that, at times, opens that fail half way and are cut off.
  void open_and_check() {
    while (faults_at_open_ && dice_.chance(1, 2)) {
      world_.disk.fail_call(1 + dice_.below(25), SimFault::kIo, true);
      {
        auto half = world_.open(options_of(world_, coding_));
      }
      world_.disk.clear_faults();
      world_.disk.power_cut();
      ++failed_opens;
    }
    auto opened = world_.open(options_of(world_, coding_));
    ASSERT_TRUE(ok(opened));
    stream_ = std::move(*opened);
    const Recovered& found = stream_->recovered();
    torn += found.verdict.find("torn") != std::string::npos;
    holes += found.verdict.find("hole") != std::string::npos;
    clean += found.clean;
    discarded += found.discarded_records;
    ASSERT_GE(found.last.value, model_.acknowledged) << found.verdict;
    ASSERT_LE(found.last.value, model_.records.empty() ? 0 : model_.records.rbegin()->first) << found.verdict;
    // What was not found is void for ever: it must not be found later either.
    model_.records.erase(model_.records.upper_bound(found.last.value), model_.records.end());
    model_.acknowledged = found.last.value;
    const auto copies = read_all(*stream_, found.first);
    ASSERT_TRUE(ok(copies));
    std::uint64_t expected = found.first.value;
    for (const Copy& copy : *copies) {
      ASSERT_EQ(copy.lsn.value, expected++);
      const Model::Record& record = model_.records.at(copy.lsn.value);
      ASSERT_EQ(copy.payload, payload(record.tag, record.bytes)) << "LSN " << copy.lsn.value;
      ASSERT_EQ(copy.database.value, record.database);
      ASSERT_EQ(copy.batch_remaining, record.batch_remaining);
    }
    ASSERT_EQ(expected, found.last.value + 1);
    if (!copies->empty()) {
      ASSERT_EQ(copies->back().batch_remaining, 0U) << "half a batch";
    }
    Problems problems;
    ASSERT_TRUE(ok(inspect(world_.disk, kDirectory, problems, stream_->keys())));
    ASSERT_TRUE(problems.texts.empty()) << problems.texts.front();
  }

  World world_;
  SimRandom dice_;
  bool faults_at_open_;
  Coding coding_;
  Model model_;
  std::unique_ptr<CommitStream> stream_;
  std::uint64_t tags_ = 0;
};

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void run_seeds(std::uint64_t count, bool faults_at_open, Coding coding = Coding::kOff) {
  const std::uint64_t first = number_from_environment("BOP_AOF_FIRST_SEED", 1);
  const std::uint64_t seeds = number_from_environment("BOP_AOF_SEEDS", count);
  std::uint64_t holes = 0, torn = 0, clean = 0, rotations = 0, pipelined = 0, discarded = 0, failed_opens = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(seed, faults_at_open, coding);
    life.run();
    if (testing::Test::HasFatalFailure()) return;
    holes += life.holes, torn += life.torn, clean += life.clean, rotations += life.rotations;
    pipelined += life.pipelined, discarded += life.discarded, failed_opens += life.failed_opens;
  }
  printf(
      "%llu seeds from %llu: %llu torn tails, %llu holes, %llu clean, %llu rotations, %llu lives with "
      "writes in parallel, %llu whole records discarded, %llu opens cut off\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(first),
      static_cast<unsigned long long>(torn), static_cast<unsigned long long>(holes),
      static_cast<unsigned long long>(clean), static_cast<unsigned long long>(rotations),
      static_cast<unsigned long long>(pipelined), static_cast<unsigned long long>(discarded),
      static_cast<unsigned long long>(failed_opens));
  // A simulation that does not reach what it is about proves nothing.
  if (seeds >= 500) {
    EXPECT_GT(holes, seeds / 50);
    EXPECT_GT(torn, seeds / 50);
    EXPECT_GT(clean, seeds / 50);
    EXPECT_GT(rotations, seeds / 50);
    EXPECT_GT(pipelined, seeds / 10);
  }
}

TEST(PowerCut, NothingAcknowledgedIsLostAndNothingVoidComesBack) { run_seeds(2000, false); }

TEST(PowerCut, CutsDuringRecoveryChangeNothing) { run_seeds(1000, true); }

TEST(PowerCut, CompressedAndEncryptedRecordsKeepThePromises) { run_seeds(600, false, Coding::kBoth); }

TEST(PowerCut, CutsWhileKeysAreMadeChangeNothing) { run_seeds(500, true, Coding::kAes); }

// A first write of marks alone was lost, a second one survived, and the segment before was trimmed.
TEST(PowerCut, SeedsThatFailedOnce) {
  for (const std::uint64_t seed : {257086}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(seed, true);
    life.run();
  }
}

}  // namespace
}  // namespace bop::aof::test
