// What a call of an ObjectStore answered; for tests.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "objstore/object_store.hpp"

namespace bop::objstore {

// Told once, from any thread.
template <class T>
class Answer {
 public:
  [[nodiscard]] Completion<T> completion() const {
    return [state = state_](Result<T> result) {
      const std::lock_guard guard(state->mutex);
      EXPECT_FALSE(state->result.has_value()) << "answered twice";
      state->result.emplace(std::move(result));
      state->told.notify_all();
    };
  }
  [[nodiscard]] bool is_told() const {
    const std::lock_guard guard(state_->mutex);
    return state_->result.has_value();
  }
  // Polls a store that needs it, waits for the others. One that never answers fails the test's time limit.
  Result<T> wait(ObjectStore& store) {
    while (!is_told() && store.poll() > 0) {
    }
    std::unique_lock guard(state_->mutex);
    state_->told.wait(guard, [&] { return state_->result.has_value(); });
    return *state_->result;
  }
  Result<T> value() const {
    const std::lock_guard guard(state_->mutex);
    return *state_->result;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable told;
    std::optional<Result<T>> result;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

inline Body body_of(std::string_view text) {
  const auto owner = std::make_shared<std::string>(text);
  return {std::as_bytes(std::span(*owner)), owner};
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline PutCondition if_absent() { return {PutCondition::Kind::kIfAbsent, {}}; }
inline PutCondition if_match(std::string etag) { return {PutCondition::Kind::kIfMatch, std::move(etag)}; }

// Calls that wait for their answer.
struct Calls {
  ObjectStore& store;
  CallOptions options{};

  Result<ObjectMeta> put(const std::string& key, std::string_view text, PutCondition condition = {}) {
    Answer<ObjectMeta> answer;
    store.put(key, body_of(text), std::move(condition), options, answer.completion());
    return answer.wait(store);
  }
  Result<std::string> get(const std::string& key, std::optional<Range> range = {}) {
    Answer<std::vector<std::byte>> answer;
    store.get(key, range, options, answer.completion());
    auto bytes = answer.wait(store);
    if (!bytes) return std::unexpected(bytes.error());
    return text_of(*bytes);
  }
  Result<ObjectMeta> head(const std::string& key) {
    Answer<ObjectMeta> answer;
    store.head(key, options, answer.completion());
    return answer.wait(store);
  }
  Result<ListPage> page(const std::string& prefix, const std::string& start_after = {}) {
    Answer<ListPage> answer;
    store.list(prefix, start_after, options, answer.completion());
    return answer.wait(store);
  }
  // All pages.
  Result<std::vector<std::string>> keys(const std::string& prefix, const std::string& start_after = {}) {
    std::vector<std::string> out;
    std::string after = start_after;
    while (true) {
      auto found = page(prefix, after);
      if (!found) return std::unexpected(found.error());
      for (const ObjectMeta& object : found->objects) out.push_back(object.key);
      if (!found->more || found->objects.empty()) return out;
      after = out.back();
    }
  }
  Result<std::monostate> remove(const std::string& key) {
    Answer<std::monostate> answer;
    store.remove(key, options, answer.completion());
    return answer.wait(store);
  }
};

inline ErrorCode code_of(const auto& result) {
  return result.has_value() ? ErrorCode::kInternal : result.error().code();
}

}  // namespace bop::objstore
