#include "base/log.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <limits>
#include <thread>
#include <vector>

#include "base/sim.hpp"

namespace bop {
namespace {

constexpr std::int64_t kNow = 1'767'225'600'123'456;  // 2026-01-01 00:00:00.123456 UTC

TEST(Log, TextQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(format_log_line(LogFormat::kText, LogLevel::kInfo, kNow, "listening",
                            {{"address", "127.0.0.1"}, {"port", 5432}, {"tls", false}, {"share", 0.5}}),
            "2026-01-01 00:00:00.123 INFO  listening address=127.0.0.1 port=5432 tls=false share=0.5");
  EXPECT_EQ(
      format_log_line(LogFormat::kText, LogLevel::kError, kNow, "bad\nthing",
                      {{"a", "two words"}, {"b", ""}, {"c", "x=\"y\"\n\x01"}, {"d", std::uint64_t(-1)}}),
      "2026-01-01 00:00:00.123 ERROR bad?thing a=\"two words\" b=\"\" c=\"x=\\\"y\\\"\\n\\u0001\" "
      "d=18446744073709551615");
}

TEST(Log, JsonIsJsonWhateverTheFieldsHold) {
  EXPECT_EQ(format_log_line(LogFormat::kJson, LogLevel::kWarning, kNow, "m",
                            {{"n", -1}, {"s", "a\"b"}, {"t", true}}),
            "{\"time\":\"2026-01-01T00:00:00.123Z\",\"level\":\"warning\",\"message\":\"m\",\"n\":-1,"
            "\"s\":\"a\\\"b\","
            "\"t\":true}");
  simdjson::dom::parser parser;
  SimRandom random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random.below(40), '\0');
    random.fill(std::as_writable_bytes(std::span(text)));
    const std::string line = format_log_line(LogFormat::kJson, LogLevel::kInfo, kNow, text,
                                             {{text, text}, {"d", std::numeric_limits<double>::infinity()}});
    simdjson::dom::element element;
    ASSERT_EQ(parser.parse(line).get(element), simdjson::SUCCESS) << line;
    ASSERT_EQ(line.find('\n'), std::string::npos);
    const std::string as_text = format_log_line(LogFormat::kText, LogLevel::kInfo, kNow, text, {{"k", text}});
    ASSERT_EQ(as_text.find_first_of("\n\r\x1b"), std::string::npos);
  }
}

class LogOutput : public testing::Test {
 protected:
  void SetUp() override {
    redirect_log([this](std::string_view line) { lines_.emplace_back(line); });
  }
  void TearDown() override {
    redirect_log({});
    ASSERT_TRUE(configure_log("text", "info"));
  }
  std::vector<std::string> lines_;
};

TEST_F(LogOutput, LevelsBelowTheConfiguredOneAreDropped) {
  log_debug("no");
  log_info("yes");
  ASSERT_TRUE(configure_log("json", "error"));
  log_warning("no");
  log_error("failed", error(ErrorCode::kDiskFull, "cannot write {}", "f").detail("d"));
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_NE(lines_[0].find(" INFO  yes"), std::string::npos);
  EXPECT_NE(lines_[1].find("\"message\":\"failed\",\"error\":\"cannot write f\",\"code\":\"DiskFull\","
                           "\"sqlstate\":\"53100\",\"detail\":\"d\""),
            std::string::npos)
      << lines_[1];
}

TEST_F(LogOutput, WrongNamesAreRefusedAndChangeNothing) {
  EXPECT_EQ(configure_log("xml", "info").error().code(), ErrorCode::kConfigInvalid);
  EXPECT_EQ(configure_log("json", "loud").error().code(), ErrorCode::kConfigInvalid);
  log_info("x");
  EXPECT_EQ(lines_.at(0).find('{'), std::string::npos);
}

TEST_F(LogOutput, LinesOfManyThreadsStayWhole) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) log_info("line", {{"thread", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines_.size(), 800u);
}

TEST(Log, WritesToStandardError) {
  testing::internal::CaptureStderr();
  log_info("to standard error", {{"n", 1}});
  EXPECT_NE(testing::internal::GetCapturedStderr().find("INFO  to standard error n=1\n"), std::string::npos);
}

}  // namespace
}  // namespace bop
