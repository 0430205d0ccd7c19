// Objects in memory that are read, in order, from poll(); with a list of what was asked for, and answers that
// fail or are damaged on their way.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "objstore/object_store.hpp"

namespace bop::aof::test {

class PieceStore final : public objstore::ObjectStore {
 public:
  struct Get {
    std::string key;
    objstore::Range range;
    objstore::Priority priority{};
  };
  struct Idle final : objstore::Call {
    void cancel() noexcept override {}
  };

  objstore::CallPtr put(std::string, objstore::Body, objstore::PutCondition, objstore::CallOptions,
                        objstore::Completion<objstore::ObjectMeta>) override {
    return std::make_shared<Idle>();
  }
  objstore::CallPtr get(std::string key, std::optional<objstore::Range> range, objstore::CallOptions options,
                        objstore::Completion<std::vector<std::byte>> done) override {
    gets.push_back({key, range.value(), options.priority});
    waiting_.push_back({std::move(key), *range, std::move(done)});
    return std::make_shared<Idle>();
  }
  objstore::CallPtr head(std::string, objstore::CallOptions,
                         objstore::Completion<objstore::ObjectMeta>) override {
    return std::make_shared<Idle>();
  }
  objstore::CallPtr list(std::string, std::string, objstore::CallOptions,
                         objstore::Completion<objstore::ListPage>) override {
    return std::make_shared<Idle>();
  }
  objstore::CallPtr remove(std::string, objstore::CallOptions,
                           objstore::Completion<std::monostate>) override {
    return std::make_shared<Idle>();
  }
  const std::string& name() const noexcept override { return name_; }

  // Answers the oldest call.
  std::size_t poll() override {
    if (waiting_.empty()) return 0;
    Waiting oldest = std::move(waiting_.front());
    waiting_.pop_front();
    const auto& object = objects[oldest.key];
    if (failures > 0) {
      --failures;
      oldest.done(fail(ErrorCode::kObjectStoreUnavailable, "{}: no answer", oldest.key));
    } else if (oldest.range.offset >= object.size()) {
      oldest.done(fail(ErrorCode::kObjectNotFound, "{}: is not there", oldest.key));
    } else {
      const auto from = object.begin() + static_cast<std::ptrdiff_t>(oldest.range.offset);
      const auto size = std::min<std::uint64_t>(oldest.range.bytes, object.size() - oldest.range.offset);
      std::vector<std::byte> bytes(from, from + static_cast<std::ptrdiff_t>(size));
      if (damages > 0) {
        --damages;
        bytes[bytes.size() - 100] ^= std::byte{4};
      }
      oldest.done(std::move(bytes));
    }
    return 1;
  }

  std::map<std::string, std::vector<std::byte>> objects;
  std::vector<Get> gets;
  int failures = 0;  // so many answers are errors
  int damages = 0;   // so many answers have a bit flipped

 private:
  struct Waiting {
    std::string key;
    objstore::Range range;
    objstore::Completion<std::vector<std::byte>> done;
  };
  std::string name_ = "memory://";
  std::deque<Waiting> waiting_;
};

}  // namespace bop::aof::test
