#include "mdbx/environment.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <thread>

#include "base/sim.hpp"
#include "mdbx/environment_fixture.hpp"

namespace bop::mdbx {
namespace {

using namespace test;

class Environments : public testing::Test {
 protected:
  Result<std::unique_ptr<Environment>> open() { return Environment::open(options_); }
  Folder folder_;
  Options options_ = small(folder_);
};

TEST_F(Environments, KeepWhatWasWrittenOverAReopen) {
  {
    auto environment = open();
    ASSERT_TRUE(ok(environment));
    auto table = (*environment)->table("t");
    ASSERT_TRUE(ok(table));
    ASSERT_TRUE(ok(put(**environment, *table, Key::of(std::uint64_t{1}), "one")));
  }
  auto environment = open();
  ASSERT_TRUE(ok(environment));
  auto table = (*environment)->table("t");
  ASSERT_TRUE(ok(table));
  EXPECT_EQ(get(**environment, *table, Key::of(std::uint64_t{1})), "one");
  EXPECT_EQ(get(**environment, *table, Key::of(std::uint64_t{2})), "nothing");
}

TEST_F(Environments, AFailedWriteChangesNothing) {
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  ASSERT_TRUE(put(*environment, table, Key::of(1), "before"));
  const Status status = environment->write([&](WriteTransaction& transaction) -> Status {
    BOP_TRY(transaction.put(table, Key::of(1), as_bytes("after")));
    BOP_TRY(transaction.erase(table, Key::of(1)));
    return fail(ErrorCode::kCancelled, "no");
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(get(*environment, table, Key::of(1)), "before");
}

TEST_F(Environments, AReadSeesOneState) {
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  ASSERT_TRUE(put(*environment, table, Key::of(1), "old"));
  auto read = environment->read();
  ASSERT_TRUE(ok(read));
  ASSERT_TRUE(put(*environment, table, Key::of(1), "new"));
  std::string seen;
  std::thread([&, moved = std::move(*read)]() mutable {  // a read may change its thread
    seen = text_of(**moved.get(table, Key::of(1)));
  })
      .join();
  EXPECT_EQ(seen, "old");
  EXPECT_EQ(get(*environment, table, Key::of(1)), "new");
}

TEST_F(Environments, CursorsWalkInOrderFromWhereTheyAreSet) {
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  std::map<std::uint64_t, std::string> model;
  SimRandom random(3);
  for (int i = 0; i < 500; ++i) model[random.below(100'000)] = std::to_string(i);
  ASSERT_TRUE(environment->write([&](WriteTransaction& transaction) -> Status {
    for (const auto& [key, value] : model) BOP_TRY(transaction.put(table, Key::of(key), as_bytes(value)));
    return {};
  }));
  auto read = environment->read();
  ASSERT_TRUE(ok(read));
  EXPECT_EQ(read->count(table).value(), model.size());
  auto cursor = std::move(*read->cursor(table));
  std::map<std::uint64_t, std::string> walked;
  for (auto pair = cursor.first().value(); pair.has_value(); pair = cursor.next().value()) {
    std::uint64_t key = 0;
    ASSERT_TRUE(KeyReader(pair->key).take(key).done());
    walked[key] = text_of(pair->value);
  }
  EXPECT_EQ(walked, model);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t wanted = random.below(100'010);
    const auto expect = [&](const std::optional<Pair>& pair, bool exists, auto place) {
      ASSERT_EQ(pair.has_value(), exists) << wanted;
      if (!exists) return;
      std::uint64_t key = 0;
      ASSERT_TRUE(KeyReader(pair->key).take(key).done());
      EXPECT_EQ(key, place->first);
      EXPECT_EQ(text_of(pair->value), place->second);
    };
    const auto after = model.lower_bound(wanted);
    expect(cursor.at_or_after(Key::of(wanted)).value(), after != model.end(), after);
    const auto beyond = model.upper_bound(wanted);
    const bool any = beyond != model.begin();
    expect(cursor.at_or_before(Key::of(wanted)).value(), any, any ? std::prev(beyond) : beyond);
    if (any && std::prev(beyond) != model.begin()) {
      expect(cursor.previous().value(), true, std::prev(beyond, 2));
    }
  }
  const auto last = cursor.last().value();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(text_of(last->value), model.rbegin()->second);
}

TEST_F(Environments, InsertAndEraseTellWhatTheyFound) {
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  ASSERT_TRUE(ok(environment->write([&](WriteTransaction& transaction) -> Status {
    EXPECT_TRUE(transaction.insert(table, Key::of(1), as_bytes("a")).value());
    EXPECT_FALSE(transaction.insert(table, Key::of(1), as_bytes("b")).value());
    EXPECT_FALSE(transaction.erase(table, Key::of(2)).value());
    return {};
  })));
  EXPECT_EQ(get(*environment, table, Key::of(1)), "a");
  ASSERT_TRUE(
      ok(environment->write([&](WriteTransaction& transaction) { return transaction.clear(table); })));
  EXPECT_EQ(get(*environment, table, Key::of(1)), "nothing");
}

TEST_F(Environments, TheFileGrowsByItselfUpToItsLimitAndShrinksAgain) {
  options_.max_bytes = std::uint64_t{2} << 20U;
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  const std::uint64_t before = environment->info()->file_bytes;
  const std::string value(8000, 'v');
  std::uint64_t stored = 0;
  Status status;
  while ((status = put(*environment, table, Key::of(stored), value))) ++stored;
  EXPECT_EQ(status.error().code(), ErrorCode::kConfigurationLimitExceeded) << status.error().what();
  EXPECT_GT(stored, 100U);
  EXPECT_GT(environment->info()->file_bytes, before);
  EXPECT_LE(environment->info()->file_bytes, options_.max_bytes);
  EXPECT_EQ(get(*environment, table, Key::of(stored - 1)), value);

  // What was refused fits once it may grow.
  environment.reset();
  options_.max_bytes *= 2;
  environment = std::move(*open());
  const Table again = *environment->table("t");
  ASSERT_TRUE(ok(put(*environment, again, Key::of(stored), value)));
  EXPECT_EQ(get(*environment, again, Key::of(std::uint64_t{0})), value);

  const std::uint64_t full = environment->info()->file_bytes;
  ASSERT_TRUE(environment->write([&](WriteTransaction& transaction) { return transaction.clear(again); }));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(put(*environment, again, Key::of(std::uint64_t{0}), "x"));
  EXPECT_LT(environment->info()->file_bytes, full);
}

TEST_F(Environments, ReadersAreBounded) {
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  const std::uint32_t most = environment->info()->max_readers;
  EXPECT_GE(most, options_.max_readers);
  EXPECT_LT(most, 200U);
  std::vector<ReadTransaction> reads;
  Result<ReadTransaction> last = environment->read();
  while (last.has_value()) {
    reads.push_back(std::move(*last));
    ASSERT_LE(reads.size(), most);
    last = environment->read();
  }
  EXPECT_EQ(last.error().code(), ErrorCode::kInsufficientResources) << last.error().what();
  EXPECT_FALSE(last.error().fields().hint.empty());
  EXPECT_TRUE(put(*environment, table, Key::of(1), "writes go on"));
  reads.pop_back();
  EXPECT_TRUE(ok(environment->read()));
}

TEST_F(Environments, KeysAndValuesThatAreTooLongAreRefused) {
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  const std::string longest(Key::kMaxBytes - 2, 'x');
  EXPECT_TRUE(ok(put(*environment, table, Key::of(std::string_view(longest)), "v")));
  const Status key = put(*environment, table, Key::of(std::string_view(longest + "x")), "v");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code(), ErrorCode::kProgramLimitExceeded);
  const Status value = put(*environment, table, Key::of(1), std::string(kMaxValueBytes + 1, 'v'));
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code(), ErrorCode::kProgramLimitExceeded);
}

TEST_F(Environments, ASecondOneInThisProcessIsRefused) {
  auto environment = open();
  ASSERT_TRUE(ok(environment));
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kLocked) << second.error().what();
}

TEST_F(Environments, ReadOnlyMakesNothing) {
  options_.access = Access::kReadOnly;
  const auto none = open();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), ErrorCode::kFileNotFound) << none.error().what();
  options_.access = Access::kReadWrite;
  {
    auto environment = std::move(*open());
    const Table table = *environment->table("t");
    ASSERT_TRUE(put(*environment, table, Key::of(1), "one"));
  }
  options_.access = Access::kReadOnly;
  auto environment = open();
  ASSERT_TRUE(ok(environment));
  auto table = (*environment)->table("t");
  ASSERT_TRUE(ok(table));
  EXPECT_EQ(get(**environment, *table, Key::of(1)), "one");
  const auto missing = (*environment)->table("other");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), ErrorCode::kFileNotFound);
  EXPECT_FALSE(put(**environment, *table, Key::of(2), "two"));
}

TEST_F(Environments, WhatIsNoFileOfLibmdbxIsCorrupt) {
  std::filesystem::create_directories(options_.directory);
  std::ofstream(options_.directory + "/" + kDataFile) << std::string(64 << 10, 'x');
  const auto environment = open();
  ASSERT_FALSE(environment);
  EXPECT_EQ(environment.error().code(), ErrorCode::kCorrupt) << environment.error().what();
  EXPECT_NE(environment.error().what().find(options_.directory), std::string::npos);
  ASSERT_TRUE(ok(remove_environment(options_.directory)));
  EXPECT_TRUE(ok(open()));
}

TEST_F(Environments, ATransactionLargerThanItsMemoryIsWrittenOutBefore) {
  options_.max_bytes = std::uint64_t{128} << 20U;
  auto environment = std::move(*open());
  const Table table = *environment->table("t");
  const std::string value(1000, 'v');
  constexpr std::uint64_t kPairs = 3 * kDirtyBytes / 1000;
  ASSERT_TRUE(ok(environment->write([&](WriteTransaction& transaction) -> Status {
    for (std::uint64_t i = 0; i < kPairs; ++i) {
      BOP_TRY(transaction.put(table, Key::of(i * 7919 % kPairs), as_bytes(value)));
    }
    return {};
  })));
  EXPECT_EQ(environment->read()->count(table).value(), kPairs);
}

}  // namespace
}  // namespace bop::mdbx
