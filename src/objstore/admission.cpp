#include "objstore/admission.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/metrics.hpp"

namespace bop::objstore {

bool Admission::has_room(Claim claim) const noexcept {
  const std::size_t most =
      claim.priority == Priority::kForeground
          ? limits_.most_requests
          : limits_.most_requests - std::min(limits_.most_requests - 1, limits_.kept_for_foreground);
  if (requests_ >= most) return false;
  return bytes_ == 0 || (claim.bytes <= limits_.most_bytes && bytes_ <= limits_.most_bytes - claim.bytes);
}

void Admission::take(Claim claim) {
  ++requests_;
  bytes_ += claim.bytes;
  metrics().objstore_in_flight.add();
  metrics().objstore_in_flight_bytes.add(static_cast<std::int64_t>(claim.bytes));
}

Admission::Ticket Admission::enter(Claim claim, Task grant, bool& accepted) {
  accepted = true;
  const std::size_t mine = static_cast<std::size_t>(claim.priority);
  // A background request does not overtake a foreground one that waits; the other way it may.
  const bool first = waiting_[0].empty() && (mine == 0 || waiting_[1].empty());
  if (first && has_room(claim)) {
    take(claim);
    grant();
    return 0;
  }
  if (waiting() >= limits_.most_waiting) {
    accepted = false;
    return 0;
  }
  const Ticket ticket = next_++;
  waiting_[mine].push_back({ticket, claim, std::move(grant)});
  metrics().objstore_waiting.add();
  return ticket;
}

bool Admission::try_enter(Claim claim) {
  if (waiting() > 0 || !has_room(claim)) return false;
  take(claim);
  return true;
}

void Admission::leave(Claim claim) {
  BOP_ASSERT(requests_ > 0 && bytes_ >= claim.bytes);
  --requests_;
  bytes_ -= claim.bytes;
  metrics().objstore_in_flight.sub();
  metrics().objstore_in_flight_bytes.sub(static_cast<std::int64_t>(claim.bytes));
  grant_waiting();
}

void Admission::grant_waiting() {
  while (true) {
    auto& foreground = waiting_[0];
    auto& background = waiting_[1];
    const bool fits_foreground = !foreground.empty() && has_room(foreground.front().claim);
    const bool fits_background = !background.empty() && has_room(background.front().claim);
    // A foreground request that waits for room in bytes is not overtaken, else it might wait for ever.
    bool give_background = fits_background && foreground.empty();
    if (fits_background && fits_foreground) give_background = foreground_in_row_ + 1 >= kBackgroundEvery;
    if (!give_background && !fits_foreground) return;
    foreground_in_row_ = give_background ? 0 : foreground_in_row_ + 1;
    auto& queue = give_background ? background : foreground;
    Waiter waiter = std::move(queue.front());
    queue.pop_front();
    metrics().objstore_waiting.sub();
    take(waiter.claim);
    waiter.grant();
  }
}

void Admission::forget(Ticket ticket) {
  if (ticket == 0) return;
  for (auto& queue : waiting_) {
    const auto found = std::ranges::find(queue, ticket, &Waiter::ticket);
    if (found == queue.end()) continue;
    queue.erase(found);
    metrics().objstore_waiting.sub();
    grant_waiting();
    return;
  }
}

void Admission::clear() {
  metrics().objstore_waiting.sub(static_cast<std::int64_t>(waiting()));
  metrics().objstore_in_flight.sub(static_cast<std::int64_t>(requests_));
  metrics().objstore_in_flight_bytes.sub(static_cast<std::int64_t>(bytes_));
  for (auto& queue : waiting_) queue.clear();
  requests_ = 0;
  bytes_ = 0;
}

}  // namespace bop::objstore
