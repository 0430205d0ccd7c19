// A writer and the zombie of the writer before it, each with requests that are lost, late and doubled: what
// the bucket's users build upon.
#include "objstore/call_result.hpp"
#include "objstore/sim_object_store.hpp"

namespace bop::objstore {
namespace {

// Counts up a register by put if match. Each success told to a writer is one step: nothing is lost, nothing
// is counted twice.
class Counting {
 public:
  Counting(SimBucket& bucket, int steps) : store_(bucket), left_(steps) { look(); }
  [[nodiscard]] bool is_done() const { return left_ == 0; }
  [[nodiscard]] int told() const { return told_; }
  // Steps whose put ended as unknown: they count or not.
  [[nodiscard]] int unknown() const { return unknown_; }

 private:
  void look() {
    if (left_ == 0) return;
    store_.head("register", kOptions, [this](Result<ObjectMeta> found) {
      if (!found) return look();
      etag_ = found->etag;
      store_.get("register", std::nullopt, kOptions, [this](Result<std::vector<std::byte>> bytes) {
        if (!bytes) return look();
        raise(std::stoi(text_of(*bytes)) + 1);
      });
    });
  }
  void raise(int value) {
    store_.put("register", body_of(std::to_string(value)), if_match(etag_), kOptions,
               [this](Result<ObjectMeta> put) {
                 --left_;
                 if (put) {
                   ++told_;
                 } else if (put.error().code() == ErrorCode::kObjectStoreUnavailable) {
                   ++unknown_;
                 } else {
                   EXPECT_EQ(put.error().code(), ErrorCode::kPreconditionFailed) << put.error().what();
                   // May have happened and been replaced since, if an answer was lost.
                   ++replaced_or_not_;
                   ++left_;
                 }
                 look();
               });
  }

 public:
  [[nodiscard]] int refused() const { return replaced_or_not_; }

 private:
  static constexpr CallOptions kOptions{.deadline = std::chrono::minutes(5)};
  SimObjectStore store_;
  std::string etag_;
  int left_, told_ = 0, unknown_ = 0, replaced_or_not_ = 0;
};

TEST(TwoWriters, RegisterCountsEverySuccessOnce) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SimScheduler world(seed);
    SimBucketOptions options;
    options.faults_per_1000 = seed % 4 == 0 ? 0 : 150;
    SimBucket bucket(world, seed, options);
    bucket.place("register", {static_cast<std::byte>('0')});
    Counting one(bucket, 6), other(bucket, 6);
    ASSERT_TRUE(world.run_until([&] { return one.is_done() && other.is_done(); })) << "seed " << seed;
    world.run_until_idle();
    const int value = std::stoi(text_of(*bucket.contents("register")));
    const int told = one.told() + other.told();
    EXPECT_GE(value, told) << "seed " << seed;
    EXPECT_LE(value, told + one.unknown() + other.unknown() + one.refused() + other.refused())
        << "seed " << seed;
    // Each store of the register had its condition: as many as steps.
    EXPECT_EQ(bucket.stores_of("register"), static_cast<std::uint64_t>(value) + 1) << "seed " << seed;
    if (options.faults_per_1000 == 0) {
      EXPECT_EQ(value, told) << "seed " << seed;
    }
    if (::testing::Test::HasFailure()) break;
  }
}

// Both put the same keys if absent, with contents of their own: of each key exactly one hears success, and it
// is the one whose bytes are there; nobody's object is overwritten.
TEST(TwoWriters, AnObjectIsOfTheOneThatWasToldSo) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SimScheduler world(seed * 3);
    SimBucketOptions options;
    options.faults_per_1000 = 200;
    SimBucket bucket(world, seed, options);
    auto one = std::make_unique<SimObjectStore>(bucket);
    SimObjectStore other(bucket);
    constexpr int kKeys = 5;
    constexpr CallOptions kOptions{.deadline = std::chrono::minutes(2)};
    std::vector<Answer<ObjectMeta>> of_one(kKeys), of_other(kKeys);
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = fmt::format("k{}", i);
      one->put(key, body_of("one"), if_absent(), kOptions, of_one[i].completion());
      other.put(key, body_of("other"), if_absent(), kOptions, of_other[i].completion());
    }
    // Every third time the first one dies with what it has under way.
    if (seed % 3 == 0) {
      world.run_for(std::chrono::milliseconds(static_cast<std::int64_t>(seed % 40)));
      one.reset();
    }
    world.run_until_idle();
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = fmt::format("k{}", i);
      SCOPED_TRACE(fmt::format("seed {}, {}", seed, key));
      ASSERT_TRUE(of_one[i].is_told() && of_other[i].is_told());
      EXPECT_LE(bucket.stores_of(key), 1U);
      const auto bytes = bucket.contents(key);
      const std::string there = bytes ? text_of(*bytes) : "nothing";
      if (of_one[i].value().has_value()) {
        EXPECT_EQ(there, "one");
      }
      if (of_other[i].value().has_value()) {
        EXPECT_EQ(there, "other");
      }
      if (code_of(of_one[i].value()) == ErrorCode::kObjectExists) {
        EXPECT_EQ(there, "other");
      }
      if (code_of(of_other[i].value()) == ErrorCode::kObjectExists) {
        EXPECT_EQ(there, "one");
      }
    }
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace bop::objstore
