#include "base/error.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace bop {
namespace {

const std::vector<ErrorCodeInfo>& table() {
  static const std::vector<ErrorCodeInfo> kTable{
#define BOP_ERROR_CODE(name, number, sqlstate, mysql_errno, boyo_category, meaning) \
  {ErrorCode(number), #name, sqlstate, mysql_errno, boyo_category, meaning},
#include <bop/error_codes.def>
#undef BOP_ERROR_CODE
  };
  return kTable;
}

TEST(ErrorCodes, NumbersAndNamesAreUniqueAndStatesWellFormed) {
  std::set<ErrorCode> numbers;
  std::set<std::string_view> names;
  for (const ErrorCodeInfo& row : table()) {
    EXPECT_TRUE(numbers.insert(row.code).second) << row.name;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(row.sqlstate.size(), 5u) << row.name;
    EXPECT_EQ(row.sqlstate.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"), std::string_view::npos)
        << row.name;
    EXPECT_GE(row.mysql_errno, 1000) << row.name;
    EXPECT_FALSE(row.boyo_category.empty() || row.meaning.empty()) << row.name;
    EXPECT_EQ(info(row.code).name, row.name);
    EXPECT_EQ(info(code_of_sqlstate(row.sqlstate)).sqlstate, row.sqlstate) << row.name;
  }
}

TEST(ErrorCodes, AnUnknownStateIsInternal) { EXPECT_EQ(code_of_sqlstate("ZZZZZ"), ErrorCode::kInternal); }

TEST(Error, CopiesDoNotShareLaterChanges) {
  Error first = error(ErrorCode::kUniqueViolation, "key {} exists", 5).detail("d").constraint("pk");
  Error second = first;
  second.mut().detail = "other";
  EXPECT_EQ(first.fields().detail, "d");
  EXPECT_EQ(second.fields().detail, "other");
  EXPECT_EQ(second.fields().constraint, "pk");
  EXPECT_EQ(first.what(), "key 5 exists");
  EXPECT_EQ(first.sqlstate(), "23505");
  EXPECT_EQ(error(ErrorCode::kIo, "x").fields().position, 0);
}

Result<int> half(int n) {
  if (n % 2 != 0) return fail(ErrorCode::kInvalidArgument, "{} is odd", n);
  return n / 2;
}
Result<int> quarter(int n) {
  BOP_LET(once, half(n));
  BOP_TRY(half(once));
  return once / 2;
}

TEST(Error, TryAndLetReturnTheError) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(7).error().what(), "7 is odd");
  EXPECT_EQ(quarter(6).error().what(), "3 is odd");
}

}  // namespace
}  // namespace bop
