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

std::string shown(PrintSettings settings, const std::vector<wire::pg::ClientColumn>& columns,
                  const std::vector<Cells>& rows) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&text, &size);
  {
    ResultPrinter printer(settings.format, out);
    printer.settings() = settings;
    printer.columns(columns);
    for (const Cells& row : rows) printer.row(row);
    printer.complete("SELECT 2");
  }
  std::fclose(out);
  std::string result(text, size);
  std::free(text);
  return result;
}

// As psql 15 prints them.
TEST(ResultPrinter, ValuesOfSeveralLines) {
  const std::vector<wire::pg::ClientColumn> columns{
      {"a", types::kText}, {"long\nname", types::kInt4}, {"z", types::kText}};
  const std::vector<Cells> rows{{"x\nbbb\nc", "1", "p\nq"}, {"y", "22", "z"}};
  EXPECT_EQ(shown({}, columns, rows),
            "  a  | long+| z \n"
            "     | name |   \n"
            "-----+------+---\n"
            " x  +|    1 | p+\n"
            " bbb+|      | q\n"
            " c   |      | \n"
            " y   |   22 | z\n"
            "(2 rows)\n\n");
  EXPECT_EQ(shown({.expanded = Expanded::kOn}, columns, rows),
            "-[ RECORD 1 ]\n"
            "a    | x  +\n"
            "     | bbb+\n"
            "     | c\n"
            "long+| 1\n"
            "name |\n"
            "z    | p  +\n"
            "     | q\n"
            "-[ RECORD 2 ]\n"
            "a    | y\n"
            "long+| 22\n"
            "name |\n"
            "z    | z\n\n");
  EXPECT_EQ(shown({.format = OutputFormat::kUnaligned, .tuples_only = true}, columns, rows),
            "x\nbbb\nc|1|p\nq\ny|22|z\n");
  EXPECT_EQ(
      shown({.format = OutputFormat::kTable}, {{"a", types::kText}, {"b", types::kText}}, {{"x\ny", "z"}}),
      "+---+---+\n"
      "| a | b |\n"
      "+---+---+\n"
      "| x+| z |\n"
      "| y |   |\n"
      "+---+---+\n");
}

TEST(ResultPrinter, ExpandsWhatIsWiderThanTheTerminal) {
  const std::vector<wire::pg::ClientColumn> columns{{"a", types::kText}, {"b", types::kText}};
  for (const std::size_t width : {0, 13, 12}) {
    const std::string out =
        shown({.expanded = Expanded::kAuto, .terminal_columns = width}, columns, {{"12345", "123"}});
    EXPECT_EQ(out.starts_with("-[ RECORD 1 ]"), width == 12) << width << out;
  }
}

TEST(ResultPrinter, ResultsWithoutColumnsOrRows) {
  EXPECT_EQ(shown({}, {}, {{}, {}}), "--\n(2 rows)\n\n");
  EXPECT_EQ(shown({.expanded = Expanded::kOn}, {}, {{}}), "(1 row)\n\n");
  EXPECT_EQ(shown({.expanded = Expanded::kOn}, {{"a", types::kText}}, {}), "(0 rows)\n\n");
  EXPECT_EQ(shown({.format = OutputFormat::kUnaligned, .expanded = Expanded::kOn}, {{"a", types::kText}}, {}),
            "");
}

TEST(CellText, ShowsWhatControlsATerminal) {
  const auto line = [](std::string_view text) {
    const CellText cell(text);
    EXPECT_EQ(cell.lines.size(), 1u);
    EXPECT_EQ(cell.width, cell.lines[0].width);
    return std::pair(cell.lines[0].text, cell.width);
  };
  using Line = std::pair<std::string, std::size_t>;
  EXPECT_EQ(line("a\x1b[31mred\x7f"), (Line{"a\\x1B[31mred\\x7F", 16}));
  EXPECT_EQ(line("a\tb\r"), (Line{"a       b\\r", 11}));
  EXPECT_EQ(line("\xC2\x85"), (Line{"\\u0085", 6}));
  EXPECT_EQ(line("\xE6\xBC\xA2\xE5\xAD\x97"), (Line{"\xE6\xBC\xA2\xE5\xAD\x97", 4}));
  EXPECT_EQ(line("e\xCC\x81\xC3\xA9"), (Line{"e\xCC\x81\xC3\xA9", 2}));
  EXPECT_EQ(line("\xF0\x9F\x99\x82"), (Line{"\xF0\x9F\x99\x82", 2}));
  EXPECT_EQ(line("\xFF\xE6").first, "\xFF\xE6");
  EXPECT_EQ(line(""), (Line{"", 0}));
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
