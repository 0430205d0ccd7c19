#include "session/files.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <span>

#include <fmt/format.h>

#include "base/disk.hpp"
#include "executor/file_types.hpp"
#include "executor/translate.hpp"
#include "session/node.hpp"

namespace bop::session {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPatterns = "*?[]{}";

std::unexpected<Error> no_file(std::string_view name, std::string_view what, const std::error_code& why) {
  const bool missing = why == std::errc::no_such_file_or_directory || why == std::errc::not_a_directory;
  return fail(missing ? ErrorCode::kFileNotFound : ErrorCode::kIo, "could not open file \"{}\" for {}: {}",
              name, what, missing ? "No such file or directory" : why.message());
}

std::unexpected<Error> outside(std::string_view name) {
  return std::unexpected(error(ErrorCode::kInsufficientPrivilege, "permission denied for file \"{}\"", name)
                             .detail("It does not lie below the folder of the setting files_directory."));
}

// Neither the end of a name nor a pattern of the second executor.
Status check_name(std::string_view name) {
  if (name.empty() || name.find('\0') != std::string_view::npos)
    return fail(ErrorCode::kInvalidArgument, "the name of a file must not be empty");
  if (name.find_first_of(kPatterns) != std::string_view::npos) {
    return fail(ErrorCode::kNotImplemented, "names of several files (\"{}\") are not implemented", name);
  }
  return {};
}

bool is_below(const fs::path& path, const fs::path& folder) {
  const auto [end, rest] = std::ranges::mismatch(folder, path);
  return end == folder.end() && rest != path.end();
}

// Text, CSV and binary COPY: beside its name until it is complete.
class PlainFile final : public CopyFile {
 public:
  PlainFile(Disk& disk, std::string path, std::unique_ptr<File> file)
      : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
  ~PlainFile() override {
    if (!file_) return;
    const std::string name = file_->path();
    file_.reset();
    (void)disk_.remove(name);
  }
  Status write(std::string_view bytes) override {
    held_ += bytes;
    return held_.size() < kHeld ? Status{} : flush();
  }
  Status write(const ResultBatch&) override { return fail(ErrorCode::kInternal, "rows belong into Parquet"); }
  Status finish() override {
    BOP_TRY(flush());
    BOP_TRY(file_->sync());
    const std::string name = file_->path();
    file_.reset();
    return disk_.rename(name, path_);
  }

 private:
  static constexpr std::size_t kHeld = 256 * 1024;
  Status flush() {
    BOP_TRY(file_->write_at(ByteOffset(at_), std::as_bytes(std::span(held_))));
    at_ += held_.size();
    held_.clear();
    return {};
  }
  Disk& disk_;
  std::string path_;
  std::unique_ptr<File> file_;
  std::string held_;
  std::uint64_t at_ = 0;
};

class ParquetFile final : public CopyFile {
 public:
  ParquetFile(Disk& disk, std::string path, std::string beside, std::unique_ptr<executor::Writer> writer)
      : disk_(disk), path_(std::move(path)), beside_(std::move(beside)), writer_(std::move(writer)) {}
  ~ParquetFile() override {
    if (finished_) return;
    writer_.reset();
    if (const auto there = disk_.exists(beside_); there && *there) (void)disk_.remove(beside_);
  }
  Status write(std::string_view) override { return fail(ErrorCode::kInternal, "Parquet is made of rows"); }
  Status write(const ResultBatch& rows) override { return writer_->append(rows); }
  Status finish() override {
    BOP_TRY(writer_->finish());
    finished_ = true;
    return disk_.rename(beside_, path_);
  }

 private:
  Disk& disk_;
  std::string path_;
  std::string beside_;
  std::unique_ptr<executor::Writer> writer_;
  bool finished_ = false;
};

// What a crash leaves of it is nobody's file.
std::string beside(const std::string& path, Clock& clock) {
  static std::atomic<std::uint64_t> number{0};
  return fmt::format("{}.part-{:x}-{}", path, clock.steady_ns(), ++number);
}

}  // namespace

Status SessionFiles::check_right(std::string_view what) const {
  if (!owner_.is_superuser()) {
    return std::unexpected(
        error(ErrorCode::kInsufficientPrivilege, "must be superuser to {}", what)
            .hint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone."));
  }
  if (owner_.node->options().engine.files_directory.empty() || owner_.node->options().files == nullptr) {
    return std::unexpected(error(ErrorCode::kNotImplemented,
                                 "to {} is not implemented while the setting files_directory is empty", what)
                               .hint("COPY ... FROM STDIN and TO STDOUT need no files of the server."));
  }
  return {};
}

Result<std::string> SessionFiles::directory() const {
  std::error_code why;
  const fs::path folder = fs::canonical(owner_.node->options().engine.files_directory, why);
  if (why) return no_file(owner_.node->options().engine.files_directory, "reading", why);
  return folder.string();
}

Result<std::string> SessionFiles::readable(std::string_view name) const {
  BOP_TRY(check_name(name));
  BOP_LET(folder, directory());
  std::error_code why;
  const fs::path path = fs::canonical(fs::path(folder) / fs::path(name), why);
  // What is outside is told nothing of, not even whether it is there.
  if (why) {
    const fs::path near = fs::weakly_canonical(fs::path(folder) / fs::path(name)).lexically_normal();
    if (!is_below(near, folder)) return outside(name);
    return no_file(name, "reading", why);
  }
  if (!is_below(path, folder)) return outside(name);
  if (!fs::is_regular_file(path, why))
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a regular file", name);
  BOP_TRY(check_name(path.string()));
  return path.string();
}

Result<std::string> SessionFiles::writable(std::string_view name) const {
  BOP_TRY(check_name(name));
  BOP_LET(folder, directory());
  const fs::path wanted = fs::path(folder) / fs::path(name);
  std::error_code why;
  const fs::path parent = fs::canonical(wanted.parent_path(), why);
  if (why) {
    const fs::path near = fs::weakly_canonical(wanted.parent_path()).lexically_normal();
    if (near != fs::path(folder) && !is_below(near, folder)) return outside(name);
    return no_file(name, "writing", why);
  }
  if (parent != fs::path(folder) && !is_below(parent, folder)) return outside(name);
  const std::string last = wanted.filename().string();
  if (last.empty() || last == "." || last == "..") return outside(name);
  const fs::path path = parent / last;
  const fs::file_status there = fs::symlink_status(path, why);
  if (fs::is_symlink(there)) return outside(name);
  if (fs::exists(there) && !fs::is_regular_file(there))
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a regular file", name);
  BOP_TRY(check_name(path.string()));
  return path.string();
}

Result<std::unique_ptr<CopyFile>> SessionFiles::create(std::string_view name) const {
  BOP_LET(path, writable(name));
  Disk& disk = *owner_.node->options().files;
  BOP_LET(file, disk.open(beside(path, *owner_.node->options().clock), OpenMode::kCreate));
  return std::make_unique<PlainFile>(disk, path, std::move(file));
}

Result<std::unique_ptr<CopyFile>> SessionFiles::create_parquet(
    std::string_view name, const std::vector<sql::OutputColumn>& columns) const {
  BOP_LET(path, writable(name));
  const std::string part = beside(path, *owner_.node->options().clock);
  executor::FileToWrite file{.path = part, .columns = {}};
  for (const sql::OutputColumn& column : columns) {
    const std::string held = fmt::format("c{}", file.columns.size());
    BOP_LET(written, executor::written_column(column.type, column.typmod, held));
    file.columns.push_back(
        {.name = sql::executor_name(column.name),
         .held = executor::column_type(column.type, column.typmod).value_or(executor::ColumnType{}),
         .form = fmt::format("CAST({} AS {})", written.form, written.type)});
  }
  if (file.columns.empty())
    return fail(ErrorCode::kNotImplemented, "Parquet without columns is not implemented");
  BOP_LET(engine, owner_.node->engine());
  BOP_LET(writer, engine->write(std::move(file)));
  return std::make_unique<ParquetFile>(*owner_.node->options().files, path, part, std::move(writer));
}

Result<std::string> SessionFiles::query(const sql::FileTable& table, const std::vector<bool>& used) {
  BOP_TRY(check_right(fmt::format("use {}", sql::name_of(table.request.kind))));
  BOP_LET(path, readable(table.request.name));
  return sql::file_query(table, path, used);
}

Result<std::shared_ptr<const sql::FileTable>> SessionFiles::describe(sql::FileRequest request) {
  BOP_TRY(check_right(fmt::format("use {}", sql::name_of(request.kind))));
  BOP_LET(path, readable(request.name));
  BOP_LET(engine, owner_.node->engine());
  executor::Statement statement;
  statement.sql = fmt::format("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {})",
                              sql::file_source(request, path));
  statement.columns.resize(2);
  statement.reads_files = true;
  BOP_LET(running, engine->start(std::move(statement)));
  auto table = std::make_shared<sql::FileTable>();
  table->request = std::move(request);
  for (bool more = true; more;) {
    ResultBatch batch(2);
    BOP_LET(fetched, running->fetch(batch, owner_.interrupted));
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      BOP_LET(column, executor::file_column(std::string(batch.cell(row, 0).bytes), batch.cell(row, 1).bytes));
      table->columns.push_back(std::move(column));
    }
    more = fetched;
  }
  if (table->columns.size() > static_cast<std::size_t>(kMostFileColumns)) {
    return fail(ErrorCode::kTooManyColumns, "file \"{}\" has {} columns; at most {} can be read",
                table->request.name, table->columns.size(), kMostFileColumns);
  }
  return table;
}

Result<FileRows> SessionFiles::open(std::string_view token, std::uint64_t used) {
  BOP_LET(table, sql::parse_file_token(token));
  std::vector<bool> wanted;
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    wanted.push_back((used >> std::min<std::size_t>(i, 63) & 1) != 0);
  executor::Statement statement;
  BOP_LET(text, query(table, wanted));
  statement.sql = std::move(text);
  for (const sql::FileColumn& column : table.columns)
    statement.columns.push_back(
        executor::column_type(column.type, column.typmod).value_or(executor::ColumnType{}));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i]) statement.columns[i] = {.physical = executor::Physical::kInt32};
  }
  statement.reads_files = true;
  const std::size_t columns = statement.columns.size();
  BOP_LET(engine, owner_.node->engine());
  BOP_LET(running, engine->start(std::move(statement)));
  return FileRows([this, running = std::move(running), batch = ResultBatch(columns), at = std::size_t{0},
                   columns](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    while (at == batch.rows()) {
      batch.reset(columns);
      at = 0;
      BOP_LET(more, running->fetch(batch, owner_.interrupted));
      if (!more) return false;
    }
    row.clear();
    for (std::size_t i = 0; i < columns; ++i) row.emplace_back(batch.cell(at, i));
    ++at;
    return true;
  });
}

}  // namespace bop::session
