#include "base/settings.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/sim.hpp"

namespace bop {
namespace {

using Lines = std::vector<std::string>;

std::string problem_of(const Status& status) {
  EXPECT_FALSE(status.has_value());
  if (status) return "";
  EXPECT_EQ(status.error().code(), ErrorCode::kConfigInvalid);
  return status.error().what();
}

TEST(Settings, TheTableIsSound) {
  std::set<std::string_view> names;
  for (const SettingInfo& info : all_settings()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(find_setting(info.name), &info);
    EXPECT_TRUE(parse_setting(info, info.standard)) << info.name;
    EXPECT_TRUE(info.sentence.ends_with('.')) << info.name;
    EXPECT_EQ(info.choices.empty(), info.type != SettingType::kChoice) << info.name;
    // What is shown is read back as the same value.
    const auto value = parse_setting(info, info.standard).value();
    EXPECT_EQ(parse_setting(info, show_setting(info, value)).value(), value) << info.name;
    EXPECT_NE(settings_markdown().find(environment_name(info)), std::string::npos);
    EXPECT_NE(settings_help().find(flag_name(info)), std::string::npos);
  }
}

TEST(Settings, DefaultsAreWhatTheTableSays) {
  const Settings settings;
  EXPECT_EQ(settings.data_dir(), "./bop-data");
  EXPECT_EQ(settings.pg_port(), 5432);
  EXPECT_EQ(settings.segment_size(), 64 << 20);
  EXPECT_EQ(settings.max_transaction_bytes(), 1 << 30);
  EXPECT_EQ(settings.idle_in_transaction_timeout_ms(), 10'000);
  EXPECT_FALSE(settings.trust_loopback());
  EXPECT_EQ(settings.disk(), "auto");
  EXPECT_EQ(settings.shown(*find_setting("page_cache")), "64MB");
  EXPECT_EQ(settings.shown(*find_setting("lock-timeout-ms")), "0");
  EXPECT_EQ(settings.shown(*find_setting("trust_loopback")), "off");
}

TEST(Settings, ALaterLayerWins) {
  std::string folder = std::filesystem::temp_directory_path() / "bop-settings-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::ofstream(folder + "/bop.toml") << "pg_port = 1\nhttp_port = 1\nreactors = 1\nlog_format = \"json\"\n";
  const Lines environment{"PATH=/bin", "BOP_HTTP_PORT=2", "BOP_REACTORS=2", "BOP_DATA_DIR=" + folder};
  const auto settings = Settings::load(Lines{"--reactors", "3"}, environment);
  ASSERT_TRUE(settings) << settings.error().what();
  EXPECT_EQ(settings->pg_port(), 1);
  EXPECT_EQ(settings->http_port(), 2);
  EXPECT_EQ(settings->reactors(), 3);
  EXPECT_EQ(settings->log_format(), "json");
  EXPECT_EQ(settings->source(SettingId::k_pg_port), SettingSource::kFile);
  EXPECT_EQ(settings->source(SettingId::k_http_port), SettingSource::kEnvironment);
  EXPECT_EQ(settings->source(SettingId::k_reactors), SettingSource::kFlag);
  EXPECT_EQ(settings->source(SettingId::k_wal_limit), SettingSource::kDefault);

  // A file that is named must be there; an empty one is fine.
  EXPECT_FALSE(Settings::load(Lines{"--config", folder + "/none.toml"}, {}));
  std::ofstream(folder + "/empty.toml").flush();
  EXPECT_TRUE(Settings::load(Lines{"--config=" + folder + "/empty.toml"}, {}));
  std::filesystem::remove_all(folder);
}

TEST(Settings, FlagsInAllTheirForms) {
  Settings settings;
  ASSERT_TRUE(settings.read_flags(Lines{"--pg-port=7", "--wal_limit", "2GB", "--trust-loopback",
                                        "--log-format", "JSON", "--statement-timeout-ms", "1min"}));
  EXPECT_EQ(settings.pg_port(), 7);
  EXPECT_EQ(settings.wal_limit(), std::int64_t{2} << 30);
  EXPECT_TRUE(settings.trust_loopback());
  EXPECT_EQ(settings.log_format(), "json");
  EXPECT_EQ(settings.statement_timeout_ms(), 60'000);
  ASSERT_TRUE(settings.read_flags(Lines{"--no-trust-loopback"}));
  EXPECT_FALSE(settings.trust_loopback());
  ASSERT_TRUE(settings.read_flags(Lines{"--trust-loopback", "yes"}));
  EXPECT_TRUE(settings.trust_loopback());
}

TEST(Settings, AnUnknownNameIsAnsweredWithTheNearest) {
  Settings settings;
  EXPECT_EQ(problem_of(settings.read_flags(Lines{"--pg-prot", "1"})),
            "there is no flag --pg-prot: did you mean --pg-port?");
  EXPECT_EQ(problem_of(settings.read_flags(Lines{"--zzzzzzzzzz", "1"})), "there is no flag --zzzzzzzzzz");
  EXPECT_EQ(problem_of(settings.read_flags(Lines{"serve"})),
            "\"serve\" is not a flag: settings are given as --name value");
  EXPECT_EQ(problem_of(settings.read_flags(Lines{"--pg-port"})), "--pg-port needs a value");
  EXPECT_EQ(problem_of(settings.read_toml("\npage_cash = 1\n", "x.toml")),
            "x.toml line 2: there is no setting \"page_cash\": did you mean page_cache?");
  EXPECT_NE(problem_of(settings.read_toml("pg_port = = 1", "x.toml")).find("x.toml line 1: "),
            std::string::npos);
  ASSERT_TRUE(settings.read_environment(Lines{"BOP_PG_PROT=1", "BOP_SOURCE_DIR=/x", "HOME=/"}));
  EXPECT_EQ(settings.suspects(), Lines{"BOP_PG_PROT is no setting: did you mean BOP_PG_PORT?"});
}

TEST(Settings, AWrongValueNamesValueAndLimit) {
  Settings settings;
  const auto flag = [&](const char* name, const char* value) {
    return problem_of(settings.read_flags(Lines{name, value}));
  };
  EXPECT_EQ(flag("--pg-port", "65536"), "--pg-port: pg_port is 65536: it must be between 0 and 65535");
  EXPECT_EQ(flag("--pg-port", "x"), "--pg-port: pg_port is \"x\": it must be a whole number");
  EXPECT_EQ(flag("--pg-port", "1MB"), "--pg-port: pg_port is \"1MB\": it must be a whole number");
  EXPECT_EQ(flag("--pg-port", ""), "--pg-port: pg_port is \"\": it must be a whole number");
  EXPECT_EQ(flag("--segment-size", "1kB"),
            "--segment-size: segment_size is 1kB: it must be between 1MB and 4GB");
  EXPECT_EQ(flag("--segment-size", "99999999TB"),
            "--segment-size: segment_size is 99999999TB: it must be between 1MB and 4GB");
  EXPECT_EQ(flag("--segment-size", "99999999999999999999"),
            "--segment-size: segment_size is 99999999999999999999: it must be between 1MB and 4GB");
  EXPECT_NE(flag("--segment-size", "64 parsecs").find("a size such as 64MB"), std::string::npos);
  EXPECT_EQ(flag("--disk", "tape"), "--disk: disk is \"tape\": it must be one of auto, io_uring, pwritev");
  EXPECT_EQ(flag("--trust-loopback", "maybe"),
            "--trust-loopback: trust_loopback is \"maybe\": it must be on or off");
  EXPECT_EQ(problem_of(settings.read_toml("pg_port = 1.5", "f")),
            "f line 1: pg_port must be a string, a whole number or a boolean");
  EXPECT_EQ(problem_of(settings.read_environment(Lines{"BOP_REACTORS=-1"})),
            "BOP_REACTORS: reactors is -1: it must be between 0 and 256");
  EXPECT_EQ(settings.pg_port(), 5432);
}

TEST(Settings, AReloadChangesOnlyWhatMay) {
  Settings running, newer;
  ASSERT_TRUE(newer.read_flags(Lines{"--pg-port", "1", "--log-level", "error", "--lock-timeout-ms", "5"}));
  EXPECT_EQ(running.reload_from(newer), std::vector<std::string_view>{"pg_port"});
  EXPECT_EQ(running.pg_port(), 5432);
  EXPECT_EQ(running.log_level(), "error");
  EXPECT_EQ(running.lock_timeout_ms(), 5);
}

TEST(Settings, MutatedFilesNeverDoMoreThanFail) {
  const std::string corpus =
      "data_dir = \"/x\"\npg_port = 5433\ntrust_loopback = true\n"
      "wal_limit = \"64MB\" # why\nlog_format='json'\n";
  SimRandom random(11);
  int read = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = corpus;
    for (std::uint64_t i = 0, count = 1 + random.below(4); i < count; ++i) {
      const std::size_t at = random.below(text.size());
      switch (random.below(3)) {
        case 0: text[at] = static_cast<char>(random.below(256)); break;
        case 1: text.erase(at, 1 + random.below(4)); break;
        default: text.insert(at, text.substr(random.below(text.size()), random.below(8)));
      }
    }
    Settings settings;
    const Status status = settings.read_toml(text, "f");
    if (status) {
      ++read;
      continue;
    }
    ASSERT_FALSE(status.error().what().empty());
  }
  EXPECT_GT(read, 0);
  EXPECT_LT(read, 5000);
}

}  // namespace
}  // namespace bop
