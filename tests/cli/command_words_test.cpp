// Words of backslash commands; what is expected is what psql 15 does.
#include "cli/command_words.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace bop::cli {
namespace {

using List = std::vector<std::string>;

std::optional<std::string> expand(std::string_view name, char form) {
  if (form == '?') return name == "a" ? "TRUE" : "FALSE";
  if (name != "a") return std::nullopt;
  return form == 0 ? "x y" : form == '"' ? "\"x y\"" : "'x y'";
}

struct Outcome {
  std::string name;
  List arguments;
  std::string rest;
  std::string behind;  // what was not taken
};

Outcome read(std::string_view line, bool expands = true) {
  std::size_t taken = 0;
  const auto command = read_command(line, expands ? expand : StatementSplitter::Expand(), taken);
  if (!command)
    return {.name = "error: " + command.error().what(), .behind = std::string(line.substr(taken))};
  return {command->name, command->arguments, command->rest, std::string(line.substr(taken))};
}

TEST(CommandWords, AreSeparatedByBlanks) {
  const Outcome outcome = read("echo  one 'two  words' three'four'  ");
  EXPECT_EQ(outcome.name, "echo");
  EXPECT_EQ(outcome.arguments, (List{"one", "two  words", "threefour"}));
  EXPECT_EQ(outcome.rest, "one 'two  words' three'four'");
  EXPECT_EQ(outcome.behind, "");
  EXPECT_EQ(read("q").arguments, List{});
  EXPECT_EQ(read("d \"A b\".c").arguments, List{"\"A b\".c"});
}

TEST(CommandWords, EscapesInQuotes) {
  EXPECT_EQ(read(R"(echo 'a\tb\n\x41\101\q it''s' a)").arguments, (List{"a\tb\nAAq it's", "a"}));
  EXPECT_EQ(read(R"(echo '\xzz\\')").arguments, List{R"(xzz\)"});
  for (const std::string_view line : {"echo 'a", "echo \"a", "echo `a", "echo 'a\\'"})
    EXPECT_EQ(read(line).name, "error: unterminated quoted string") << line;
}

TEST(CommandWords, VariablesStandForTheirValues) {
  EXPECT_EQ(read("echo :a :'a' :\"a\" b:a:{?a} :{?b}").arguments,
            (List{"x y", "'x y'", "\"x y\"", "bx yTRUE", "FALSE"}));
  EXPECT_EQ(read("echo :b :'b' :\"b\" : :: ':a' \":a\"").arguments,
            (List{":b", ":'b'", ":\"b\"", ":", "::", ":a", "\":a\""}));
  EXPECT_EQ(read("echo `echo :a :'a'`").arguments, List{"x y x y"});
}

TEST(CommandWords, ABackslashEndsACommand) {
  EXPECT_EQ(read("t \\a").behind, "\\a");
  EXPECT_EQ(read("set x 5 \\\\ SELECT 1").behind, " SELECT 1");
  EXPECT_EQ(read("echo a\\echo b").behind, "\\echo b");
  EXPECT_EQ(read("g |sed 's/\\(.\\)/x/'").behind, "");
  EXPECT_EQ(read("g |sed 's/\\(.\\)/x/'").rest, "|sed 's/\\(.\\)/x/'");
  EXPECT_EQ(read("! echo 'a\\b' :a").rest, "echo 'a\\b' :a");
  EXPECT_EQ(read("!ls").rest, "ls");
  EXPECT_EQ(read("copy t from 'a\\b'").rest, "t from 'a\\b'");
}

TEST(CommandWords, SemicolonsEndMostCommands) {
  EXPECT_EQ(read("d t;").arguments, List{"t"});
  EXPECT_EQ(read("d t ;").arguments, List{"t"});
  EXPECT_EQ(read("d 't;'").arguments, List{"t;"});
  EXPECT_EQ(read("echo t;").arguments, List{"t;"});
  EXPECT_EQ(read("set a b;").arguments, (List{"a", "b;"}));
}

TEST(CommandWords, OfCommandsThatDoNotCountDoNothing) {
  EXPECT_EQ(read("echo :a `exit 3` 'b'", false).arguments, (List{":a", "", "b"}));
  EXPECT_EQ(read("echo `exit 3`").name, "error: exit 3: the command ended with code 3");
}

TEST(CommandWords, AnyLineEnds) {
  const std::string_view alphabet = "a'\":\\{?}|;x1 \t!";
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    std::mt19937_64 random(seed);
    std::string line;
    for (std::size_t i = random() % 30; i > 0; --i) line += alphabet[random() % alphabet.size()];
    std::size_t taken = 0;
    (void)read_command(line, expand, taken);
    EXPECT_LE(taken, line.size()) << line;
  }
}

}  // namespace
}  // namespace bop::cli
