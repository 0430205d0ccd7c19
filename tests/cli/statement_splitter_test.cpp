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
    return splitter.find_backslash();
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
