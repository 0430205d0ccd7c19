// Large bodies in parts, over the simulated bucket.
#include "objstore/call_result.hpp"
#include "objstore/sim_object_store.hpp"

namespace bop::objstore {
namespace {

std::string large_text(std::size_t bytes, std::uint64_t seed) {
  SimRandom random(seed);
  std::string out(bytes, '\0');
  random.fill(std::as_writable_bytes(std::span(out)));
  return out;
}

SimBucketOptions in_parts() {
  SimBucketOptions options;
  options.part_bytes = 1000;
  return options;
}

TEST(Parts, ALargeBodyArrivesWhole) {
  SimBucket bucket(1, in_parts());
  SimObjectStore store(bucket);
  Calls calls{store};
  for (const std::size_t bytes : {1000U, 1001U, 2000U, 9999U, 50'000U}) {
    const std::string text = large_text(bytes, bytes);
    const std::uint64_t before = bucket.requests();
    const auto put = calls.put("a", text);
    ASSERT_TRUE(put.has_value()) << put.error().what();
    EXPECT_EQ(put->bytes, bytes);
    EXPECT_EQ(put->etag, calls.head("a")->etag);
    EXPECT_EQ(calls.get("a").value(), text);
    const std::uint64_t parts = (bytes + 999) / 1000;
    EXPECT_EQ(bucket.requests() - before, (bytes <= 1000 ? 1 : parts + 2) + 2);
    EXPECT_EQ(bucket.open_uploads(), 0U);
  }
  // With a condition it is one request.
  const std::uint64_t before = bucket.requests();
  EXPECT_TRUE(calls.put("b", large_text(5000, 1), if_absent()).has_value());
  EXPECT_EQ(bucket.requests() - before, 1U);
}

TEST(Parts, FaultsAreNotSeen) {
  std::uint64_t struck = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SimBucketOptions options = in_parts();
    options.faults_per_1000 = 200;
    options.late = std::chrono::nanoseconds(1);
    SimBucket bucket(seed, options);
    SimObjectStore store(bucket);
    Calls calls{store, {.deadline = std::chrono::minutes(20)}};
    const std::string text = large_text(7'500, seed);
    const auto put = calls.put("a", text);
    ASSERT_TRUE(put.has_value()) << put.error().what();
    EXPECT_EQ(text_of(*bucket.contents("a")), text);
    struck += bucket.faults_struck();
  }
  EXPECT_GT(struck, 300U);
}

TEST(Parts, AnUploadThatFailsIsDropped) {
  for (std::uint64_t k = 2; k <= 10; ++k) {
    SCOPED_TRACE(fmt::format("request {}", k));
    SimBucket bucket(k, in_parts());
    SimObjectStore store(bucket);
    Calls calls{store};
    bucket.fail_call(k, SimObjectFault::kDenied);
    EXPECT_EQ(code_of(calls.put("a", large_text(7'500, 1))), ErrorCode::kObjectStoreDenied);
    bucket.world().run_until_idle();
    EXPECT_EQ(bucket.open_uploads(), 0U);
    EXPECT_TRUE(bucket.keys().empty());
    EXPECT_EQ(store.open_calls(), 0U);
  }
}

TEST(Parts, ACancelledUploadIsDropped) {
  SimBucket bucket(3, in_parts());
  SimObjectStore store(bucket);
  Answer<ObjectMeta> answer;
  const CallPtr call = store.put("a", body_of(large_text(50'000, 1)), {}, {}, answer.completion());
  bucket.world().run_for(std::chrono::milliseconds(40));
  ASSERT_FALSE(answer.is_told());
  EXPECT_EQ(bucket.open_uploads(), 1U);
  call->cancel();
  bucket.world().run_until_idle();
  EXPECT_EQ(code_of(answer.value()), ErrorCode::kCancelled);
  EXPECT_EQ(bucket.open_uploads(), 0U);
  EXPECT_EQ(store.open_calls(), 0U);
  // And at the end of the store everything is answered.
  Answer<ObjectMeta> last;
  {
    SimObjectStore dying(bucket);
    dying.put("b", body_of(large_text(50'000, 1)), {}, {}, last.completion());
    bucket.world().run_for(std::chrono::milliseconds(40));
  }
  EXPECT_EQ(code_of(last.value()), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace bop::objstore
