// LISTEN and NOTIFY between the sessions of a node.
//
// A transaction keeps its NOTIFYs and LISTENs until it commits (`NotifyChanges`, rolled back with it and with
// its savepoints; what it said twice counts once). The commit hands them to the hub while it still holds the
// writer lane, so that every listener hears the commits of a database in their order, the own ones too. A
// listener's mailbox keeps each message with the CSN of its commit; the session takes it out between
// transactions, once the log has that commit: nobody hears of what a power cut could take back.
//
// A mailbox holds at most `most_bytes`. A listener that lets more pile up has lost messages and is ended
// (54000); who sends never waits for it, and no other listener is concerned.
//
// Thread-safe. `wake` of a mailbox is called with the hub's mutex held, from the thread that commits: it must
// only schedule.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::session {

inline constexpr std::size_t kMostPayloadBytes = 8000;  // less than so many
inline constexpr std::size_t kMostChannelBytes = 64;

struct Notification {
  std::int32_t sender = 0;  // process id
  std::string channel;
  std::string payload;

  [[nodiscard]] std::size_t bytes() const noexcept {
    return sizeof(Notification) + channel.size() + payload.size();
  }
};
using NotificationPtr = std::shared_ptr<const Notification>;

// What a transaction will do when it commits.
class NotifyChanges {
 public:
  struct Mark {
    std::size_t notifications = 0;
    std::size_t listens = 0;
  };
  // Errors as PostgreSQL: 22023 for a channel or payload of a wrong length, 54000 when `most_bytes` are kept.
  [[nodiscard]] Status notify(std::int32_t sender, std::string_view channel, std::string_view payload,
                              std::size_t most_bytes);
  void listen(std::string channel) { listens_.push_back({Listen::Kind::kListen, std::move(channel)}); }
  void unlisten(std::string channel) { listens_.push_back({Listen::Kind::kUnlisten, std::move(channel)}); }
  void unlisten_all() { listens_.push_back({Listen::Kind::kUnlistenAll, {}}); }

  [[nodiscard]] bool empty() const noexcept { return notifications_.empty() && listens_.empty(); }
  [[nodiscard]] Mark mark() const noexcept { return {notifications_.size(), listens_.size()}; }
  void undo_to(Mark mark);
  void clear() { undo_to({}); }

  [[nodiscard]] const std::vector<NotificationPtr>& notifications() const { return notifications_; }
  // The channels that are listened to after this.
  [[nodiscard]] std::set<std::string> applied_to(std::set<std::string> channels) const;

 private:
  struct Listen {
    enum class Kind : std::uint8_t { kListen, kUnlisten, kUnlistenAll } kind;
    std::string channel;
  };
  [[nodiscard]] static std::string key_of(const Notification& notification);

  std::vector<NotificationPtr> notifications_;
  std::unordered_set<std::string> said_;
  std::size_t bytes_ = 0;
  std::vector<Listen> listens_;
};

// What waits for one session.
class Mailbox {
 public:
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  struct Item {
    NotificationPtr notification;
    Csn commit;
  };
  // The oldest message, if its commit is at or below `known`.
  [[nodiscard]] std::optional<Item> take(Csn known);
  // The commit of the oldest message.
  [[nodiscard]] std::optional<Csn> first() const;
  // The log will never have the commit of the oldest messages up to `csn`.
  void drop_up_to(Csn csn);
  // Messages were lost because too many waited.
  [[nodiscard]] bool is_overrun() const;

 private:
  friend class NotificationHub;
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::deque<Item> items_;
  std::size_t bytes_ = 0;
  bool overrun_ = false;
  std::set<std::string> channels_;  // guarded by the hub's mutex
  DatabaseId database_;
};

class NotificationHub {
 public:
  explicit NotificationHub(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // A commit of `database`: the mailbox listens to `channels` from now on, then everybody who listens gets
  // the notifications. `own` is null for a session that has never listened.
  void commit(DatabaseId database, const std::shared_ptr<Mailbox>& own, std::set<std::string> channels,
              const std::vector<NotificationPtr>& notifications, Csn csn);
  // The session ends.
  void leave(const std::shared_ptr<Mailbox>& own);

  [[nodiscard]] std::size_t most_bytes() const noexcept { return most_bytes_; }
  // How full the fullest mailbox of the database is, from 0 to 1.
  [[nodiscard]] double usage(DatabaseId database) const;

 private:
  void subscribe(const std::shared_ptr<Mailbox>& own, std::set<std::string> channels);
  void put(Mailbox& mailbox, const std::vector<NotificationPtr>& chosen, Csn csn) const;

  const std::size_t most_bytes_;
  mutable std::mutex mutex_;
  std::map<DatabaseId, std::set<std::shared_ptr<Mailbox>>> listeners_;
};

}  // namespace bop::session
