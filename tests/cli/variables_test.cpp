// Variables of the shell, and \if by them.
#include "cli/variables.hpp"

#include <gtest/gtest.h>

#include "cli/conditions.hpp"

namespace bop::cli {
namespace {

TEST(Variables, AreSetAndUnset) {
  Variables variables;
  EXPECT_TRUE(variables.set("a", "it's \"x\""));
  EXPECT_EQ(variables.expand("a", 0), "it's \"x\"");
  EXPECT_EQ(variables.expand("a", '\''), "'it''s \"x\"'");
  EXPECT_EQ(variables.expand("a", '"'), "\"it's \"\"x\"\"\"");
  EXPECT_EQ(variables.expand("a", '?'), "TRUE");
  EXPECT_TRUE(variables.unset("a"));
  EXPECT_EQ(variables.expand("a", 0), std::nullopt);
  EXPECT_EQ(variables.expand("a", '?'), "FALSE");
  for (const std::string name : {"", "a-b", "a b"}) EXPECT_FALSE(variables.set(name, "1")) << name;
}

TEST(Variables, ThoseOfTheShellTakeWhatItFollows) {
  Variables variables;
  EXPECT_TRUE(variables.set("ON_ERROR_STOP", "1"));
  EXPECT_TRUE(variables.is_on("ON_ERROR_STOP"));
  EXPECT_TRUE(variables.set("ON_ERROR_STOP", "of"));
  EXPECT_FALSE(variables.is_on("ON_ERROR_STOP"));
  EXPECT_TRUE(variables.set("ON_ERROR_STOP", ""));
  EXPECT_TRUE(variables.is_on("ON_ERROR_STOP"));
  EXPECT_TRUE(variables.unset("ON_ERROR_STOP"));
  EXPECT_EQ(*variables.find("ON_ERROR_STOP"), "off");
  EXPECT_TRUE(variables.set("ECHO", "queries"));
  EXPECT_TRUE(variables.set("AUTOCOMMIT", "true"));
  EXPECT_TRUE(variables.set("ON_ERROR_ROLLBACK", "interactive"));
  EXPECT_FALSE(variables.set("ON_ERROR_ROLLBACK", "always"));
  const std::vector<std::pair<std::string, std::string>> refused{
      {"ON_ERROR_STOP", "maybe"}, {"ECHO", "loud"},  {"AUTOCOMMIT", "maybe"},
      {"FETCH_COUNT", "100"},     {"PROMPT1", "> "}, {"VERBOSITY", "terse"}};
  for (const auto& [name, value] : refused) EXPECT_FALSE(variables.set(name, value)) << name;
  EXPECT_EQ(*variables.find("ECHO"), "queries");
}

TEST(Variables, WordsForTrueAndFalse) {
  for (const std::string_view word : {"on", "ON", "t", "true", "y", "yes", "1"})
    EXPECT_EQ(parse_bool(word), true) << word;
  for (const std::string_view word : {"off", "of", "f", "false", "n", "no", "0"})
    EXPECT_EQ(parse_bool(word), false) << word;
  for (const std::string_view word : {"", "o", "2", "truely", "1 > 0"})
    EXPECT_EQ(parse_bool(word), std::nullopt) << word;
}

class Branches : public testing::Test {
 protected:
  // The line's letters: i/I is \if false/true, f/F \elif, e \else, n \endif, anything else is a statement's
  // text.
  std::string counted(std::string_view letters) {
    Conditions conditions;
    StatementSplitter splitter;
    std::string out;
    for (const char letter : letters) {
      const auto holds = [&] { return letter == 'I' || letter == 'F'; };
      const std::string_view word = letter == 'i' || letter == 'I'   ? "if"
                                    : letter == 'f' || letter == 'F' ? "elif"
                                    : letter == 'e'                  ? "else"
                                    : letter == 'n'                  ? "endif"
                                                                     : "";
      if (word.empty()) {
        splitter.feed(std::string(1, letter) + (letter == ';' ? "\n" : " "));
        while (const auto statement = splitter.next()) {
          if (conditions.is_active()) {
            out += *statement + ";";
          } else {
            splitter.put_back(*statement, conditions.mark());
          }
        }
      } else if (const Status taken = conditions.take(word, splitter, holds); !taken) {
        out += "!" + taken.error().what() + "!";
      }
    }
    return out + splitter.rest() + (conditions.is_empty() ? "" : "?");
  }
};

TEST_F(Branches, OneOfThemCounts) {
  EXPECT_EQ(counted("aIbnc;"), "a b c ;");
  EXPECT_EQ(counted("aibnc;"), "a c ;");
  EXPECT_EQ(counted("ia;Fb;Fc;ed;ng;"), "b ;g ;");
  EXPECT_EQ(counted("Ia;Fb;ed;n"), "a ;");
  EXPECT_EQ(counted("ia;fb;ed;n"), "d ;");
  EXPECT_EQ(counted("iIa;eb;nec;n"), "c ;");
  EXPECT_EQ(counted("Iia;eb;nec;n"), "b ;");
  EXPECT_EQ(counted("a(ib;(;nc);"), "a ( c ) ;");
}

TEST_F(Branches, WhatDoesNotMatchIsTold) {
  EXPECT_EQ(counted("n"), "!\\endif: no matching \\if!");
  EXPECT_EQ(counted("IeFn"), "!\\elif: cannot occur after \\else!");
  EXPECT_EQ(counted("Ieen"), "!\\else: cannot occur after \\else!");
  EXPECT_EQ(counted("Ia"), "a?");
}

}  // namespace
}  // namespace bop::cli
