// What every ObjectStore does, whatever is below it; each kind of store runs the whole list.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "objstore/call_result.hpp"

namespace bop::objstore {

struct StoreUnderTest {
  virtual ~StoreUnderTest() = default;
  virtual ObjectStore& store() = 0;
};

// The whole contract on an empty store; keys are below `prefix`, which ends with '/' or is empty.
inline void check_contract(ObjectStore& store, const std::string& prefix) {
  Calls calls{store, {.deadline = std::chrono::minutes(10)}};
  const auto at = [&](std::string_view name) { return prefix + std::string(name); };

  // Nothing is there.
  EXPECT_EQ(code_of(calls.get(at("a"))), ErrorCode::kObjectNotFound);
  EXPECT_EQ(code_of(calls.head(at("a"))), ErrorCode::kObjectNotFound);
  EXPECT_EQ(calls.keys(prefix).value(), std::vector<std::string>());
  EXPECT_TRUE(calls.remove(at("a")).has_value());
  EXPECT_EQ(code_of(calls.put(at("a"), "x", if_match("\"00000000000000000000000000000000\""))),
            ErrorCode::kPreconditionFailed);

  // Put if absent, once.
  const auto first = calls.put(at("a"), "first", if_absent());
  ASSERT_TRUE(first.has_value()) << first.error().what();
  EXPECT_EQ(first->bytes, 5U);
  EXPECT_EQ(first->key, at("a"));
  EXPECT_FALSE(first->etag.empty());
  EXPECT_EQ(code_of(calls.put(at("a"), "other", if_absent())), ErrorCode::kObjectExists);
  EXPECT_EQ(calls.get(at("a")).value(), "first");
  const auto seen = calls.head(at("a"));
  ASSERT_TRUE(seen.has_value()) << seen.error().what();
  EXPECT_EQ(seen->etag, first->etag);
  EXPECT_EQ(seen->bytes, 5U);

  // Put if match: of what was seen, once.
  const auto second = calls.put(at("a"), "second!", if_match(seen->etag));
  ASSERT_TRUE(second.has_value()) << second.error().what();
  EXPECT_NE(second->etag, first->etag);
  EXPECT_EQ(code_of(calls.put(at("a"), "third", if_match(seen->etag))), ErrorCode::kPreconditionFailed);
  EXPECT_EQ(calls.get(at("a")).value(), "second!");
  EXPECT_EQ(calls.head(at("a"))->etag, second->etag);

  // Without a condition the newest wins.
  EXPECT_TRUE(calls.put(at("a"), "0123456789").has_value());
  EXPECT_EQ(calls.get(at("a")).value(), "0123456789");

  // Ranges.
  EXPECT_EQ(calls.get(at("a"), Range{0, 1}).value(), "0");
  EXPECT_EQ(calls.get(at("a"), Range{3, 4}).value(), "3456");
  EXPECT_EQ(calls.get(at("a"), Range{8, 100}).value(), "89");
  EXPECT_EQ(calls.get(at("a"), Range{0, 10}).value(), "0123456789");
  EXPECT_EQ(code_of(calls.get(at("a"), Range{10, 1})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(calls.get(at("a"), Range{0, 0})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(calls.get(at("none"), Range{0, 1})), ErrorCode::kObjectNotFound);

  // Keys.
  EXPECT_EQ(code_of(calls.put("a//b", "x")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(calls.get("../a")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(calls.head("")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(calls.remove("a/")), ErrorCode::kInvalidArgument);

  // An empty object is one.
  EXPECT_TRUE(calls.put(at("empty"), "", if_absent()).has_value());
  EXPECT_EQ(calls.get(at("empty")).value(), "");
  EXPECT_EQ(calls.head(at("empty"))->bytes, 0U);
  EXPECT_EQ(code_of(calls.put(at("empty"), "", if_absent())), ErrorCode::kObjectExists);

  // Lists: ascending by bytes, by a prefix that is no folder.
  for (const char* name : {"l/b/2", "l/b/1", "l/b-x", "l/b.x", "l/a", "l/c/d/e", "l/bb", "m"}) {
    EXPECT_TRUE(calls.put(at(name), name).has_value()) << name;
  }
  const auto below = [&](std::initializer_list<const char*> names) {
    std::vector<std::string> out;
    for (const char* name : names) out.push_back(at(name));
    return out;
  };
  EXPECT_EQ(calls.keys(at("l/")).value(),
            below({"l/a", "l/b-x", "l/b.x", "l/b/1", "l/b/2", "l/bb", "l/c/d/e"}));
  EXPECT_EQ(calls.keys(at("l/b")).value(), below({"l/b-x", "l/b.x", "l/b/1", "l/b/2", "l/bb"}));
  EXPECT_EQ(calls.keys(at("l/b/")).value(), below({"l/b/1", "l/b/2"}));
  EXPECT_EQ(calls.keys(at("l/b"), at("l/b/1")).value(), below({"l/b/2", "l/bb"}));
  EXPECT_EQ(calls.keys(at("l/b"), at("l/b.x")).value(), below({"l/b/1", "l/b/2", "l/bb"}));
  EXPECT_EQ(calls.keys(at("l/x")).value(), below({}));
  EXPECT_EQ(calls.keys(at("l/"), at("m")).value(), below({}));

  // Gone.
  EXPECT_TRUE(calls.remove(at("l/b/1")).has_value());
  EXPECT_TRUE(calls.remove(at("l/b/1")).has_value());
  EXPECT_EQ(code_of(calls.head(at("l/b/1"))), ErrorCode::kObjectNotFound);
  EXPECT_EQ(calls.keys(at("l/b/")).value(), below({"l/b/2"}));
  EXPECT_TRUE(calls.put(at("l/b/1"), "again", if_absent()).has_value());
  EXPECT_EQ(calls.get(at("l/b/1")).value(), "again");

  // A large one, whole and in ranges.
  std::string large(9U << 20U, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761U >> 13U);
  ASSERT_TRUE(calls.put(at("large"), large).has_value());
  EXPECT_EQ(calls.head(at("large"))->bytes, large.size());
  EXPECT_TRUE(calls.get(at("large")).value() == large);
  EXPECT_TRUE(calls.get(at("large"), Range{5'000'000, 262'144}).value() == large.substr(5'000'000, 262'144));
}

}  // namespace bop::objstore
