#include "session/notification.hpp"

#include <gtest/gtest.h>

#include "base/metrics.hpp"

namespace bop::session {
namespace {

constexpr std::size_t kPlenty = 1 << 20;
constexpr DatabaseId kDatabase{7};

std::vector<std::string> payloads(const NotifyChanges& changes) {
  std::vector<std::string> out;
  for (const auto& one : changes.notifications()) out.push_back(one->payload);
  return out;
}

TEST(NotifyChanges, SavepointsTakeBackWhatWasSaidBehindThem) {
  NotifyChanges changes;
  ASSERT_TRUE(changes.notify(1, "a", "1", kPlenty));
  const auto mark = changes.mark();
  ASSERT_TRUE(changes.notify(1, "a", "2", kPlenty));
  changes.listen("b");
  changes.undo_to(mark);
  ASSERT_TRUE(changes.notify(1, "a", "1", kPlenty));
  ASSERT_TRUE(changes.notify(1, "a", "2", kPlenty));
  EXPECT_EQ(payloads(changes), (std::vector<std::string>{"1", "2"}));
  EXPECT_TRUE(changes.applied_to({}).empty());
}

TEST(NotifyChanges, ListensApplyInTheirOrder) {
  NotifyChanges changes;
  changes.listen("a");
  changes.unlisten_all();
  changes.listen("b");
  changes.listen("c");
  changes.unlisten("b");
  EXPECT_EQ(changes.applied_to({"x"}), std::set<std::string>{"c"});
}

TEST(NotifyChanges, ATransactionSaysSoMuchAndNotMore) {
  NotifyChanges changes;
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(changes.notify(1, "a", std::to_string(i) + std::string(1000, 'x'), 12'000));
  const Status more = changes.notify(1, "a", std::string(2000, 'y'), 12'000);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().sqlstate(), "54000");
  changes.clear();
  EXPECT_TRUE(changes.notify(1, "a", std::string(2000, 'y'), 12'000));
}

struct Listener {
  explicit Listener(NotificationHub& hub, std::set<std::string> channels)
      : mailbox(std::make_shared<Mailbox>([this] { ++wakes; })), hub_(hub) {
    hub.commit(kDatabase, mailbox, std::move(channels), {}, Csn(1));
  }
  ~Listener() { hub_.leave(mailbox); }
  std::vector<std::string> take(Csn known) {
    std::vector<std::string> out;
    while (const auto item = mailbox->take(known)) out.push_back(item->notification->payload);
    return out;
  }
  int wakes = 0;
  std::shared_ptr<Mailbox> mailbox;

 private:
  NotificationHub& hub_;
};

void say(NotificationHub& hub, std::string channel, std::string payload, Csn csn,
         DatabaseId database = kDatabase) {
  NotifyChanges changes;
  ASSERT_TRUE(changes.notify(1, channel, payload, kPlenty));
  hub.commit(database, nullptr, {}, changes.notifications(), csn);
}

TEST(NotificationHub, NothingIsTakenBeforeTheLogHasItsCommit) {
  NotificationHub hub(kPlenty);
  Listener listener(hub, {"a"});
  say(hub, "a", "1", Csn(5));
  say(hub, "b", "other channel", Csn(6));
  say(hub, "a", "other database", Csn(6), DatabaseId(8));
  say(hub, "a", "2", Csn(7));
  EXPECT_EQ(listener.wakes, 2);
  EXPECT_TRUE(listener.take(Csn(4)).empty());
  EXPECT_EQ(listener.mailbox->first(), Csn(5));
  EXPECT_EQ(listener.take(Csn(6)), std::vector<std::string>{"1"});
  EXPECT_EQ(listener.take(Csn(7)), std::vector<std::string>{"2"});
}

TEST(NotificationHub, AListenerThatDoesNotReadLosesItsOwnMessagesOnly) {
  NotificationHub hub(10'000);
  Listener slow(hub, {"a"});
  Listener quick(hub, {"a"});
  for (int i = 0; i < 100; ++i) {
    say(hub, "a", std::to_string(i) + std::string(500, 'x'), Csn(5));
    EXPECT_EQ(quick.take(Csn(5)).size(), 1u);
  }
  EXPECT_TRUE(slow.mailbox->is_overrun());
  EXPECT_FALSE(quick.mailbox->is_overrun());
  EXPECT_TRUE(slow.take(Csn(5)).empty());
  EXPECT_EQ(metrics().notify_waiting_bytes.value(), 0);
}

TEST(NotificationHub, UsageIsThatOfTheFullestMailbox) {
  NotificationHub hub(10'000);
  Listener one(hub, {"a"});
  Listener two(hub, {"a", "b"});
  EXPECT_EQ(hub.usage(kDatabase), 0);
  say(hub, "b", std::string(4000, 'x'), Csn(5));
  EXPECT_GT(hub.usage(kDatabase), 0.4);
  EXPECT_EQ(hub.usage(DatabaseId(8)), 0);
}

TEST(NotificationHub, WhoHasLeftIsNotWoken) {
  NotificationHub hub(kPlenty);
  Listener listener(hub, {"a"});
  say(hub, "a", "1", Csn(5));
  hub.leave(listener.mailbox);
  say(hub, "a", "2", Csn(6));
  EXPECT_EQ(listener.wakes, 1);
  EXPECT_EQ(metrics().notify_waiting_bytes.value(), 0);
}

}  // namespace
}  // namespace bop::session
