// A second executor for statements over row tables: what SQLite cannot answer, or would answer slowly.
//
// This header is all that the rest of BOP knows of it. The one implementation is DuckDB behind
// src/executor/duckdb, a module of its own that is loaded when it is first needed (loader.hpp).
//
// What a statement is made of: text in the engine's SQL, the tables it reads (`bop_scan(<index>)`) and the
// functions it calls (`bop_call(<index>, ...)`, or `bop_call_volatile`), each described here. Values travel
// in the representation of docs/formats.md, "Values": dates and times are integers, what has no fixed-width
// form is text. So the engine needs to know nothing of PostgreSQL's types: what compares, adds or prints
// otherwise than their representation is a function.
//
// Threads: an Engine by any; a Running by one at a time, which does its work on a thread of its own beside
// those of the engine. Functions' evaluators are made one a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "rowstore/page_source.hpp"
#include "sql/types/value.hpp"

namespace bop::executor {

enum class Physical : std::uint8_t {
  kBool,
  kInt16,
  kInt32,
  kInt64,
  kFloat,
  kDouble,
  kText,
  kBlob,
  kDecimal,  // precision up to 38, stored as text in tables
};

struct ColumnType {
  Physical physical = Physical::kText;
  std::uint8_t precision = 0;  // of kDecimal
  std::uint8_t scale = 0;
  friend bool operator==(const ColumnType&, const ColumnType&) = default;
};

struct TableColumn {
  std::string name;
  ColumnType type;
  int field = 0;  // of the record; -1: the rowid
  bool not_null = false;
  bool unique = false;
};

struct Table {
  std::vector<TableColumn> columns;
  std::shared_ptr<const rowstore::PageSource> source;
  PageNo root;
  std::uint64_t rows = 0;  // estimated
};

// A call of it may fail; the error is what the statement ends with.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  [[nodiscard]] virtual Result<OwnedValue> call(std::span<const Value> arguments) = 0;
};

struct Function {
  std::vector<ColumnType> arguments;
  ColumnType result;
  bool strict = true;  // NULL in, NULL out, without a call
  std::function<std::unique_ptr<Evaluator>()> make;
};

struct Statement {
  std::string sql;
  std::vector<Table> tables;
  std::vector<Function> functions;
  std::vector<ColumnType> columns;  // of the answer
  // All rows are there, on disk where they are many, before fetch answers the first: the tables may change
  // then. In the order that the text asks for only if it is kept.
  bool whole = false;
  bool keeps_order = false;
  bool reads_files = false;  // what is wrong with the text may be wrong with them
};

class Running {
 public:
  virtual ~Running() = default;
  // More rows behind those in `batch`, which is not cleared; false: there are no more. Waits, and
  // asks `interrupted` at least every 10 ms; an error of it ends the statement.
  using Interrupted = std::function<Status()>;
  [[nodiscard]] virtual Result<bool> fetch(ResultBatch& batch, const Interrupted& interrupted) = 0;
};

// A Parquet file that is written: its rows are gathered (and spilled), then written at once.
struct FileToWrite {
  struct Column {
    std::string name;  // in quotes
    ColumnType held;   // as appended, in the representation of tables; held as c0, c1...
    std::string form;  // what is written, of c<i>
  };
  std::string path;
  std::vector<Column> columns;
};

class Writer {
 public:
  virtual ~Writer() = default;
  [[nodiscard]] virtual Status append(const ResultBatch& rows) = 0;
  // Writes the file. Uses the calling thread.
  [[nodiscard]] virtual Status finish() = 0;
};

struct EngineOptions {
  std::string files_directory;  // canonical; below it files may be read and written. Empty: none
  std::string temp_directory;   // where large statements spill; empty: they may not
  std::uint64_t memory_limit = 0;
  std::uint64_t temp_limit = 0;
  std::uint64_t column_cache = 0;  // bytes of columns of tables to keep decoded (column_cache.hpp)
  std::size_t threads = 1;
  int niceness = 0;  // of its threads: how far they stand back behind others, 0 to 19
};

class Engine {
 public:
  virtual ~Engine() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<Running>> start(Statement statement) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Writer>> write(FileToWrite file) = 0;
  // The plan as the engine's JSON: an array of nodes with `name`, `children` and `extra_info`, which of a
  // scan names the index of its `Table` in the statement.
  [[nodiscard]] virtual Result<std::string> explain(Statement statement) = 0;

  struct Numbers {
    std::uint64_t statements = 0;
    std::uint64_t rebuilt = 0;  // after an internal error
    std::uint64_t memory_bytes = 0;
    std::uint64_t temp_bytes = 0;
    std::uint64_t column_bytes = 0;  // kept decoded
    std::uint64_t column_hits = 0;   // lots of leaves read from there
    std::uint64_t column_misses = 0;
  };
  [[nodiscard]] virtual Numbers numbers() = 0;
  // Memory is short: forgets what is kept decoded. False: that was nothing.
  virtual bool give_back() = 0;
};

// What the module exports, as `bop_make_engine`.
using MakeEngine = Result<std::unique_ptr<Engine>> (*)(const EngineOptions&);

}  // namespace bop::executor
