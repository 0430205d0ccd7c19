#include "cli/database_url.hpp"

#include <gtest/gtest.h>

namespace bop::cli {
namespace {

TEST(DatabaseUrl, WholeUrl) {
  const DatabaseUrl url = parse_url("postgresql://us%40er:p%3Aw@db.example:5433/my%20base").value();
  EXPECT_EQ(url.user, "us@er");
  EXPECT_EQ(url.password, "p:w");
  EXPECT_EQ(url.host, "db.example");
  EXPECT_EQ(url.port, 5433);
  EXPECT_EQ(url.database, "my base");
}

TEST(DatabaseUrl, PartsMayBeMissing) {
  const DatabaseUrl url = parse_url("postgres://").value();
  EXPECT_EQ(url.user, "bop");
  EXPECT_EQ(url.host, "127.0.0.1");
  EXPECT_EQ(url.port, 5432);
  EXPECT_EQ(parse_url("postgresql://[::1]:1/x")->host, "::1");
  EXPECT_EQ(parse_url("postgresql://h/x")->port, 5432);
  EXPECT_EQ(parse_url("postgresql://u@h")->user, "u");
}

TEST(DatabaseUrl, WrongOnesSayWhatIsExpected) {
  for (const std::string_view text :
       {"", "localhost", "mysql://x", "postgresql://h:port/x", "postgresql://h:99999/x",
        "postgresql://[::1/x", "postgresql://u%4@h/x", "postgresql://h/x?sslmode=off"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code(), ErrorCode::kConfigInvalid);
  }
}

}  // namespace
}  // namespace bop::cli
