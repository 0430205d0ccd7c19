#include "cli/statement_splitter.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace bop::cli {
namespace {

std::vector<std::string> split(const std::string& text) {
  StatementSplitter splitter;
  splitter.feed(text);
  std::vector<std::string> out;
  while (auto statement = splitter.next()) out.push_back(*statement);
  if (const std::string rest = splitter.rest(); !rest.empty()) out.push_back("..." + rest);
  return out;
}

using List = std::vector<std::string>;

TEST(StatementSplitter, SemicolonsEndStatements) {
  EXPECT_EQ(split("SELECT 1; SELECT 2;\n"), (List{"SELECT 1", "SELECT 2"}));
  EXPECT_EQ(split(";;  ;"), List{});
  EXPECT_EQ(split("SELECT 1"), List{"...SELECT 1"});
  EXPECT_EQ(split("  -- only a comment\n /* and another */ "), List{});
}

TEST(StatementSplitter, QuotesAndCommentsHideSemicolons) {
  EXPECT_EQ(split("SELECT ';', \"a;b\", 'it''s;';"), List{"SELECT ';', \"a;b\", 'it''s;'"});
  EXPECT_EQ(split("SELECT 'a\\'; SELECT 2;"), (List{"SELECT 'a\\'", "SELECT 2"}));
  EXPECT_EQ(split("SELECT E'a\\';';"), List{"SELECT E'a\\';'"});
  EXPECT_EQ(split("SELECT 1 -- no; end\n, 2;"), List{"SELECT 1 -- no; end\n, 2"});
  EXPECT_EQ(split("SELECT /* ; /* nested; */ ; */ 1;"), List{"SELECT /* ; /* nested; */ ; */ 1"});
  EXPECT_EQ(split("SELECT $$a;b$$, $x$;$$;$x$;"), List{"SELECT $$a;b$$, $x$;$$;$x$"});
  EXPECT_EQ(split("SELECT $1; SELECT a$b$c;"), (List{"SELECT $1", "SELECT a$b$c"}));
  EXPECT_EQ(split("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);"),
            List{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)"});
}

TEST(StatementSplitter, PiecesGiveTheSameStatements) {
  const std::string text = "SELECT ';--', $q$;$q$ -- ;\n; /*;*/ SELECT E'\\';', \";\";SELECT (1;2);";
  const List expected = split(text);
  EXPECT_EQ(expected.size(), 3u);
  for (std::size_t piece = 1; piece < text.size(); ++piece) {
    StatementSplitter splitter;
    List out;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      splitter.feed(text.substr(at, piece));
      while (auto statement = splitter.next()) out.push_back(*statement);
    }
    EXPECT_EQ(out, expected) << piece;
  }
}

TEST(StatementSplitter, BackslashesOutsideOfQuotesBeginCommands) {
  const auto place = [](std::string_view text) {
    StatementSplitter splitter;
    splitter.feed(text);
    return splitter.has_command() ? splitter.pending().size() : std::string::npos;
  };
  EXPECT_EQ(place("SELECT 1 \\g"), 9u);
  EXPECT_EQ(place("\\d t"), 0u);
  EXPECT_EQ(place("SELECT (1 \\x"), 10u);
  for (const std::string_view text : {"SELECT '\\g'", "SELECT \"\\g\"", "SELECT $$\\g$$", "SELECT 1 -- \\g\n",
                                      "/* \\g */", "SELECT E'\\'\\g'", "SELECT 1; \\g", "SELECT '\\g"}) {
    EXPECT_EQ(place(text), std::string::npos) << text;
  }
}

TEST(StatementSplitter, TellsWhatIsOpen) {
  const auto open = [](std::string_view text) {
    StatementSplitter splitter;
    splitter.feed(text);
    return splitter.open_construct();
  };
  EXPECT_EQ(open("SELECT\n"), '-');
  EXPECT_EQ(open("SELECT (1,\n"), '(');
  EXPECT_EQ(open("SELECT 'a\n"), '\'');
  EXPECT_EQ(open("SELECT \"a\n"), '"');
  EXPECT_EQ(open("SELECT $x$ a\n"), '$');
  EXPECT_EQ(open("SELECT /* a\n"), '*');
}

TEST(StatementSplitter, BodiesOfFunctionsAreWhole) {
  const std::string body =
      "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 1 END; SELECT 2; END";
  EXPECT_EQ(split(body + "; SELECT 3;"), (List{body, "SELECT 3"}));
  for (const std::string head :
       {"create or replace function f()", "CREATE PROCEDURE p()", "Create Or Replace Procedure p()"})
    EXPECT_EQ(split(head + " begin atomic; a; end; b;"), (List{head + " begin atomic; a; end", "b"})) << head;
  EXPECT_EQ(
      split(
          "BEGIN; SELECT 1; END; CREATE TABLE begin (a int); CREATE OR REPLACE VIEW function AS SELECT 1; c;"),
      (List{"BEGIN", "SELECT 1", "END", "CREATE TABLE begin (a int)",
            "CREATE OR REPLACE VIEW function AS SELECT 1", "c"}));
  EXPECT_EQ(split("CREATE FUNCTION f(begin int) RETURNS int RETURN 1; SELECT 2;"),
            (List{"CREATE FUNCTION f(begin int) RETURNS int RETURN 1", "SELECT 2"}));
  EXPECT_EQ(split("CREATE FUNCTION f() LANGUAGE plpgsql AS $$ begin; $$; SELECT 2;"),
            (List{"CREATE FUNCTION f() LANGUAGE plpgsql AS $$ begin; $$", "SELECT 2"}));
}

TEST(StatementSplitter, CommandsAreTakenOut) {
  StatementSplitter splitter;
  splitter.feed("SELECT a\\x on\nFROM t;\n  \\t\nSELECT 2;\n");
  EXPECT_EQ(splitter.next(), std::nullopt);
  ASSERT_TRUE(splitter.has_command());
  EXPECT_EQ(splitter.command_line(), "x on");
  splitter.drop_command(4);
  EXPECT_EQ(splitter.next(), "SELECT a\nFROM t");
  EXPECT_EQ(splitter.next(), std::nullopt);
  ASSERT_TRUE(splitter.has_command());
  EXPECT_EQ(splitter.command_line(), "t");
  splitter.drop_command(1);
  EXPECT_EQ(splitter.pending(), "");
  EXPECT_EQ(splitter.next(), "SELECT 2");
  EXPECT_FALSE(splitter.has_command());
}

TEST(StatementSplitter, EscapedSemicolonsAndColons) {
  EXPECT_EQ(split("SELECT 1\\; SELECT 2; SELECT \\:a;"), (List{"SELECT 1; SELECT 2", "SELECT :a"}));
}

TEST(StatementSplitter, VariablesStandForTheirValues) {
  const auto put = [](std::string_view text) {
    StatementSplitter splitter([](std::string_view name, char form) -> std::optional<std::string> {
      if (form == '?') return name == "no" ? "FALSE" : "TRUE";
      if (name == "one") return form == 0 ? "1" : form == '"' ? "\"1\"" : "'1'";
      if (name == "two") return "1; SELECT 2";
      if (name == "same") return ":same + :other";
      if (name == "other") return "(:same)";
      return std::nullopt;
    });
    splitter.feed(text);
    List out;
    while (auto statement = splitter.next()) out.push_back(*statement);
    EXPECT_EQ(splitter.rest(), "") << text;
    return out;
  };
  EXPECT_EQ(put("SELECT :one, :'one', :\"one\", :{?one}, :{?no};"),
            List{"SELECT 1, '1', \"1\", TRUE, FALSE"});
  EXPECT_EQ(
      put("SELECT :none, :'none', a[1:2], x::one, y:=one, ':one', \":one\", $$:one$$, /*:one*/ :{one};"),
      List{"SELECT :none, :'none', a[1:2], x::one, y:=one, ':one', \":one\", $$:one$$, /*:one*/ :{one}"});
  EXPECT_EQ(put("SELECT :two;"), (List{"SELECT 1", "SELECT 2"}));
  EXPECT_EQ(put("SELECT :same, :same;"), List{"SELECT :same + (:same), :same + (:same)"});
  EXPECT_EQ(put(":one;:one;"), (List{"1", "1"}));
}

TEST(StatementSplitter, GoesBackToAMark) {
  StatementSplitter splitter;
  splitter.feed("SELECT (1 \n");
  EXPECT_EQ(splitter.next(), std::nullopt);
  const auto mark = splitter.mark();
  splitter.feed(") ) ' ; ' + 2");
  EXPECT_EQ(splitter.next(), std::nullopt);
  splitter.feed("\\endif");
  ASSERT_TRUE(splitter.has_command());
  splitter.rewind(mark);
  splitter.drop_command(5);
  EXPECT_EQ(splitter.open_construct(), '(');
  splitter.feed(" + 3);");
  EXPECT_EQ(splitter.next(), "SELECT (1 \n + 3)");
}

// Each would take minutes if a line asked for all the lines before it.
TEST(StatementSplitter, LongStatementsTakeTimeByTheirLength) {
  for (const std::string begin :
       {"INSERT INTO t VALUES ", "SELECT (", "SELECT '", "SELECT \"", "SELECT $x$", "/*"}) {
    StatementSplitter splitter;
    splitter.feed(begin + "\n");
    for (int i = 0; i < 300'000; ++i) {
      splitter.feed("(1, 'some text', 2.5),\n");
      EXPECT_FALSE(splitter.next());
      EXPECT_FALSE(splitter.is_blank());
      (void)splitter.open_construct();
    }
  }
  StatementSplitter splitter;
  std::string many;
  for (int i = 0; i < 300'000; ++i) many += "SELECT 1;";
  splitter.feed(many);
  int count = 0;
  while (splitter.next()) ++count;
  EXPECT_EQ(count, 300'000);
}

TEST(StatementSplitter, AnyTextEnds) {
  const std::string_view alphabet = "a'\"$;-/*E\\\n()x1 ";
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    std::mt19937_64 random(seed);
    std::string text;
    for (std::size_t i = random() % 40; i > 0; --i) text += alphabet[random() % alphabet.size()];
    std::size_t length = 0;
    for (const std::string& statement : split(text)) length += statement.size();
    EXPECT_LE(length, text.size() + 3) << seed;
  }
}

}  // namespace
}  // namespace bop::cli
