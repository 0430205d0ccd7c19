#include "session/copy_format.hpp"

#include <gtest/gtest.h>

#include <random>

#include "session/copy_binary.hpp"

namespace bop::session {
namespace {

using Row = std::vector<std::optional<std::string>>;
constexpr auto kNull = std::nullopt;

struct Reading {
  std::vector<Row> rows;
  std::optional<Error> error;
  std::uint64_t line = 0;
};

// Feeds `parts` one after the other.
Reading read(const CopyOptions& options, std::size_t columns, const std::vector<std::string_view>& parts) {
  Reading out;
  CopyReader reader(options, columns, [&](std::span<const CopyField> fields) -> Status {
    Row row;
    for (const CopyField& field : fields) row.push_back(field ? std::optional<std::string>(*field) : kNull);
    out.rows.push_back(std::move(row));
    return {};
  });
  const auto done = [&]() -> Status {
    for (const std::string_view part : parts) BOP_TRY(reader.feed(part));
    return reader.finish();
  }();
  if (!done) out.error = done.error();
  out.line = reader.line();
  return out;
}

// The same rows and the same error however the bytes are cut in two, and one byte at a time.
Reading read_every_way(const CopyOptions& options, std::size_t columns, std::string_view text) {
  const Reading whole = read(options, columns, {text});
  const auto same = [&](const std::vector<std::string_view>& parts, std::size_t cut) {
    const Reading other = read(options, columns, parts);
    EXPECT_EQ(other.rows, whole.rows) << "cut at " << cut;
    EXPECT_EQ(other.error.has_value(), whole.error.has_value()) << "cut at " << cut;
    EXPECT_EQ(other.error ? other.error->what() : "", whole.error ? whole.error->what() : "")
        << "cut at " << cut;
    EXPECT_EQ(other.line, whole.line) << "cut at " << cut;
  };
  for (std::size_t cut = 0; cut <= text.size(); ++cut) same({text.substr(0, cut), text.substr(cut)}, cut);
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  same(bytes, 1);
  return whole;
}

CopyOptions csv() {
  CopyOptions options;
  options.csv = true;
  options.delimiter = ',';
  options.null_text = "";
  return options;
}

TEST(CopyText, EscapesNullsAndTheEndMark) {
  const Reading out = read_every_way({}, 2, "1\ta\\tb\\\\\\n\n\\N\t\\x41\\101\\q\n3\t\n\\.\nnot read\n");
  ASSERT_FALSE(out.error) << out.error->what();
  EXPECT_EQ(out.rows, (std::vector<Row>{{"1", "a\tb\\\n"}, {kNull, "AAq"}, {"3", ""}}));
}

TEST(CopyText, LineEndsOfAllThreeKindsAndAMissingLastOne) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    const Reading out = read_every_way({}, 2, "1\ta" + end + "2\tb" + end + "3\tc");
    ASSERT_FALSE(out.error) << out.error->what();
    EXPECT_EQ(out.rows, (std::vector<Row>{{"1", "a"}, {"2", "b"}, {"3", "c"}}));
  }
}

// A short row is handed on as it is: the session knows the columns' names and refuses it.
TEST(CopyText, ExtraColumnsAreRefusedAndShortRowsHandedOn) {
  const Reading few = read_every_way({}, 2, "1\ta\n2\n");
  ASSERT_FALSE(few.error) << few.error->what();
  EXPECT_EQ(few.rows, (std::vector<Row>{{"1", "a"}, {"2"}}));
  const Reading many = read_every_way({}, 2, "1\ta\tx\n");
  ASSERT_TRUE(many.error);
  EXPECT_EQ(many.error->what(), "extra data after last expected column");
}

TEST(CopyCsv, QuotesProtectDelimitersAndLineEnds) {
  const Reading out = read_every_way(csv(), 3, "1,\"a,\"\"b\"\"\n\",\n2,\"\",c\n");
  ASSERT_FALSE(out.error) << out.error->what();
  EXPECT_EQ(out.rows, (std::vector<Row>{{"1", "a,\"b\"\n", kNull}, {"2", "", "c"}}));
}

TEST(CopyCsv, AnUnfinishedQuoteIsRefused) {
  const Reading out = read_every_way(csv(), 1, "1\n\"two\n");
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->what(), "unterminated CSV quoted field");
}

TEST(CopyCsv, TheHeaderIsSkipped) {
  CopyOptions options = csv();
  options.header = true;
  const Reading out = read_every_way(options, 2, "a,b\n1,2\n");
  ASSERT_FALSE(out.error) << out.error->what();
  EXPECT_EQ(out.rows, (std::vector<Row>{{"1", "2"}}));
}

// What is written is read back, in both formats, for values made of the bytes that the formats treat in their
// own way.
TEST(CopyRoundTrip, RandomValues) {
  std::mt19937_64 random(20240817);
  constexpr std::string_view kBytes = "\t\n\r\\\"',;N.abx01 \b\f\v";
  for (int round = 0; round < 2000; ++round) {
    const CopyOptions options = round % 2 == 0 ? CopyOptions{} : csv();
    const std::size_t columns = 1 + random() % 4;
    std::vector<Row> rows(1 + random() % 4, Row(columns));
    std::string text;
    for (Row& row : rows) {
      std::vector<CopyField> fields;
      for (auto& value : row) {
        if (random() % 5 != 0) {
          value.emplace();
          for (std::size_t n = random() % 6; n > 0; --n) value->push_back(kBytes[random() % kBytes.size()]);
        }
        fields.push_back(value ? CopyField(*value) : CopyField{});
      }
      write_copy_row(options, fields, text);
    }
    const std::size_t cut = random() % (text.size() + 1);
    const Reading out =
        read(options, columns, {std::string_view(text).substr(0, cut), std::string_view(text).substr(cut)});
    ASSERT_FALSE(out.error) << out.error->what() << " in " << text;
    ASSERT_EQ(out.rows, rows) << text;
  }
}

// ---- binary

struct BinaryRows final : CopyBinaryReader::Sink {
  Status field(std::size_t column, CopyField value) override {
    now.resize(column);
    now.push_back(value ? std::optional<std::string>(*value) : kNull);
    return {};
  }
  Status row() override {
    rows.push_back(std::move(now));
    now.clear();
    return {};
  }
  Row now;
  std::vector<Row> rows;
};

Reading read_binary(std::size_t columns, const std::vector<std::string_view>& parts) {
  Reading out;
  BinaryRows sink;
  CopyBinaryReader reader(columns, sink);
  const auto done = [&]() -> Status {
    for (const std::string_view part : parts) BOP_TRY(reader.feed(part));
    return reader.finish();
  }();
  if (!done) out.error = done.error();
  out.rows = std::move(sink.rows);
  out.line = reader.line();
  return out;
}

Reading read_binary_every_way(std::size_t columns, std::string_view bytes) {
  const Reading whole = read_binary(columns, {bytes});
  const auto same = [&](const std::vector<std::string_view>& parts) {
    const Reading other = read_binary(columns, parts);
    EXPECT_EQ(other.rows, whole.rows);
    EXPECT_EQ(other.error ? other.error->what() : "", whole.error ? whole.error->what() : "");
    EXPECT_EQ(other.line, whole.line);
  };
  std::vector<std::string_view> single;
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    same({bytes.substr(0, cut), bytes.substr(cut)});
    single.push_back(bytes.substr(cut, 1));
  }
  same(single);
  return whole;
}

std::string binary_data() {
  using namespace std::string_literals;
  std::string data;
  write_copy_binary_header(data);
  data += "\0\2\0\0\0\1a\xFF\xFF\xFF\xFF"s + "\0\2\0\0\0\0\0\0\0\3xyz"s;
  write_copy_binary_trailer(data);
  return data;
}

TEST(CopyBinary, ReadsFieldsNullsAndTheTrailer) {
  const Reading out = read_binary_every_way(2, binary_data());
  ASSERT_FALSE(out.error) << out.error->what();
  EXPECT_EQ(out.rows, (std::vector<Row>{{"a", kNull}, {"", "xyz"}}));
}

TEST(CopyBinary, ALongExtensionCostsNoMemory) {
  using namespace std::string_literals;
  std::string data = binary_data().substr(0, 15) + "\x7F\xFF\xFF\xFF"s + std::string(1000, 'x');
  const Reading out = read_binary(2, {data});
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->what(), "invalid COPY file header (wrong length)");
}

TEST(CopyBinary, AFieldAboveTheLimitIsRefusedBeforeItsBytes) {
  using namespace std::string_literals;
  const Reading out = read_binary(1, {binary_data().substr(0, 19) + "\0\1\x7F\xFF\xFF\xFF"s});
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->code(), ErrorCode::kProgramLimitExceeded);
}

TEST(CopyFuzz, MutatedBinary) {
  std::mt19937_64 random(11);
  const std::string corpus = binary_data();
  std::size_t rows = 0, errors = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = corpus;
    for (std::size_t n = 1 + random() % 4; n > 0 && !bytes.empty(); --n) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8))); break;
        case 2: bytes.erase(at, 1 + random() % 3); break;
        default: bytes.insert(at, 1 + random() % 3, static_cast<char>(random() % 3)); break;
      }
    }
    const Reading out = read_binary_every_way(random() % 4, bytes);
    ASSERT_FALSE(HasFailure()) << "round " << round;
    rows += out.rows.size();
    errors += out.error.has_value() ? 1 : 0;
  }
  EXPECT_GT(rows, 100u);
  EXPECT_GT(errors, 1000u);
}

// Bytes from outside: any of them is rows or an error, never a crash, and cutting them elsewhere changes
// nothing.
TEST(CopyFuzz, MutatedInputs) {
  std::mt19937_64 random(7);
  const std::string corpus[] = {"1\ta\\tb\n\\N\t\\x41\n\\.\n", "1,\"a,\"\"b\"\n2,\n", "x\r\ny\r\n",
                                "\"\n\"\",\"\r"};
  constexpr std::string_view kBytes = "\t\n\r\\\",.xN0\xff";
  for (int round = 0; round < 3000; ++round) {
    std::string text = corpus[random() % std::size(corpus)];
    for (std::size_t n = 1 + random() % 6; n > 0; --n) {
      const std::size_t at = random() % (text.size() + 1);
      switch (random() % 3) {
        case 0: text.insert(at, 1, kBytes[random() % kBytes.size()]); break;
        case 1: text.erase(at, 1); break;
        default:
          if (at < text.size()) text[at] = kBytes[random() % kBytes.size()];
      }
    }
    const CopyOptions options = random() % 2 == 0 ? CopyOptions{} : csv();
    (void)read_every_way(options, 1 + random() % 2, text);
    ASSERT_FALSE(HasFailure()) << "round " << round << ": " << text;
  }
}

}  // namespace
}  // namespace bop::session
