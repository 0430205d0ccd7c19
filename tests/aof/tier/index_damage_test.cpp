#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "aof/tier/index_fixture.hpp"
#include "mdbx/environment.hpp"
#include "mdbx/file_guard.hpp"

namespace bop::aof {
namespace {

using namespace test;

std::vector<char> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Outcome {
  std::uint64_t flips = 0;
  std::uint64_t begun_anew = 0;
  std::uint64_t told = 0;       // an error of the index when it was used
  std::uint64_t not_known = 0;  // it says that it has nothing
  std::uint64_t misled = 0;     // it named a wrong place, which was seen
  std::uint64_t right = 0;
  Outcome& operator+=(const Outcome& other) {
    flips += other.flips;
    begun_anew += other.begun_anew;
    told += other.told;
    not_known += other.not_known;
    misled += other.misled;
    right += other.right;
    return *this;
  }
};

// What a log does with an index: looks in it, compares with the segments, and does without it where it is
// wrong. False when a wrong record came of it.
bool use(IndexedLog& log, SegmentIndex& index, const std::map<std::uint64_t, Written>& entries,
         const std::vector<std::uint64_t>& ids, Outcome& outcome) {
  bool had_error = false, had_nothing = false, was_misled = false;
  for (const std::uint64_t id : ids) {
    const auto found = log.read_by_id(index, Lsn(id));
    if (!found.has_value()) {
      had_error = true;
    } else if (!found->has_value()) {
      had_nothing = true;
    } else {
      was_misled = was_misled || (*found)->index_was_wrong;
      if ((*found)->id != Lsn(id) || (*found)->written != entries.at(id)) return false;
    }
  }
  const auto last = index.max_last_id();
  if (!last.has_value()) had_error = true;
  const auto waiting = index.for_archiving(3);
  if (!waiting.has_value()) had_error = true;
  const Written& middle = entries.at(ids[1]);
  const auto by_time = log.read_by_time(index, middle.timestamp_us);
  if (!by_time.has_value()) {
    had_error = true;
  } else if (by_time->has_value() && (*by_time)->written != entries.at((*by_time)->id.value)) {
    return false;
  }
  // Writing goes through the lists of free pages, too.
  if (waiting.has_value() && !waiting->empty()) {
    SegmentEntry changed = waiting->front();
    changed.archive_key = "an object";
    if (!index.update(changed)) had_error = true;
    if (!index.remove(changed)) had_error = true;
    if (!index.sync()) had_error = true;
  }
  outcome.told += had_error ? 1 : 0;
  outcome.not_known += !had_error && had_nothing ? 1 : 0;
  outcome.misled += was_misled ? 1 : 0;
  outcome.right += !had_error && !had_nothing && !was_misled ? 1 : 0;
  return true;
}

class FlippedIndex : public testing::Test {
 protected:
  static constexpr int kWrongRecord = 5;

  void SetUp() override {
    log_.write(4, 2000);
    {
      auto index = log_.open_index();
      log_.rebuild(*index);
      used_bits_ = index->info()->used_bytes * 8;
    }
    good_ = read_file(log_.index_options().directory + "/" + mdbx::kDataFile);
    seal_ = read_file(log_.index_options().directory + "/" + mdbx::kSealFile);
    ASSERT_FALSE(good_.empty());
    ASSERT_FALSE(seal_.empty());
    entries_ = log_.entries();
    for (const auto& source : log_.sources()) {
      ids_.push_back(source.facts.base.value);
      ids_.push_back((source.facts.base.value + source.facts.last.index.value) / 2);
      ids_.push_back(source.facts.last.index.value);
    }
    options_ = log_.index_options();
    options_.directory = scratch_.path() + "/index";
    std::filesystem::create_directories(options_.directory);
    report_ = ::open((scratch_.path() + "/report").c_str(), O_RDWR | O_CREAT, 0600);
    ASSERT_GE(report_, 0);
    if (const char* given = std::getenv("BOP_INDEX_FLIP_STEP")) step_ = std::strtoull(given, nullptr, 10);
  }
  void TearDown() override { ::close(report_); }

  void put(const char* name, const std::vector<char>& bytes) const {
    const int file = ::open((options_.directory + "/" + name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const bool whole = ::write(file, bytes.data(), bytes.size()) == static_cast<::ssize_t>(bytes.size());
    ::close(file);
    if (!whole) ::_exit(3);
  }
  void put_flipped(std::uint64_t bit, bool sealed) const {
    std::vector<char> bytes = good_;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    for (const char* name : {mdbx::kSealFile, mdbx::kLivesFile, mdbx::kLockFile}) {
      (void)::unlink((options_.directory + "/" + name).c_str());
    }
    put(mdbx::kDataFile, bytes);
    if (sealed) put(mdbx::kSealFile, seal_);
  }

  // Opens what is there and uses it. 0, or kWrongRecord.
  int live(Outcome& outcome) {
    ++outcome.flips;
    auto index = SegmentIndex::open(options_);
    if (!index.has_value()) return 4;
    if (!(*index)->discarded().empty()) {
      ++outcome.begun_anew;
      return (*index)->all()->empty() ? 0 : kWrongRecord;
    }
    return use(log_, **index, entries_, ids_, outcome) ? 0 : kWrongRecord;
  }

  // The exit code of `work` in a process of its own, -1 when it died.
  template <class Work>
  int in_a_process(Work&& work) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work());
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // Every step-th bit of the pages in use, in turn. Bits at which the process died are returned.
  std::vector<std::uint64_t> flip_all(bool sealed, Outcome& all) {
    std::vector<std::uint64_t> deadly;
    for (std::uint64_t from = 0; from < used_bits_;) {
      Outcome outcome;
      (void)::pwrite(report_, &outcome, sizeof(outcome), 8);
      const int code = in_a_process([&] {
        for (std::uint64_t bit = from; bit < used_bits_; bit += step_) {
          (void)::pwrite(report_, &bit, sizeof(bit), 0);
          put_flipped(bit, sealed);
          if (const int wrong = live(outcome); wrong != 0) return wrong;
          (void)::pwrite(report_, &outcome, sizeof(outcome), 8);
        }
        return 0;
      });
      std::uint64_t bit = 0;
      (void)::pread(report_, &bit, sizeof(bit), 0);
      (void)::pread(report_, &outcome, sizeof(outcome), 8);
      all += outcome;
      if (code == 0) return deadly;
      EXPECT_NE(code, kWrongRecord) << "bit " << bit;
      EXPECT_NE(code, 4) << "bit " << bit;
      if (code == kWrongRecord || code == 4) return deadly;
      deadly.push_back(bit);
      from = bit + step_;
    }
    return deadly;
  }

  IndexedLog log_{41, std::uint64_t{128} << 10U};
  mdbx::test::Folder scratch_{std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp"};
  SegmentIndex::Options options_;
  std::vector<char> good_, seal_;
  std::map<std::uint64_t, Written> entries_;
  std::vector<std::uint64_t> ids_;
  std::uint64_t used_bits_ = 0;
  std::uint64_t step_ = 211;  // in turn every bit of a byte; BOP_INDEX_FLIP_STEP=1: all
  int report_ = -1;
};

TEST_F(FlippedIndex, OfALogThatWasClosedIsBegunAnew) {
  Outcome outcome;
  EXPECT_TRUE(flip_all(true, outcome).empty());
  EXPECT_EQ(outcome.begun_anew, outcome.flips);
  EXPECT_GE(outcome.flips, used_bits_ / step_);
}

// No seal protects what a killed process left. A wrong record never comes of it; where libmdbx itself dies of
// it, the third death is the last.
TEST_F(FlippedIndex, OfAProcessThatWasKilledNeverLeadsToAWrongRecord) {
  Outcome outcome;
  const auto deadly = flip_all(false, outcome);
  std::printf(
      "%llu flips: %llu begun anew, %llu told, %llu not known, %llu misled and seen, %llu right, %zu deadly\n",
      static_cast<unsigned long long>(outcome.flips + deadly.size()),
      static_cast<unsigned long long>(outcome.begun_anew), static_cast<unsigned long long>(outcome.told),
      static_cast<unsigned long long>(outcome.not_known), static_cast<unsigned long long>(outcome.misled),
      static_cast<unsigned long long>(outcome.right), deadly.size());
  EXPECT_GT(outcome.right, 0U);
  EXPECT_GT(outcome.told, 0U);
  EXPECT_LT(deadly.size() * 100, outcome.flips);
  for (const std::uint64_t bit : deadly) {
    put_flipped(bit, false);
    int code = -1;
    std::size_t lives = 0;
    while (code != 0 && lives < mdbx::kMostLives + 1) {
      ++lives;
      code = in_a_process([&] {
        Outcome ignored;
        return live(ignored);
      });
      ASSERT_NE(code, kWrongRecord) << "bit " << bit;
    }
    ASSERT_EQ(code, 0) << "bit " << bit;
  }
}

}  // namespace
}  // namespace bop::aof
