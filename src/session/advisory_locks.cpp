#include "session/advisory_locks.hpp"

#include <algorithm>
#include <set>

#include "base/metrics.hpp"

namespace bop::session {

bool AdvisoryLocks::conflicts(const Request& request) const {
  const auto found = locks_.find(request.key);
  if (found == locks_.end()) return false;
  const auto others = [&](const std::map<Owner, std::size_t>& owners) {
    return owners.size() > (owners.contains(request.owner) ? 1U : 0U);
  };
  return others(found->second.exclusive) || (!request.shared && others(found->second.shared));
}

bool AdvisoryLocks::is_behind(const Request& request) const {
  // Who holds it passes those who wait for it to let go.
  if (const auto held = locks_.find(request.key);
      held != locks_.end() &&
      (held->second.exclusive.contains(request.owner) || held->second.shared.contains(request.owner)))
    return false;
  for (const Request& other : waiting_) {
    if (other.owner == request.owner) return false;
    if (other.key == request.key && (!other.shared || !request.shared)) return true;
  }
  return false;
}

void AdvisoryLocks::take_one(const Request& request) {
  Lock& lock = locks_[request.key];
  ++(request.shared ? lock.shared : lock.exclusive)[request.owner];
  held_[request.owner].push_back(request);
  ++count_;
  metrics().advisory_locks.add(1);
}

Result<bool> AdvisoryLocks::take(const Request& request) {
  const std::lock_guard lock(mutex_);
  if (conflicts(request) || is_behind(request)) return false;
  if (count_ >= most_) {
    return std::unexpected(
        error(ErrorCode::kOutOfMemory, "all sessions together hold {} advisory locks", count_)
            .hint("The limit is the setting advisory_locks."));
  }
  take_one(request);
  return true;
}

Status AdvisoryLocks::enter(const Request& request) {
  const std::lock_guard lock(mutex_);
  const auto here = std::ranges::count_if(
      waiting_, [&](const Request& other) { return other.key.database == request.key.database; });
  if (static_cast<std::size_t>(here) >= most_waiting_) {
    return fail(ErrorCode::kTooManyConnections,
                "{} sessions of this database wait for advisory locks, which is half of reader_pool", here);
  }
  waiting_.push_back(request);
  return {};
}

void AdvisoryLocks::leave(Owner owner) {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const Request& one) { return one.owner == owner; });
}

// Of `locks_` only.
void AdvisoryLocks::drop(const Request& request) {
  const auto found = locks_.find(request.key);
  auto& owners = request.shared ? found->second.shared : found->second.exclusive;
  const auto owner = owners.find(request.owner);
  if (--owner->second == 0) owners.erase(owner);
  if (found->second.exclusive.empty() && found->second.shared.empty()) locks_.erase(found);
  --count_;
  metrics().advisory_locks.sub(1);
}

bool AdvisoryLocks::release(const Request& request) {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(request.owner);
  if (found == held_.end()) return false;
  const auto one = std::ranges::find_if(found->second, [&](const Request& held) {
    return held.key == request.key && held.shared == request.shared && !held.transaction;
  });
  if (one == found->second.end()) return false;
  drop(*one);
  found->second.erase(one);
  return true;
}

void AdvisoryLocks::release_session(Owner owner) {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(owner);
  if (found == held_.end()) return;
  std::erase_if(found->second, [&](const Request& held) {
    if (!held.transaction) drop(held);
    return !held.transaction;
  });
}

std::size_t AdvisoryLocks::held_by_transaction(Owner owner) const {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(owner);
  if (found == held_.end()) return 0;
  return static_cast<std::size_t>(std::ranges::count_if(found->second, &Request::transaction));
}

void AdvisoryLocks::release_transaction(Owner owner, std::size_t kept) {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(owner);
  if (found == held_.end()) return;
  std::size_t seen = 0;
  std::erase_if(found->second, [&](const Request& held) {
    if (!held.transaction || ++seen <= kept) return false;
    drop(held);
    return true;
  });
}

void AdvisoryLocks::forget(Owner owner) {
  release_transaction(owner);
  release_session(owner);
  leave(owner);
  const std::lock_guard lock(mutex_);
  held_.erase(owner);
}

bool AdvisoryLocks::circle(Owner owner, const std::function<Owner(Owner)>& others) const {
  const std::lock_guard lock(mutex_);
  std::set<Owner> seen;
  std::vector<Owner> next{owner};
  while (!next.empty()) {
    const Owner at = next.back();
    next.pop_back();
    const auto reach = [&](Owner to) {
      if (to != 0 && to != at && seen.insert(to).second) next.push_back(to);
    };
    const auto waits = std::ranges::find(waiting_, at, &Request::owner);
    if (waits == waiting_.end()) {
      reach(others(at));
      continue;
    }
    if (const auto found = locks_.find(waits->key); found != locks_.end()) {
      for (const auto& [holder, times] : found->second.exclusive) reach(holder);
      if (!waits->shared) {
        for (const auto& [holder, times] : found->second.shared) reach(holder);
      }
    }
    // And for those who wait before it (is_behind).
    for (auto ahead = waiting_.begin(); ahead != waits; ++ahead) {
      if (ahead->key == waits->key && (!ahead->shared || !waits->shared)) reach(ahead->owner);
    }
  }
  return seen.contains(owner);
}

std::vector<AdvisoryLocks::Wait> AdvisoryLocks::waits(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Wait> out;
  for (const Request& request : waiting_) {
    if (out.size() >= most) break;
    Wait& wait = out.emplace_back(request.key, request.owner, std::vector<Owner>());
    const auto found = locks_.find(request.key);
    if (found == locks_.end()) continue;
    for (const auto* owners : {&found->second.exclusive, &found->second.shared}) {
      for (const auto& [owner, times] : *owners) {
        if (owner != request.owner && wait.holders.size() < most) wait.holders.push_back(owner);
      }
    }
  }
  return out;
}

std::vector<AdvisoryLocks::Row> AdvisoryLocks::rows() const {
  const std::lock_guard lock(mutex_);
  std::vector<Row> out;
  for (const auto& [key, lock_of_key] : locks_) {
    for (const auto& [owner, times] : lock_of_key.exclusive) out.push_back({key, owner, false, true});
    for (const auto& [owner, times] : lock_of_key.shared) out.push_back({key, owner, true, true});
  }
  for (const Request& one : waiting_) out.push_back({one.key, one.owner, one.shared, false});
  return out;
}

std::size_t AdvisoryLocks::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace bop::session
