#include "database/attachments.hpp"

#include <iterator>
#include <utility>

#include "base/assert.hpp"

namespace bop::database {

void Attachments::publish(Csn csn, Object object) {
  std::lock_guard lock(mutex_);
  objects_[csn] = std::move(object);
  drop_unreachable();
}

Attachments::Found Attachments::find(Csn csn) const {
  std::lock_guard lock(mutex_);
  auto it = objects_.upper_bound(csn);
  if (it == objects_.begin()) return {};
  --it;
  return {it->first, it->second};
}

void Attachments::discard_after(Csn csn) {
  std::lock_guard lock(mutex_);
  objects_.erase(objects_.upper_bound(csn), objects_.end());
}

void Attachments::pin(Csn csn) {
  std::lock_guard lock(mutex_);
  pins_.insert(csn);
  visible_ = std::max(visible_, csn);
}

void Attachments::unpin(Csn csn) {
  std::lock_guard lock(mutex_);
  const auto it = pins_.find(csn);
  BOP_ASSERT(it != pins_.end());
  pins_.erase(it);
  drop_unreachable();
}

std::size_t Attachments::size() const {
  std::lock_guard lock(mutex_);
  return objects_.size();
}

// The oldest state that somebody may ask for is the oldest pin; without pins it is the newest state that a
// pin has named, because publications above it may not be visible to snapshots yet. A rewind goes back to
// what is committed.
void Attachments::drop_unreachable() {
  Csn oldest = std::min(visible_, gate_.released());
  if (!pins_.empty()) oldest = std::min(oldest, *pins_.begin());
  auto keep = objects_.upper_bound(oldest);
  if (keep == objects_.begin()) return;
  --keep;
  objects_.erase(objects_.begin(), keep);
}

}  // namespace bop::database
