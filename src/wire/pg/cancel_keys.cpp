#include "wire/pg/cancel_keys.hpp"

#include <openssl/crypto.h>

#include <limits>

namespace bop::wire::pg {

CancelKeys::Key CancelKeys::reserve() {
  const std::lock_guard lock(mutex_);
  do {
    last_process_id_ =
        last_process_id_ == std::numeric_limits<std::int32_t>::max() ? 1 : last_process_id_ + 1;
  } while (entries_.contains(last_process_id_));
  const auto secret = static_cast<std::int32_t>(random_.u64());
  entries_[last_process_id_].secret = secret;
  return {last_process_id_, secret};
}

void CancelKeys::attach(std::int32_t process_id, session::Session& session) {
  const std::lock_guard lock(mutex_);
  entries_.at(process_id).session = &session;
}

void CancelKeys::release(std::int32_t process_id) {
  const std::lock_guard lock(mutex_);
  entries_.erase(process_id);
}

bool CancelKeys::cancel(std::int32_t process_id, std::int32_t secret) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(process_id);
  const std::int32_t expected = found == entries_.end() ? ~secret : found->second.secret;
  const bool same = CRYPTO_memcmp(&expected, &secret, sizeof secret) == 0;
  if (!same || found->second.session == nullptr) return false;
  found->second.session->cancel();
  return true;
}

void CancelKeys::cancel_all() {
  const std::lock_guard lock(mutex_);
  for (auto& [process_id, entry] : entries_) {
    if (entry.session != nullptr) entry.session->cancel();
  }
}

}  // namespace bop::wire::pg
