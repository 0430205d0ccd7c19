// Who may cancel what: process id and secret of every session, as BackendKeyData told them.
//
// Thread-safe. A session is removed before it is destroyed, so that `cancel` never reaches a dead one;
// `cancel` runs the session's own thread-safe cancel under the lock. Secrets are compared in constant time.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/time.hpp"
#include "session/session.hpp"

namespace bop::wire::pg {

class CancelKeys {
 public:
  explicit CancelKeys(Random& random) : random_(random) {}
  struct Key {
    std::int32_t process_id = 0;
    std::int32_t secret = 0;
  };
  // A process id that no session has, and a random secret.
  [[nodiscard]] Key reserve();
  void attach(std::int32_t process_id, session::Session& session);
  void release(std::int32_t process_id);
  // True when a session was told.
  bool cancel(std::int32_t process_id, std::int32_t secret);
  void cancel_all();

 private:
  struct Entry {
    std::int32_t secret = 0;
    session::Session* session = nullptr;
  };
  Random& random_;
  std::mutex mutex_;
  std::int32_t last_process_id_ = 1000;
  std::unordered_map<std::int32_t, Entry> entries_;
};

}  // namespace bop::wire::pg
