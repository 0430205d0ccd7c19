// What goes into a column comes out again, in whatever form it is kept.
#include "executor/encoded_column.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

namespace bop::executor {
namespace {

using Kind = ColumnEncoder::Kind;

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();

TEST(EncodedColumn, NumbersOfEachWidthComeBack) {
  std::mt19937_64 random(7);
  for (const std::uint64_t range :
       {0ULL, 1ULL, 255ULL, 256ULL, 65535ULL, 65536ULL, 0xffffffffULL, 0x100000000ULL, ~0ULL}) {
    for (const bool with_nulls : {false, true}) {
      const std::int64_t base = range == ~0ULL ? kLowest : static_cast<std::int64_t>(random() >> 24) - 1000;
      ColumnEncoder encoder(Kind::kNumbers);
      std::vector<std::int64_t> values;
      for (std::size_t row = 0; row < 1000; ++row) {
        const std::uint64_t above = row == 0         ? 0
                                    : row == 1       ? range
                                    : range == ~0ULL ? random()
                                                     : random() % (range + 1);
        values.push_back(static_cast<std::int64_t>(static_cast<std::uint64_t>(base) + above));
        if (with_nulls && row % 7 == 3) {
          encoder.add_null();
        } else {
          encoder.add_number(values.back());
        }
      }
      const EncodedColumnPtr column = encoder.finish();
      ASSERT_EQ(column->size(), 1000U);
      EXPECT_EQ(column->has_nulls(), with_nulls);
      EXPECT_EQ(column->least(), base);
      EXPECT_EQ(static_cast<std::uint64_t>(column->largest()) - static_cast<std::uint64_t>(base), range);
      std::vector<std::int64_t> run(500);
      column->numbers(123, std::span(run));
      const std::vector<std::uint32_t> rows{0, 1, 5, 17, 999};
      std::vector<std::int64_t> some(rows.size());
      column->numbers(rows, some.data());
      for (std::size_t i = 0; i < run.size(); ++i) {
        EXPECT_EQ(column->is_null(123 + i), with_nulls && (123 + i) % 7 == 3);
        if (!column->is_null(123 + i)) {
          EXPECT_EQ(run[i], values[123 + i]);
        }
      }
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!column->is_null(rows[i])) {
          EXPECT_EQ(some[i], values[rows[i]]);
        }
      }
      if (range <= 255) {
        EXPECT_LT(column->bytes(), 2000U);
      }
    }
  }
}

TEST(EncodedColumn, WhatIsNullDoesNotWidenTheOthers) {
  ColumnEncoder encoder(Kind::kNumbers);
  for (int i = 0; i < 1000; ++i) {
    encoder.add_number(kHighest - i % 10);
    encoder.add_null();
  }
  const EncodedColumnPtr column = encoder.finish();
  EXPECT_EQ(column->least(), kHighest - 9);
  EXPECT_LT(column->bytes(), 3000U);
}

TEST(EncodedColumn, NothingButNullsAndNothing) {
  ColumnEncoder encoder(Kind::kNumbers);
  encoder.add_null();
  EXPECT_TRUE(encoder.finish()->is_null(0));
  const EncodedColumnPtr nothing = encoder.finish();
  EXPECT_EQ(nothing->size(), 0U);
  EXPECT_FALSE(nothing->has_nulls());
  ColumnEncoder texts(Kind::kTexts);
  EXPECT_EQ(texts.finish()->size(), 0U);
}

TEST(EncodedColumn, WideNumbersComeBack) {
  ColumnEncoder encoder(Kind::kWide);
  const Wide value = static_cast<Wide>(kHighest) * 1000 + 7;
  encoder.add_wide(value);
  encoder.add_null();
  encoder.add_wide(-value);
  const EncodedColumnPtr column = encoder.finish();
  EXPECT_TRUE(column->is_wide());
  EXPECT_TRUE(column->wide(0) == value && column->wide(2) == -value);
  EXPECT_TRUE(column->is_null(1));
}

TEST(EncodedColumn, TextsThatRepeatTakeAByteEach) {
  for (const std::size_t different :
       {std::size_t{1}, std::size_t{255}, std::size_t{256}, std::size_t{4000}}) {
    ColumnEncoder encoder(Kind::kTexts);
    std::vector<std::string> texts;
    for (std::size_t row = 0; row < 4000; ++row) {
      texts.push_back(row % different == 0 ? "" : "the text of number " + std::to_string(row % different));
      if (row % 100 == 99) {
        encoder.add_null();
      } else {
        encoder.add_text(texts.back());
      }
    }
    const EncodedColumnPtr column = encoder.finish();
    EXPECT_EQ(column->has_choices(), different <= 255);
    for (std::size_t row = 0; row < texts.size(); ++row) {
      EXPECT_EQ(column->is_null(row), row % 100 == 99);
      if (column->is_null(row)) continue;
      EXPECT_EQ(column->text(row), texts[row]);
    }
    if (different == 255) {
      EXPECT_LT(column->bytes(), 20000U);
    }
  }
}

}  // namespace
}  // namespace bop::executor
