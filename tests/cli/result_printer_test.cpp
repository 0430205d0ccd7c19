#include "cli/result_printer.hpp"

#include <gtest/gtest.h>

#include "sql/types/types.hpp"

namespace bop::cli {
namespace {

using Cells = std::vector<std::optional<std::string_view>>;

std::string printed(OutputFormat format, const std::vector<Cells>& rows) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&text, &size);
  {
    ResultPrinter printer(format, out);
    printer.columns(
        {{"id", types::kInt4}, {"name", types::kText}, {"ok", types::kBool}, {"doc", types::kJsonb}});
    for (const Cells& row : rows) printer.row(row);
    printer.complete("SELECT 2");
    printer.complete("BEGIN");
  }
  std::fclose(out);
  std::string result(text, size);
  std::free(text);
  return result;
}

const std::vector<Cells> kRows{{"1", "\xC3\xA4,\"b\"", "t", "{\"a\":1}"},
                               {"20", std::nullopt, "f", std::nullopt}};

TEST(ResultPrinter, Aligned) {
  EXPECT_EQ(printed(OutputFormat::kAligned, kRows),
            " id | name  | ok |   doc   \n"
            "----+-------+----+---------\n"
            "  1 | \xC3\xA4,\"b\" | t  | {\"a\":1}\n"
            " 20 |       | f  | \n"
            "(2 rows)\n\nBEGIN\n");
}

TEST(ResultPrinter, Table) {
  EXPECT_EQ(printed(OutputFormat::kTable, {{"1", "a", "t", "{}"}}),
            "+----+------+----+-----+\n"
            "| id | name | ok | doc |\n"
            "+----+------+----+-----+\n"
            "|  1 | a    | t  | {}  |\n"
            "+----+------+----+-----+\n"
            "BEGIN\n");
}

TEST(ResultPrinter, Unaligned) {
  EXPECT_EQ(printed(OutputFormat::kUnaligned, {{"1", "a", "t", "{}"}}),
            "id|name|ok|doc\n1|a|t|{}\n(1 row)\nBEGIN\n");
}

TEST(ResultPrinter, Csv) {
  EXPECT_EQ(printed(OutputFormat::kCsv, kRows),
            "id,name,ok,doc\n1,\"\xC3\xA4,\"\"b\"\"\",t,\"{\"\"a\"\":1}\"\n20,,f,\n");
  EXPECT_EQ(csv_field(""), "\"\"");
  EXPECT_EQ(csv_field("a\nb"), "\"a\nb\"");
}

TEST(ResultPrinter, Json) {
  EXPECT_EQ(printed(OutputFormat::kJson, kRows),
            "[\n  {\"id\": 1, \"name\": \"\xC3\xA4,\\\"b\\\"\", \"ok\": true, \"doc\": {\"a\":1}},\n"
            "  {\"id\": 20, \"name\": null, \"ok\": false, \"doc\": null}\n]\n");
  EXPECT_EQ(printed(OutputFormat::kJson, {}), "[]\n");
}

TEST(ResultPrinter, OnlyNumbersOfJsonAreNumbers) {
  for (const std::string_view text :
       {"0", "-1", "1.50", "1e10", "-0.1E-5", "123456789012345678901234567890"}) {
    EXPECT_TRUE(is_json_number(text)) << text;
  }
  for (const std::string_view text : {"", "NaN", "Infinity", "01", "1.", ".5", "1e", "+1", "1x", "-"}) {
    EXPECT_FALSE(is_json_number(text)) << text;
  }
}

}  // namespace
}  // namespace bop::cli
