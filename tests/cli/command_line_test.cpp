// Arguments of the program `bop`: what is wrong is said in one sentence, with a code other than 0.
#include "cli/command_line.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace bop::cli {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome run_with(std::vector<std::string> words) {
  words.insert(words.begin(), "bop");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run(static_cast<int>(argv.size()), argv.data());
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(CommandLine, HelpAndVersion) {
  for (const std::string word : {"help", "--help"}) {
    const Outcome outcome = run_with({word});
    EXPECT_EQ(outcome.code, 0);
    for (const std::string command : {"serve", "sql", "status", "aof", "settings"}) {
      EXPECT_NE(outcome.out.find(command), std::string::npos) << command;
    }
  }
  for (const std::string word : {"version", "--version"}) {
    const Outcome outcome = run_with({word});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, "bop 0.1.0\n");
  }
}

TEST(CommandLine, SettingsComeFromTheirTable) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"serve", "--help"}, {"settings"}}) {
    const Outcome outcome = run_with(words);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.out.find("--pg-port"), std::string::npos);
  }
  EXPECT_NE(run_with({"settings", "--markdown"}).out.find("| "), std::string::npos);
}

TEST(CommandLine, UnknownCommandsHearTheKnownOnes) {
  const Outcome unknown = run_with({"frob"});
  EXPECT_EQ(unknown.code, 2);
  for (const std::string word : {"frob", "serve", "sql", "status", "aof", "settings"}) {
    EXPECT_NE(unknown.err.find(word), std::string::npos) << word;
  }
  const Outcome below = run_with({"aof", "frob"});
  EXPECT_EQ(below.code, 2);
  for (const std::string word : {"frob", "dump", "verify"}) {
    EXPECT_NE(below.err.find(word), std::string::npos) << word;
  }
}

TEST(CommandLine, FolderWithoutALogIsNotVerified) {
  std::string folder = testing::TempDir() + "bop-no-log-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  for (const std::string command : {"verify", "dump", "stat", "tail"}) {
    const Outcome outcome = run_with({"aof", command, folder});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("no log"), std::string::npos);
    EXPECT_NE(outcome.err.find(folder), std::string::npos);
  }
  std::filesystem::remove_all(folder);
}

TEST(CommandLine, WrongWordsAreRefused) {
  for (const auto& words : std::vector<std::vector<std::string>>{{},
                                                                 {"srve"},
                                                                 {"sql", "--fromat", "csv"},
                                                                 {"sql", "--format", "xml"},
                                                                 {"aof"},
                                                                 {"aof", "dump"},
                                                                 {"aof", "find", "/tmp", "first"},
                                                                 {"aof", "tail", "/tmp", "-n", "many"},
                                                                 {"status", "--http-port", "many"}}) {
    const Outcome outcome = run_with(words);
    EXPECT_NE(outcome.code, 0);
    EXPECT_FALSE(outcome.err.empty());
  }
}

TEST(CommandLine, ServeNamesTheNearestSetting) {
  const Outcome outcome = run_with({"serve", "--data-dri", "/nowhere"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("--data-dri"), std::string::npos);
  EXPECT_NE(outcome.err.find("--data-dir"), std::string::npos);
  EXPECT_NE(run_with({"serve", "--pg-port", "many"}).err.find("many"), std::string::npos);
}

TEST(CommandLine, WithoutANodeTheClientSaysHowToStartOne) {
  const std::string folder = testing::TempDir() + "bop-no-node";
  std::filesystem::create_directories(folder);
  const Outcome sql = run_with({"sql", "--data-dir", folder, "-c", "SELECT 1"});
  EXPECT_EQ(sql.code, 2);
  EXPECT_NE(sql.err.find("bop serve --data-dir " + folder), std::string::npos) << sql.err;
  EXPECT_EQ(run_with({"status", "--data-dir", folder}).code, 2);
  // Port 1 of this machine: nobody listens there.
  const Outcome refused = run_with({"sql", "postgresql://bop@127.0.0.1:1/bop", "-c", "SELECT 1"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("port 1"), std::string::npos);
  EXPECT_EQ(run_with({"sql", "localhost", "-c", "SELECT 1"}).code, 2);
  std::filesystem::remove_all(folder);
}

TEST(CommandLine, LogThatIsNotThereCannotBeRead) {
  const Outcome outcome = run_with({"aof", "verify", "/nowhere/at/all"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("/nowhere/at/all"), std::string::npos);
}

}  // namespace
}  // namespace bop::cli
