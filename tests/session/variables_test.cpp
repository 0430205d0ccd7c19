#include "session/variables.hpp"

#include <gtest/gtest.h>

namespace bop::session {
namespace {

void set(Variables& variables, std::string_view name, std::string_view value, bool local = false) {
  const auto changed = variables.set(name, value, local);
  ASSERT_TRUE(changed) << changed.error().what();
}

TEST(Variables, CommitKeepsSessionValuesAndDropsLocalOnes) {
  Variables variables;
  set(variables, "application_name", "a");
  set(variables, "statement_timeout", "5s", true);
  EXPECT_EQ(variables.get_int("statement_timeout"), 5000);
  variables.commit();
  EXPECT_EQ(variables.get("application_name"), "a");
  EXPECT_EQ(variables.get_int("statement_timeout"), 0);
}

TEST(Variables, RollbackBringsBackWhatWasBefore) {
  Variables variables;
  set(variables, "application_name", "before");
  variables.commit();
  set(variables, "application_name", "inside");
  set(variables, "application_name", "local", true);
  set(variables, "my.own", "new");
  variables.rollback();
  EXPECT_EQ(variables.get("application_name"), "before");
  EXPECT_FALSE(variables.show("my.own"));
}

TEST(Variables, UndoToAMarkLeavesWhatWasSetBeforeIt) {
  Variables variables;
  set(variables, "application_name", "one");
  const Variables::Mark mark = variables.mark();
  set(variables, "application_name", "two");
  set(variables, "my.own", "x");
  variables.undo_to(mark);
  EXPECT_EQ(variables.get("application_name"), "one");
  EXPECT_FALSE(variables.show("my.own"));
  variables.rollback();
  EXPECT_EQ(variables.get("application_name"), "");
}

TEST(Variables, ReportedOnesAreToldOnceAndAfterARollbackAgain) {
  Variables variables;
  (void)variables.take_reports();
  set(variables, "application_name", "a");
  EXPECT_EQ(variables.take_reports(), std::vector<std::string>{"application_name"});
  EXPECT_TRUE(variables.take_reports().empty());
  variables.rollback();
  EXPECT_EQ(variables.take_reports(), std::vector<std::string>{"application_name"});
}

TEST(Variables, DurabilityAndSynchronousCommitAreOneChoice) {
  Variables variables;
  set(variables, "synchronous_commit", "off");
  EXPECT_EQ(variables.get("bop.durability"), "volatile");
  EXPECT_EQ(variables.take_reports(), std::vector<std::string>{"bop.durability"});
  variables.rollback();
  EXPECT_EQ(variables.get("bop.durability"), "durable");
  set(variables, "bop.durability", "volatile", true);
  EXPECT_EQ(variables.get("synchronous_commit"), "off");
  variables.commit();
  EXPECT_EQ(variables.get("synchronous_commit"), "on");
  set(variables, "synchronous_commit", "remote_apply");
  set(variables, "bop.durability", "durable");
  EXPECT_EQ(variables.get("synchronous_commit"), "remote_apply") << "it says durable already";
  ASSERT_TRUE(variables.set_default("bop.durability", "volatile"));
  set(variables, "synchronous_commit", "on");
  variables.reset_all();
  EXPECT_EQ(variables.get("bop.durability"), "volatile");
  EXPECT_EQ(variables.get("synchronous_commit"), "off");
}

TEST(Variables, DefaultIsWhatTheSessionBeganWith) {
  Variables variables;
  ASSERT_TRUE(variables.set_default("application_name", "start"));
  set(variables, "application_name", "later");
  ASSERT_TRUE(variables.set("application_name", std::nullopt, false));
  EXPECT_EQ(variables.get("application_name"), "start");
  set(variables, "application_name", "later");
  variables.reset_all();
  EXPECT_EQ(variables.get("application_name"), "start");
}

TEST(Variables, WrongNamesAndValuesAreRefusedWithTheirState) {
  Variables variables;
  EXPECT_EQ(variables.set("no_such_setting", "1", false).error().sqlstate(), "42704");
  EXPECT_EQ(variables.set("statement_timeout", "soon", false).error().sqlstate(), "22023");
  EXPECT_EQ(variables.set("server_version", "16", false).error().sqlstate(), "55P02");
  EXPECT_EQ(variables.show("no_such_setting").error().sqlstate(), "42704");
  EXPECT_EQ(variables.get_int("statement_timeout"), 0);
}

}  // namespace
}  // namespace bop::session
