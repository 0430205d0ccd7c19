// What a running statement has that DuckDB's callbacks must find: its tables, functions and errors.
#pragma once

#include <duckdb/common/exception.hpp>
#include <duckdb/main/client_context.hpp>
#include <duckdb/main/client_context_state.hpp>
#include <duckdb/main/database.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "executor/column_cache.hpp"
#include "executor/engine.hpp"

namespace bop::executor {

class StatementState final : public duckdb::ClientContextState {
 public:
  // `columns`: null where none are kept.
  StatementState(Statement made, ColumnCache* columns) : statement(std::move(made)), cache(columns) {}

  static constexpr const char* kName = "bop";
  static StatementState& of(duckdb::ClientContext& context) {
    auto state = context.registered_state->Get<StatementState>(kName);
    if (!state) throw duckdb::InvalidInputException("no statement of BOP runs here");
    return *state;
  }

  // DuckDB's exceptions carry text only, and its optimizer tries expressions whose errors never matter: so
  // ours are kept here and told by number.
  [[noreturn]] void fail_with(Error error) {
    std::size_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = errors_.size();
      errors_.push_back(std::move(error));
    }
    throw duckdb::InvalidInputException(std::string(kTag) + std::to_string(number) + ";");
  }
  // Our error that DuckDB's text tells of.
  [[nodiscard]] std::optional<Error> told(std::string_view text) {
    const std::size_t at = text.find(kTag);
    if (at == std::string_view::npos) return std::nullopt;
    std::size_t number = 0;
    for (std::size_t i = at + kTag.size(); i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i)
      number = number * 10 + static_cast<std::size_t>(text[i] - '0');
    const std::lock_guard lock(mutex_);
    if (number >= errors_.size()) return std::nullopt;
    return errors_[number];
  }

  const Statement statement;
  ColumnCache* const cache;

 private:
  static constexpr std::string_view kTag = "bop-error-";
  std::mutex mutex_;
  std::vector<Error> errors_;
};

// file_writer.cpp
using Explain = std::function<Error(const duckdb::ErrorData&)>;
[[nodiscard]] Result<std::unique_ptr<Writer>> make_writer(const std::shared_ptr<duckdb::DuckDB>& database,
                                                          FileToWrite file, Explain explain);
void register_scan(duckdb::DatabaseInstance& database);   // table_scan.cpp
void register_calls(duckdb::DatabaseInstance& database);  // function_call.cpp

}  // namespace bop::executor
