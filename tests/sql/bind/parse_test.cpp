#include <gtest/gtest.h>

#include "sql/parse.hpp"
#include "sql/parse_nesting.hpp"

namespace bop::sql {
namespace {

TEST(Parse, splits_a_message_and_counts_positions_in_characters) {
  const auto parsed = parse(" select 'é' ;; insert into t values ($2)");
  ASSERT_TRUE(parsed.has_value());
  ASSERT_EQ(parsed->size(), 2u);
  EXPECT_EQ((*parsed)[0]->text, "select 'é'");
  EXPECT_EQ((*parsed)[0]->kind, StatementKind::kSelect);
  EXPECT_EQ((*parsed)[1]->kind, StatementKind::kInsert);
  EXPECT_EQ((*parsed)[1]->parameter_count, 2);
  EXPECT_EQ((*parsed)[1]->position((*parsed)[1]->text_offset), 16);
}

TEST(Parse, empty_messages_have_no_statements) {
  EXPECT_TRUE(parse("")->empty());
  EXPECT_TRUE(parse(" ; -- nothing\n;").value().empty());
}

TEST(Parse, syntax_errors_are_postgresqls) {
  const auto parsed = parse("selec 1");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().sqlstate(), "42601");
  EXPECT_EQ(parsed.error().what(), "syntax error at or near \"selec\"");
  EXPECT_EQ(parsed.error().fields().position, 1);
}

TEST(Parse, deep_nesting_is_refused_not_recursed) {
  for (const std::string& deep : {"select " + std::string(200000, '(') + "1" + std::string(200000, ')'),
                                  "select " + std::string(200000, '-') + "1",
                                  [] {
                                    std::string s = "select 1";
                                    for (int i = 0; i < 100000; ++i) {
                                      s += "+1";
                                    }
                                    return s;
                                  }(),
                                  [] {
                                    std::string s = "select 1";
                                    for (int i = 0; i < 50000; ++i) {
                                      s += " union select 1";
                                    }
                                    return s;
                                  }()}) {
    const auto parsed = parse(deep);
    if (!parsed.has_value()) {
      EXPECT_TRUE(parsed.error().sqlstate() == "54001" || parsed.error().sqlstate() == "42601");
    } else {
      EXPECT_TRUE(parsed->empty() || deep.starts_with("select --"));
    }
  }
}

TEST(Parse, long_lists_are_not_deep) {
  std::string s = "insert into t values (1)";
  for (int i = 0; i < 20000; ++i) {
    s += ", (1 + 2)";
  }
  EXPECT_LT(estimate_nesting(s), 10);
  EXPECT_TRUE(parse(s).has_value());
}

TEST(Parse, expressions_and_their_text) {
  const auto e = parse_expression("a  +  1");
  ASSERT_TRUE(e.has_value());
  EXPECT_EQ(deparse_expression((*e)->node).value(), "a + 1");
  EXPECT_FALSE(parse_expression("1 from t").has_value());
}

}  // namespace
}  // namespace bop::sql
