// A bucket in memory, shared by several processes, whose requests are late, lost, answered late or not at
// all, by a seed. What it promises is what objstore::ObjectStore promises.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/sim.hpp"
#include "objstore/object_store.hpp"

namespace bop::aof::test {

class StrayBucket {
 public:
  explicit StrayBucket(std::uint64_t seed) : dice(seed) {}

  struct Object {
    std::vector<std::byte> bytes;
    std::string etag;
  };
  std::map<std::string, Object> objects;
  std::uint64_t versions = 0;
  std::uint64_t puts = 0, gets = 0, lists = 0, removes = 0;
  unsigned faults_per_1000 = 0;
  // Requests of processes that ended: some arrive later.
  std::deque<std::function<void()>> strays;
  SimRandom dice;

  // A stray arrives, if there is one.
  bool deliver_stray() {
    if (strays.empty()) return false;
    const auto at = static_cast<std::ptrdiff_t>(dice.below(strays.size()));
    auto stray = std::move(strays[static_cast<std::size_t>(at)]);
    strays.erase(strays.begin() + at);
    stray();
    return true;
  }
};

// One process's view of it. Requests take effect, and are answered, one at a time from poll(), in any order.
class StrayStore final : public objstore::ObjectStore {
 public:
  explicit StrayStore(StrayBucket& bucket) : bucket_(bucket) {}
  // The process ends: what is on its way arrives later, or never.
  ~StrayStore() override {
    for (Request& request : requests_) {
      if (request.effect && bucket_.dice.chance(1, 2)) {
        bucket_.strays.emplace_back(
            [effect = std::make_shared<Effect>(std::move(request.effect))] { (*effect)(); });
      }
    }
  }

  objstore::CallPtr put(std::string key, objstore::Body body, objstore::PutCondition condition,
                        objstore::CallOptions, objstore::Completion<objstore::ObjectMeta> done) override {
    auto answer = std::make_shared<std::optional<Result<objstore::ObjectMeta>>>();
    auto effect = [&bucket = bucket_, key,
                   bytes = std::vector<std::byte>(body.bytes.begin(), body.bytes.end()), condition, answer] {
      using Kind = objstore::PutCondition::Kind;
      ++bucket.puts;
      const auto found = bucket.objects.find(key);
      if (condition.kind == Kind::kIfAbsent && found != bucket.objects.end()) {
        *answer = fail(ErrorCode::kObjectExists, "{}", key);
        return;
      }
      if (condition.kind == Kind::kIfMatch &&
          (found == bucket.objects.end() || found->second.etag != condition.etag)) {
        *answer = fail(ErrorCode::kPreconditionFailed, "{}", key);
        return;
      }
      auto& object = bucket.objects[key];
      object = {bytes, std::to_string(++bucket.versions)};
      *answer = objstore::ObjectMeta{key, bytes.size(), object.etag};
    };
    return add<objstore::ObjectMeta>(std::move(effect), answer, std::move(done), key);
  }
  objstore::CallPtr get(std::string key, std::optional<objstore::Range> range, objstore::CallOptions,
                        objstore::Completion<std::vector<std::byte>> done) override {
    auto answer = std::make_shared<std::optional<Result<std::vector<std::byte>>>>();
    auto effect = [&bucket = bucket_, key, range, answer] {
      ++bucket.gets;
      const auto found = bucket.objects.find(key);
      if (found == bucket.objects.end()) {
        *answer = fail(ErrorCode::kObjectNotFound, "{}", key);
        return;
      }
      const auto& bytes = found->second.bytes;
      const std::uint64_t from = range.has_value() ? std::min<std::uint64_t>(range->offset, bytes.size()) : 0;
      const std::uint64_t size =
          range.has_value() ? std::min(range->bytes, bytes.size() - from) : bytes.size();
      *answer = std::vector<std::byte>(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                                       bytes.begin() + static_cast<std::ptrdiff_t>(from + size));
    };
    return add<std::vector<std::byte>>(std::move(effect), answer, std::move(done), key);
  }
  objstore::CallPtr head(std::string key, objstore::CallOptions,
                         objstore::Completion<objstore::ObjectMeta> done) override {
    auto answer = std::make_shared<std::optional<Result<objstore::ObjectMeta>>>();
    auto effect = [&bucket = bucket_, key, answer] {
      const auto found = bucket.objects.find(key);
      if (found == bucket.objects.end()) {
        *answer = fail(ErrorCode::kObjectNotFound, "{}", key);
      } else {
        *answer = objstore::ObjectMeta{key, found->second.bytes.size(), found->second.etag};
      }
    };
    return add<objstore::ObjectMeta>(std::move(effect), answer, std::move(done), key);
  }
  objstore::CallPtr list(std::string prefix, std::string start_after, objstore::CallOptions,
                         objstore::Completion<objstore::ListPage> done) override {
    auto answer = std::make_shared<std::optional<Result<objstore::ListPage>>>();
    auto effect = [&bucket = bucket_, prefix, start_after, answer] {
      ++bucket.lists;
      objstore::ListPage page;
      for (auto it = bucket.objects.lower_bound(std::max(prefix, start_after)); it != bucket.objects.end();
           ++it) {
        if (!it->first.starts_with(prefix)) break;
        if (it->first == start_after) continue;
        if (page.objects.size() == 3) {
          page.more = true;
          break;
        }
        page.objects.push_back({it->first, it->second.bytes.size(), it->second.etag});
      }
      *answer = std::move(page);
    };
    return add<objstore::ListPage>(std::move(effect), answer, std::move(done), prefix);
  }
  objstore::CallPtr remove(std::string key, objstore::CallOptions,
                           objstore::Completion<std::monostate> done) override {
    auto answer = std::make_shared<std::optional<Result<std::monostate>>>();
    auto effect = [&bucket = bucket_, key, answer] {
      ++bucket.removes;
      bucket.objects.erase(key);
      *answer = std::monostate{};
    };
    return add<std::monostate>(std::move(effect), answer, std::move(done), key);
  }

  std::size_t poll() override {
    if (requests_.empty()) return 0;
    const std::size_t at = static_cast<std::size_t>(bucket_.dice.below(requests_.size()));
    Request& request = requests_[at];
    if (request.effect) {
      request.effect();
      request.effect = nullptr;
      if (bucket_.dice.chance(1, 2)) return 1;  // answered later
    }
    auto answer = std::move(requests_[at].answer);
    requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(at));
    answer();
    return 1;
  }
  const std::string& name() const noexcept override { return name_; }

 private:
  using Effect = std::move_only_function<void()>;
  struct Request {
    Effect effect;
    std::move_only_function<void()> answer;
  };
  struct NoCall final : objstore::Call {
    void cancel() noexcept override {}
  };

  template <class T>
  objstore::CallPtr add(Effect effect, std::shared_ptr<std::optional<Result<T>>> answer,
                        objstore::Completion<T> done, const std::string& key) {
    if (bucket_.dice.below(1000) < bucket_.faults_per_1000) {
      // Unavailable: it happened, it did not, or it happens much later.
      const std::uint64_t how = bucket_.dice.below(3);
      if (how == 0) effect = [] {};
      if (how == 1) {
        bucket_.strays.emplace_back([late = std::make_shared<Effect>(std::move(effect))] { (*late)(); });
        effect = [] {};
      }
      requests_.push_back({std::move(effect), [done = std::move(done), key]() mutable {
                             done(fail(ErrorCode::kObjectStoreUnavailable, "{}", key));
                           }});
      return std::make_shared<NoCall>();
    }
    requests_.push_back(
        {std::move(effect), [answer, done = std::move(done)]() mutable { done(std::move(**answer)); }});
    return std::make_shared<NoCall>();
  }

  StrayBucket& bucket_;
  std::vector<Request> requests_;
  std::string name_ = "memory";
};

}  // namespace bop::aof::test
