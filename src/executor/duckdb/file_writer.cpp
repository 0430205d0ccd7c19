// Parquet files: rows are appended to a temporary table of DuckDB, which may spill, and written from it at
// once.
#include <duckdb/common/error_data.hpp>
#include <duckdb/main/appender.hpp>
#include <duckdb/main/connection.hpp>

#include <fmt/format.h>

#include "executor/duckdb/statement_state.hpp"
#include "executor/duckdb/values.hpp"

namespace bop::executor {

namespace {

class DuckWriter final : public Writer {
 public:
  DuckWriter(std::shared_ptr<duckdb::DuckDB> database, FileToWrite file, Explain explain)
      : database_(std::move(database)),
        file_(std::move(file)),
        explain_(std::move(explain)),
        connection_(*database_) {}

  Status start() {
    return guarded([&]() -> Status {
      std::string columns;
      duckdb::vector<duckdb::LogicalType> types;
      for (std::size_t i = 0; i < file_.columns.size(); ++i) {
        types.push_back(logical_type(file_.columns[i].held));
        columns += fmt::format("{}c{} {}", i > 0 ? ", " : "", i, types.back().ToString());
      }
      BOP_TRY(run(fmt::format("CREATE TEMP TABLE bop_rows({})", columns)));
      appender_ = std::make_unique<duckdb::Appender>(connection_, "temp", "main", "bop_rows");
      chunk_.Initialize(duckdb::Allocator::DefaultAllocator(), types);
      return {};
    });
  }

  Status append(const ResultBatch& rows) override {
    return guarded([&]() -> Status {
      for (std::size_t row = 0; row < rows.rows(); ++row) {
        const duckdb::idx_t at = chunk_.size();
        for (std::size_t i = 0; i < file_.columns.size(); ++i) {
          if (!store_value(rows.cell(row, i), file_.columns[i].held, chunk_.data[i], at)) {
            return fail(ErrorCode::kNumericOutOfRange, "a value of column {} has no form in Parquet",
                        file_.columns[i].name);
          }
        }
        chunk_.SetCardinality(at + 1);
        if (chunk_.size() == STANDARD_VECTOR_SIZE) flush();
      }
      return {};
    });
  }

  Status finish() override {
    return guarded([&]() -> Status {
      flush();
      appender_->Close();
      appender_.reset();
      std::string forms;
      for (const auto& column : file_.columns)
        forms += fmt::format("{}{} AS {}", forms.empty() ? "" : ", ", column.form, column.name);
      return run(
          fmt::format("COPY (SELECT {} FROM bop_rows) TO {} (FORMAT parquet)", forms, quoted(file_.path)));
    });
  }

 private:
  static std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
      if (c == '\'') out += '\'';
      out += c;
    }
    return out += '\'';
  }

  void flush() {
    if (chunk_.size() == 0) return;
    appender_->AppendDataChunk(chunk_);
    chunk_.Reset();
  }

  Status run(const std::string& sql) {
    auto result = connection_.Query(sql);
    if (result->HasError()) return std::unexpected(explain_(result->GetErrorObject()));
    return {};
  }

  template <class F>
  Status guarded(F&& f) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kOutOfMemory, "out of memory in the second executor");
    } catch (const std::exception& e) {
      return std::unexpected(explain_(duckdb::ErrorData(e)));
    }
  }

  std::shared_ptr<duckdb::DuckDB> database_;
  FileToWrite file_;
  Explain explain_;
  duckdb::Connection connection_;
  std::unique_ptr<duckdb::Appender> appender_;
  duckdb::DataChunk chunk_;
};

}  // namespace

Result<std::unique_ptr<Writer>> make_writer(const std::shared_ptr<duckdb::DuckDB>& database, FileToWrite file,
                                            Explain explain) {
  try {
    auto writer = std::make_unique<DuckWriter>(database, std::move(file), explain);
    BOP_TRY(writer->start());
    return std::unique_ptr<Writer>(std::move(writer));
  } catch (const std::exception& e) {
    return std::unexpected(explain(duckdb::ErrorData(e)));
  }
}

}  // namespace bop::executor
