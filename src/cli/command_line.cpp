#include "cli/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/settings.hpp"
#include "cli/aof_command.hpp"
#include "cli/backup_command.hpp"
#include "cli/sql_command.hpp"
#include "cli/status_command.hpp"
#include "cli/verify_command.hpp"
#include "server/server.hpp"

namespace bop::cli {

namespace {

constexpr int kWrongArgument = 2;

int report(const Status& status) {
  if (status) return 0;
  fmt::print(stderr, "bop: {}\n", status.error().what());
  if (const std::string& hint = status.error().fields().hint; !hint.empty()) fmt::print(stderr, "{}\n", hint);
  return 1;
}

// The flags of `serve` are the settings, so that their own table reads them.
int serve(const std::vector<std::string>& flags) {
  for (const std::string& flag : flags) {
    if (flag == "--help" || flag == "-h") {
      fmt::print(
          "bop serve [--SETTING VALUE]...\n\n"
          "Starts a node in the foreground. SIGTERM or Ctrl-C stops it.\n\n{}",
          settings_help());
      return 0;
    }
  }
  const auto settings = Settings::load(flags, Settings::process_environment());
  if (!settings) return report(std::unexpected(settings.error()));
  for (const std::string& suspect : settings->suspects()) {
    fmt::print(stderr, "warning: {}\n", suspect);
  }
  return report(
      server::serve(*settings, [flags] { return Settings::load(flags, Settings::process_environment()); }));
}

struct Arguments {
  SqlCommand sql;
  StatusCommand status;
  AofCommand aof;
  BackupCommand backup;
  VerifyCommand verify;
  bool markdown = false;
};

constexpr const char* kLogKeyHelp = "File with the key of an encrypted log, or env:NAME";
void describe_aof(CLI::App& app, AofCommand& command) {
  CLI::App* aof = app.add_subcommand("aof", "Look at a log without opening it, also beside the node");
  aof->require_subcommand(1);
  const std::pair<const char*, const char*> commands[] = {
      {"stat", "Segments, how full they are, where the log ends, how its index is"},
      {"find", "The record with an id, or the first one that is not older than a time"},
      {"dump", "List the records"},
      {"tail", "The newest records; -f goes on with what becomes durable"},
      {"verify", "Check every record"}};
  for (const auto& [name, what] : commands) {
    CLI::App* one = aof->add_subcommand(name, what);
    one->add_option("directory", command.directory, "The log's folder or the node's data directory")
        ->required();
    one->add_flag("--json", command.json, "JSON");
  }
  for (const char* name : {"dump", "verify"}) {
    aof->get_subcommand(name)->add_option("--log-encryption-key-file", command.log_key, kLogKeyHelp);
  }
  aof->get_subcommand("stat")->add_option("--index", command.index, "The index's folder (LOG/index)");
  aof->get_subcommand("find")->add_option("id", command.id, "The record's id (LSN)");
  aof->get_subcommand("find")->add_option("--time", command.time, "A time: \"2026-11-22 03:04:05+01\"");
  aof->get_subcommand("dump")->add_option("--from", command.from, "The first id (LSN)");
  aof->get_subcommand("dump")->add_option("--to", command.to, "The last id (LSN)");
  for (const char* name : {"dump", "tail"}) {
    aof->get_subcommand(name)->add_option("--database", command.database, "Records of this database only");
  }
  aof->get_subcommand("tail")->add_option("-n,--lines", command.lines, "How many records (10)");
  aof->get_subcommand("tail")->add_flag("-f,--follow", command.follow, "Go on until interrupted");
}

void describe_backup(CLI::App& app, BackupCommand& command) {
  CLI::App* backup = app.add_subcommand("backup", "Take, go on with or extend a backup of a node");
  CLI::App* restore = app.add_subcommand("restore", "Make a data directory from a backup");
  for (CLI::App* each : {backup, restore}) {
    each->add_option("directory", command.directory, "Directory of the backup")->required();
    each->add_flag("--progress", command.progress, "Tell how far it is, also when this is no terminal");
    const std::map<std::string, bool> formats{{"text", false}, {"json", true}};
    each->add_option("--format", command.json, "text or json")
        ->transform(CLI::CheckedTransformer(formats, CLI::ignore_case).description(""));
  }
  backup->add_option("--data-dir", command.data_dir, "Data directory of the node, which may be running");
  backup->add_option("--log-encryption-key-file", command.log_key, kLogKeyHelp);
  backup->add_flag("--no-verify", command.unverified, "Do not replay the log over the copy");
  restore->add_option("--data-dir", command.data_dir, "Data directory to make: new or empty");
  restore->add_option("--to", command.to, "A CSN, or a time like \"2026-11-22 03:04:05.678Z\"");
}

void describe_verify(CLI::App& app, VerifyCommand& command) {
  CLI::App* verify = app.add_subcommand("verify", "Look for damage in a data directory or a backup");
  verify->add_option("directory", command.path, "Data directory, also of a node that runs, or a backup");
  verify->add_option("--data-dir", command.data_dir, "Data directory, when no directory is named");
  verify->add_flag("--repair", command.repair, "Repair what can be; the node must be stopped");
  verify->add_option("--from", command.backup, "A backup of the node, to repair from");
  verify->add_option("--log-encryption-key-file", command.log_key, kLogKeyHelp);
  verify->add_option("--scratch", command.scratch, "Folder for scratch files, instead of the system's");
  verify->add_flag("--progress", command.progress, "Tell how far it is, also when this is no terminal");
  const std::map<std::string, bool> formats{{"text", false}, {"json", true}};
  verify->add_option("--format", command.json, "text or json")
      ->transform(CLI::CheckedTransformer(formats, CLI::ignore_case).description(""));
}

// What the environment says, where the command does not.
std::string log_key_of(const std::string& given) {
  if (!given.empty()) return given;
  const auto settings = Settings::load({}, Settings::process_environment());
  return settings ? settings->log_encryption_key_file() : std::string();
}

std::string default_data_dir() {
  const auto settings = Settings::load({}, Settings::process_environment());
  return settings ? settings->data_dir() : Settings().data_dir();
}

void describe(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("bop {}", server::kVersion));
  app.add_subcommand("serve", "Start a node in the foreground (bop serve --help lists the settings)");

  CLI::App* sql = app.add_subcommand("sql", "Run SQL statements, scripts or a prompt against a node");
  sql->add_option("url", arguments.sql.url, "postgresql://user:password@host:port/database");
  sql->add_option("--data-dir", arguments.sql.data_dir, "Data directory of a node on this machine");
  // One value each time: what follows is the URL.
  constexpr auto kAll = CLI::MultiOptionPolicy::TakeAll;
  sql->add_option("-c,--command", arguments.sql.statements, "Statements to run; may be repeated")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(kAll);
  sql->add_option("-f,--file", arguments.sql.files,
                  "A script to run; - is the standard input; may be repeated")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(kAll);
  sql->add_option("-v,--set,--variable", arguments.sql.variables,
                  "NAME=VALUE: a variable, as \\set; may be repeated")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(kAll);
  sql->add_flag("-A,--no-align", arguments.sql.unaligned, "Unaligned answers");
  sql->add_flag("-t,--tuples-only", arguments.sql.tuples_only, "Rows only");
  sql->add_flag("-x,--expanded", arguments.sql.expanded, "Expanded answers");
  sql->add_flag("-q,--quiet", arguments.sql.quiet, "No tags of statements");
  const std::map<std::string, OutputFormat> formats{{"aligned", OutputFormat::kAligned},
                                                    {"unaligned", OutputFormat::kUnaligned},
                                                    {"table", OutputFormat::kTable},
                                                    {"csv", OutputFormat::kCsv},
                                                    {"json", OutputFormat::kJson}};
  sql->add_option("--format", arguments.sql.format, "aligned, unaligned, table, csv or json")
      ->transform(CLI::CheckedTransformer(formats, CLI::ignore_case).description(""));

  CLI::App* status = app.add_subcommand("status", "Tell whether a node serves");
  status->add_option("--data-dir", arguments.status.data_dir, "Data directory of a node on this machine");
  status->add_option("--host", arguments.status.host, "Host of the node");
  status->add_option("--http-port", arguments.status.port, "HTTP port of the node");
  status->add_flag(
      "--link", arguments.status.link,
      "Print the address of the node's page, with the key of --data-dir that shows details on it");

  describe_aof(app, arguments.aof);
  describe_backup(app, arguments.backup);
  describe_verify(app, arguments.verify);
  CLI::App* settings = app.add_subcommand("settings", "Describe all settings");
  settings->add_flag("--markdown", arguments.markdown, "As the table in docs/operations.md");
  app.add_subcommand("version", "Print the version");
  app.add_subcommand("help", "Print this help");
}

bool is_unknown_command(const CLI::App& app, const std::string& word) {
  if (word.starts_with('-')) return false;
  const auto known =
      app.get_subcommands([&](const CLI::App* command) { return command->get_name() == word; });
  return known.empty();
}

int unknown_command(CLI::App& app, std::string_view program, const std::string& word) {
  std::string known;
  for (const CLI::App* command : app.get_subcommands({})) {
    known += (known.empty() ? "" : ", ") + command->get_name();
  }
  fmt::print(
      stderr, "bop: {} the commands of {} are {}\n",
      word.empty() ? std::string("a command is missing:") : fmt::format("there is no command \"{}\":", word),
      program, known);
  return kWrongArgument;
}

int dispatch(CLI::App& app, Arguments& arguments, const std::string& help) {
  if (app.got_subcommand("sql")) {
    if (arguments.sql.data_dir.empty()) arguments.sql.data_dir = default_data_dir();
    return run_sql(arguments.sql);
  }
  if (app.got_subcommand("status")) {
    if (arguments.status.data_dir.empty()) arguments.status.data_dir = default_data_dir();
    return run_status(arguments.status);
  }
  if (app.got_subcommand("backup") || app.got_subcommand("restore")) {
    if (arguments.backup.data_dir.empty()) arguments.backup.data_dir = default_data_dir();
    arguments.backup.log_key = log_key_of(arguments.backup.log_key);
    return app.got_subcommand("backup") ? run_backup(arguments.backup) : run_restore(arguments.backup);
  }
  if (app.got_subcommand("verify")) {
    if (arguments.verify.data_dir.empty()) arguments.verify.data_dir = default_data_dir();
    arguments.verify.log_key = log_key_of(arguments.verify.log_key);
    return run_verify(arguments.verify);
  }
  if (app.got_subcommand("aof")) {
    const CLI::App& aof = *app.get_subcommand("aof");
    arguments.aof.log_key = log_key_of(arguments.aof.log_key);
    if (aof.got_subcommand("stat")) return stat_log(arguments.aof);
    if (aof.got_subcommand("find")) return find_in_log(arguments.aof);
    if (aof.got_subcommand("dump")) return dump_log(arguments.aof);
    if (aof.got_subcommand("tail")) return tail_log(arguments.aof);
    return verify_log(arguments.aof);
  }
  if (app.got_subcommand("settings")) {
    fmt::print("{}", arguments.markdown ? settings_markdown() : settings_help());
  } else if (app.got_subcommand("version")) {
    fmt::print("bop {}\n", server::kVersion);
  } else {
    fmt::print("{}", help);
  }
  return 0;
}

}  // namespace

int run(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words[0] == "serve") return serve({words.begin() + 1, words.end()});
  Arguments arguments;
  CLI::App app("BOP: a database node that speaks PostgreSQL", "bop");
  describe(app, arguments);
  const std::string help = app.help();  // after parsing it would be the help of the command `help`
  if (words.empty()) return unknown_command(app, "bop", "");
  if (is_unknown_command(app, words[0])) return unknown_command(app, "bop", words[0]);
  if (words[0] == "aof" && (words.size() == 1 || is_unknown_command(*app.get_subcommand("aof"), words[1]))) {
    return unknown_command(*app.get_subcommand("aof"), "bop aof", words.size() == 1 ? "" : words[1]);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem);
    return code == 0 ? 0 : kWrongArgument;
  }
  return dispatch(app, arguments, help);
}

}  // namespace bop::cli
