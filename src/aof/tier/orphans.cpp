#include "aof/tier/orphans.hpp"

#include <utility>

#include "base/assert.hpp"

namespace bop::aof {

namespace {
constexpr std::size_t kMostStrangers = 100;
}  // namespace

ObjectFate fate_of(const BucketRegister& reg, const ObjectKey& key) noexcept {
  if (counts(reg, key)) return ObjectFate::kCounts;
  if (key.epoch > reg.epoch) return ObjectFate::kPending;
  if (key.number < reg.low_number) return ObjectFate::kOrphan;
  return key.epoch == reg.epoch ? ObjectFate::kPending : ObjectFate::kOrphan;
}

OrphanCollection::OrphanCollection(objstore::ObjectStore& store, RegisterWriter& writer, BucketNames names,
                                   Executor& executor, std::size_t max_running, objstore::CallOptions options)
    : store_(store),
      writer_(writer),
      names_(std::move(names)),
      max_running_(max_running),
      options_(options),
      calls_(executor) {}

void OrphanCollection::run(Done done) {
  BOP_ASSERT(!is_running());
  done_ = std::move(done);
  report_ = {};
  after_.clear();
  failure_.reset();
  if (writer_.is_busy()) {
    finish(fail(ErrorCode::kObjectInUse, "the register is being changed: try again"));
    return;
  }
  writer_.refresh([this, guard = calls_.guard()](Status fresh) {
    if (guard.expired()) return;
    if (!fresh.has_value()) return finish(std::unexpected(std::move(fresh).error()));
    register_ = writer_.current();
    list();
  });
}

void OrphanCollection::list() {
  static_cast<void>(store_.list(names_.segments(), after_, options_,
                                calls_.here<objstore::ListPage>([this](Result<objstore::ListPage> page) {
                                  if (!page.has_value())
                                    return finish(std::unexpected(std::move(page).error()));
                                  judge(*page);
                                })));
}

void OrphanCollection::judge(const objstore::ListPage& page) {
  for (const objstore::ObjectMeta& object : page.objects) {
    ++report_.objects;
    const auto key = names_.parse(object.key);
    if (!key.has_value()) {
      if (report_.strangers.size() < kMostStrangers) report_.strangers.push_back(object.key);
      continue;
    }
    switch (fate_of(register_, *key)) {
      case ObjectFate::kCounts: ++report_.counted; break;
      case ObjectFate::kPending: ++report_.pending; break;
      case ObjectFate::kOrphan: doomed_.push_back(object.key); break;
    }
  }
  more_ = page.more && !page.objects.empty();
  if (!page.objects.empty()) after_ = page.objects.back().key;
  remove_some();
}

void OrphanCollection::remove_some() {
  if (failure_.has_value()) doomed_.clear();
  while (!doomed_.empty() && removing_ < max_running_) {
    ++removing_;
    std::string key = std::move(doomed_.front());
    doomed_.pop_front();
    static_cast<void>(store_.remove(std::move(key), options_,
                                    calls_.here<std::monostate>([this](Result<std::monostate> removed) {
                                      --removing_;
                                      if (removed.has_value()) {
                                        ++report_.removed;
                                      } else {
                                        failure_ = std::move(removed).error();
                                      }
                                      remove_some();
                                    })));
  }
  if (removing_ != 0) return;
  if (failure_.has_value()) return finish(std::unexpected(*failure_));
  if (more_) return list();
  finish(std::move(report_));
}

void OrphanCollection::finish(Result<CollectionReport> result) {
  calls_.post(
      [done = std::exchange(done_, {}), result = std::move(result)]() mutable { done(std::move(result)); });
}

}  // namespace bop::aof
