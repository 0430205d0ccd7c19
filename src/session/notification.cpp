#include "session/notification.hpp"

#include <algorithm>

#include "base/metrics.hpp"

namespace bop::session {

namespace {

std::unexpected<Error> too_many() {
  return std::unexpected(Error(ErrorCode::kProgramLimitExceeded, "too many notifications in the NOTIFY queue")
                             .hint("The limit is the setting notify_queue."));
}

}  // namespace

std::string NotifyChanges::key_of(const Notification& notification) {
  return notification.channel + '\0' + notification.payload;
}

Status NotifyChanges::notify(std::int32_t sender, std::string_view channel, std::string_view payload,
                             std::size_t most_bytes) {
  if (channel.empty()) return fail(ErrorCode::kInvalidArgument, "channel name cannot be empty");
  if (channel.size() >= kMostChannelBytes) return fail(ErrorCode::kInvalidArgument, "channel name too long");
  if (payload.size() >= kMostPayloadBytes)
    return fail(ErrorCode::kInvalidArgument, "payload string too long");
  auto said = std::make_shared<const Notification>(
      Notification{.sender = sender, .channel = std::string(channel), .payload = std::string(payload)});
  if (bytes_ + said->bytes() > most_bytes) return too_many();
  if (!said_.insert(key_of(*said)).second) return {};
  bytes_ += said->bytes();
  notifications_.push_back(std::move(said));
  return {};
}

void NotifyChanges::undo_to(Mark mark) {
  for (std::size_t i = mark.notifications; i < notifications_.size(); ++i) {
    bytes_ -= notifications_[i]->bytes();
    said_.erase(key_of(*notifications_[i]));
  }
  notifications_.resize(std::min(notifications_.size(), mark.notifications));
  listens_.resize(std::min(listens_.size(), mark.listens));
}

std::set<std::string> NotifyChanges::applied_to(std::set<std::string> channels) const {
  for (const Listen& change : listens_) {
    switch (change.kind) {
      case Listen::Kind::kListen: channels.insert(change.channel); break;
      case Listen::Kind::kUnlisten: channels.erase(change.channel); break;
      case Listen::Kind::kUnlistenAll: channels.clear(); break;
    }
  }
  return channels;
}

std::optional<Mailbox::Item> Mailbox::take(Csn known) {
  const std::lock_guard lock(mutex_);
  if (items_.empty() || known < items_.front().commit) return std::nullopt;
  Item item = std::move(items_.front());
  items_.pop_front();
  bytes_ -= item.notification->bytes();
  metrics().notify_waiting_bytes.sub(static_cast<std::int64_t>(item.notification->bytes()));
  return item;
}

std::optional<Csn> Mailbox::first() const {
  const std::lock_guard lock(mutex_);
  if (items_.empty()) return std::nullopt;
  return items_.front().commit;
}

void Mailbox::drop_up_to(Csn csn) {
  while (take(csn)) {
  }
}

bool Mailbox::is_overrun() const {
  const std::lock_guard lock(mutex_);
  return overrun_;
}

void NotificationHub::commit(DatabaseId database, const std::shared_ptr<Mailbox>& own,
                             std::set<std::string> channels,
                             const std::vector<NotificationPtr>& notifications, Csn csn) {
  const std::lock_guard lock(mutex_);
  if (own) {
    own->database_ = database;
    subscribe(own, std::move(channels));
  }
  if (notifications.empty()) return;
  metrics().notifications_total.add(notifications.size());
  const auto found = listeners_.find(database);
  if (found == listeners_.end()) return;
  std::vector<NotificationPtr> chosen;
  for (const auto& mailbox : found->second) {
    chosen.clear();
    std::ranges::copy_if(notifications, std::back_inserter(chosen), [&](const NotificationPtr& one) {
      return mailbox->channels_.contains(one->channel);
    });
    if (!chosen.empty()) put(*mailbox, chosen, csn);
  }
}

void NotificationHub::subscribe(const std::shared_ptr<Mailbox>& own, std::set<std::string> channels) {
  own->channels_ = std::move(channels);
  auto& listeners = listeners_[own->database_];
  if (own->channels_.empty()) {
    listeners.erase(own);
  } else {
    listeners.insert(own);
  }
  if (listeners.empty()) listeners_.erase(own->database_);
}

void NotificationHub::put(Mailbox& mailbox, const std::vector<NotificationPtr>& chosen, Csn csn) const {
  {
    const std::lock_guard lock(mailbox.mutex_);
    if (mailbox.overrun_) return;
    const std::size_t before = mailbox.bytes_;
    for (const NotificationPtr& one : chosen) {
      mailbox.items_.push_back({one, csn});
      mailbox.bytes_ += one->bytes();
    }
    metrics().notify_waiting_bytes.add(static_cast<std::int64_t>(mailbox.bytes_ - before));
    if (mailbox.bytes_ > most_bytes_) {
      metrics().notify_waiting_bytes.sub(static_cast<std::int64_t>(mailbox.bytes_));
      mailbox.items_.clear();
      mailbox.bytes_ = 0;
      mailbox.overrun_ = true;
    }
  }
  mailbox.wake_();
}

void NotificationHub::leave(const std::shared_ptr<Mailbox>& own) {
  const std::lock_guard lock(mutex_);
  subscribe(own, {});
  const std::lock_guard items(own->mutex_);
  metrics().notify_waiting_bytes.sub(static_cast<std::int64_t>(own->bytes_));
  own->items_.clear();
  own->bytes_ = 0;
}

double NotificationHub::usage(DatabaseId database) const {
  const std::lock_guard lock(mutex_);
  std::size_t most = 0;
  if (const auto found = listeners_.find(database); found != listeners_.end()) {
    for (const auto& mailbox : found->second) {
      const std::lock_guard items(mailbox->mutex_);
      most = std::max(most, mailbox->bytes_);
    }
  }
  return static_cast<double>(most) / static_cast<double>(most_bytes_);
}

}  // namespace bop::session
