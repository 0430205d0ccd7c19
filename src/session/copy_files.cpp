// COPY with files of the server (files.hpp).
#include <array>
#include <span>

#include "base/disk.hpp"
#include "session/copy_run.hpp"
#include "session/copy_target.hpp"
#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {
constexpr std::size_t kPieceBytes = 256 * 1024;
}

Status PgSession::start_copy_file(Run& run) {
  CopyOut& copy = *run.copy_out;
  const std::string_view name = pg::text(run.statement->node->copy_stmt->filename);
  BOP_LET(file, copy.options.parquet ? files_.create_parquet(name, run.plan->columns) : files_.create(name));
  copy.file = std::move(file);
  return {};
}

void PgSession::send_copied(Run& run, std::string_view bytes) {
  CopyOut& copy = *run.copy_out;
  if (!copy.file) return sink_->copy_data(bytes);
  if (copy.failure) return;
  if (Status written = copy.file->write(bytes); !written) copy.failure = std::move(written).error();
}

void PgSession::send_copied_rows(Run& run, const ResultBatch& batch) {
  CopyOut& copy = *run.copy_out;
  if (copy.failure) return;
  if (Status written = copy.file->write(batch); !written) copy.failure = std::move(written).error();
}

// The whole file in one call: nothing waits for a client here.
Result<Progress> PgSession::copy_from_file(Run& run, std::string_view name) {
  BOP_LET(path, files_.readable(name));
  BOP_LET(file, node_.options().files->open(path, OpenMode::kRead));
  std::string piece(kPieceBytes, '\0');
  std::uint64_t at = 0;
  const auto feed = [&]() -> Status {
    for (;;) {
      BOP_LET(got, file->read_at(ByteOffset(at), std::as_writable_bytes(std::span(piece))));
      if (got == 0) return run.copy_in->source->finish();
      at += got;
      BOP_TRY(run.copy_in->source->feed(std::string_view(piece).substr(0, got)));
      BOP_TRY(checked_interrupt());
    }
  };
  if (Status fed = feed(); !fed) {
    Error why = std::move(fed).error();
    add_copy_context(*run.copy_in, why);
    run.copy_in.reset();
    return std::unexpected(std::move(why));
  }
  BOP_TRY(end_copy_in(run));
  return Progress::kDone;
}

// Columns are found by their names.
Result<Progress> PgSession::copy_from_parquet(Run& run, const CopyTarget& target) {
  const PgQuery__CopyStmt& copy = *run.statement->node->copy_stmt;
  if (copy.where_clause != nullptr)
    return fail(ErrorCode::kNotImplemented, "COPY FROM ... WHERE of a Parquet file is not implemented");
  const std::string columns = column_list(target.columns);
  const std::string text = fmt::format(
      "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM "
      "pg_catalog.read_parquet({})",
      target.name, columns, columns, sql::executor_literal(copy.filename));
  BOP_LET(statements, sql::parse(text));
  auto plan = sql::bind(statements.front(), bind_context());
  if (!plan) {
    Error why = std::move(plan).error();
    why.mut().position = 0;  // in a text of ours
    return std::unexpected(std::move(why));
  }
  run.plan = std::move(*plan);
  run.copies_rows = true;
  return step_copy(run);
}

}  // namespace bop::session
