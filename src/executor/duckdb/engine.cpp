// The engine: one DuckDB in memory, a connection a statement, errors in PostgreSQL's words.
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <duckdb/common/error_data.hpp>
#include <duckdb/main/config.hpp>
#include <duckdb/main/connection.hpp>
#include <duckdb/main/database.hpp>
#include <duckdb/main/materialized_query_result.hpp>
#include <duckdb/main/pending_query_result.hpp>
#include <duckdb/main/stream_query_result.hpp>
#include <duckdb/storage/buffer_manager.hpp>
#include <exception>
#include <future>
#include <thread>

#include "executor/duckdb/statement_state.hpp"
#include "executor/duckdb/values.hpp"

namespace bop::executor {

namespace {

// The commit that library and headers were made of; another library of the same name is refused.
constexpr std::string_view kSourceId = "069cc9f9b5";

using duckdb::ExceptionType;
using DatabasePtr = std::shared_ptr<duckdb::DuckDB>;

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

Error overflow(std::string_view text) {
  const std::string_view type = has(text, "INT16") ? "smallint" : has(text, "INT32") ? "integer" : "bigint";
  if (has(text, "DECIMAL") || has(text, "INT128") || has(text, "HUGEINT")) {
    return error(ErrorCode::kNotImplemented,
                 "a number of this statement is too large for the second executor");
  }
  return error(ErrorCode::kNumericOutOfRange, "{} out of range", type);
}

bool breaks(const duckdb::ErrorData& error_data) {
  return error_data.Type() == ExceptionType::INTERNAL || error_data.Type() == ExceptionType::FATAL;
}

// What is wrong with a file, or with its having changed since the statement was bound.
std::optional<Error> file_error(const duckdb::ErrorData& error_data) {
  const std::string& text = error_data.RawMessage();
  switch (error_data.Type()) {
    case ExceptionType::INTERRUPT:
    case ExceptionType::OUT_OF_MEMORY:
    case ExceptionType::NOT_IMPLEMENTED: return std::nullopt;
    case ExceptionType::IO: return error(ErrorCode::kIo, "the file cannot be read: {}", first_line(text));
    case ExceptionType::PERMISSION: return error(ErrorCode::kInsufficientPrivilege, "{}", first_line(text));
    default: return error(ErrorCode::kBadCopyFormat, "the file does not fit: {}", first_line(text));
  }
}

Error translate(const duckdb::ErrorData& error_data, StatementState* state) {
  const std::string& text = error_data.RawMessage();
  if (state != nullptr) {
    if (auto own = state->told(text)) return std::move(*own);
  }
  if (has(text, "More than one row returned by a subquery")) {
    return error(ErrorCode::kCardinalityViolation,
                 "more than one row returned by a subquery used as an expression");
  }
  if (state != nullptr && state->statement.reads_files && !breaks(error_data)) {
    if (auto why = file_error(error_data)) return std::move(*why);
  }
  // Some come wrapped in the words of another.
  ExceptionType type = error_data.Type();
  if (type == ExceptionType::INVALID_INPUT) {
    if (has(text, "Out of Range Error")) type = ExceptionType::OUT_OF_RANGE;
    if (has(text, "Conversion Error")) type = ExceptionType::CONVERSION;
    if (has(text, "Out of Memory Error")) type = ExceptionType::OUT_OF_MEMORY;
    if (has(text, "INTERRUPT Error")) type = ExceptionType::INTERRUPT;
  }
  switch (type) {
    case ExceptionType::OUT_OF_RANGE:
    case ExceptionType::CONVERSION: return overflow(text);
    case ExceptionType::INTERRUPT:
      return error(ErrorCode::kCancelled, "canceling statement due to user request");
    case ExceptionType::OUT_OF_MEMORY:
      return has(text, "max_temp_directory_size") || has(text, "temporary")
                 ? error(ErrorCode::kDiskFull,
                         "the statement needs more temporary space than it may have: {}", first_line(text))
                 : error(ErrorCode::kOutOfMemory, "the statement needs more memory than it may have: {}",
                         first_line(text))
                       .hint("The limit of all statements together is the setting engine_memory.");
    case ExceptionType::IO: return error(ErrorCode::kIo, "{}", text);
    case ExceptionType::INTERNAL:
    case ExceptionType::FATAL: return error(ErrorCode::kInternal, "the second executor failed: {}", text);
    case ExceptionType::NOT_IMPLEMENTED:
      return error(ErrorCode::kNotImplemented, "the second executor cannot do this: {}", first_line(text));
    // It refuses words that we have written.
    default: return error(ErrorCode::kInternal, "the second executor refuses a statement: {}", text);
  }
}

struct Shared {
  explicit Shared(const EngineOptions& o) : options(o), columns(o.column_cache) {}
  const EngineOptions options;
  ColumnCache columns;
  std::mutex mutex;
  DatabasePtr database;  // under mutex
  std::atomic<std::uint64_t> statements{0};
  std::atomic<std::uint64_t> rebuilt{0};

  // An internal error leaves a DuckDB that answers nothing any more: the next statement gets another one.
  void broken(const DatabasePtr& which) {
    const std::lock_guard lock(mutex);
    if (database != which) return;
    database.reset();
    ++rebuilt;
  }
};

// The calling thread becomes one of the engine's, and so do those that it starts: seen as such from outside,
// and as nice as the setting engine_nice says.
void join_engine(int niceness) {
  ::pthread_setname_np(::pthread_self(), "engine");
  if (niceness > 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness);
}

DatabasePtr open_database(const EngineOptions& options) {
  duckdb::DBConfig config;
  config.options.maximum_threads = options.threads;
  const auto set = [&](const char* name, duckdb::Value value) { config.SetOptionByName(name, value); };
  if (options.memory_limit > 0)
    set("memory_limit", duckdb::Value(std::to_string(options.memory_limit) + "B"));
  set("temp_directory", duckdb::Value(options.temp_directory));
  if (options.temp_limit > 0)
    set("max_temp_directory_size", duckdb::Value(std::to_string(options.temp_limit) + "B"));
  set("autoinstall_known_extensions", duckdb::Value::BOOLEAN(false));
  set("autoload_known_extensions", duckdb::Value::BOOLEAN(false));
  set("preserve_insertion_order", duckdb::Value::BOOLEAN(false));
  // Keys of a join's smaller side that its other side is asked for by list; the scan looks them up in a set.
  set("dynamic_or_filter_threshold", duckdb::Value::UBIGINT(4096));
  // It turns sum(x + 1) into sum(x) + count(x), which does not overflow where x + 1 does.
  set("disabled_optimizers", duckdb::Value("sum_rewriter"));
  auto database = std::make_shared<duckdb::DuckDB>(":memory:", &config);
  // The one exception can be made of a running database only, and only before what is outside is forbidden.
  std::string closing;
  if (!options.files_directory.empty()) {
    const duckdb::Value directory(options.files_directory);
    closing = "SET allowed_directories = [" + directory.ToSQLString() + "]; ";
  }
  closing += "SET enable_external_access = false; SET lock_configuration = true";
  duckdb::Connection connection(*database);
  if (auto closed = connection.Query(closing); closed->HasError()) closed->ThrowError();
  register_scan(*database->instance);
  register_calls(*database->instance);
  return database;
}

class DuckRunning final : public Running {
 public:
  DuckRunning(std::shared_ptr<Shared> shared, DatabasePtr database, Statement statement)
      : shared_(std::move(shared)),
        database_(std::move(database)),
        state_(duckdb::make_shared_ptr<StatementState>(std::move(statement), cache_of(*shared_))),
        connection_(std::make_unique<duckdb::Connection>(*database_)) {
    connection_->context->registered_state->Insert(StatementState::kName, state_);
  }
  // Threads of DuckDB, and this one while it waits for them, run our callbacks until the connection is gone:
  // what those look at outlives it.
  ~DuckRunning() override {
    end_worker();
    result_.reset();
    pending_.reset();
    connection_->Interrupt();
    connection_.reset();
  }

  Status start() {
    return guarded([&]() -> Status {
      return begin(state_->statement.whole ? "CREATE TEMP TABLE bop_rows AS " + state_->statement.sql
                                           : state_->statement.sql);
    });
  }

  Result<std::string> explain() {
    std::string out;
    BOP_TRY(guarded([&]() -> Status {
      auto result = connection_->Query("EXPLAIN (FORMAT json) " + state_->statement.sql);
      if (result->HasError()) return failed(result->GetErrorObject());
      out = result->GetValue(1, 0).ToString();
      return {};
    }));
    return out;
  }

  Result<bool> fetch(ResultBatch& batch, const Interrupted& interrupted) override {
    bool more = false;
    auto done = guarded([&]() -> Status {
      BOP_LET(chunk, next_chunk(interrupted));
      if (!chunk || chunk->size() == 0) return {};
      append(*chunk, batch);
      more = true;
      return {};
    });
    if (!done) {
      connection_->Interrupt();
      return std::unexpected(std::move(done).error());
    }
    return more;
  }

 private:
  static ColumnCache* cache_of(Shared& shared) {
    return shared.options.column_cache > 0 ? &shared.columns : nullptr;
  }
  Status begin(const std::string& sql) {
    pending_ = connection_->PendingQuery(sql, duckdb::QueryResultOutputType::ALLOW_STREAMING);
    if (pending_->HasError()) return failed(pending_->GetErrorObject());
    return {};
  }

  Status failed(const duckdb::ErrorData& error_data) {
    if (breaks(error_data)) shared_->broken(database_);
    return std::unexpected(translate(error_data, state_.get()));
  }

  template <class F>
  Status guarded(F&& f) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kOutOfMemory, "out of memory in the second executor");
    } catch (const std::exception& e) {
      // What is asked of a result that has failed meanwhile throws something of its own.
      if (result_ && result_->HasError()) return failed(result_->GetErrorObject());
      if (pending_ && pending_->HasError()) return failed(pending_->GetErrorObject());
      return failed(duckdb::ErrorData(e));
    }
  }

  Result<duckdb::unique_ptr<duckdb::DataChunk>> next_chunk(const Interrupted& interrupted) {
    BOP_TRY(execute(interrupted));
    if (state_->statement.whole && !std::exchange(is_stored_, true)) {
      result_.reset();
      BOP_TRY(begin(state_->statement.keeps_order ? "SELECT * FROM bop_rows ORDER BY rowid"
                                                  : "SELECT * FROM bop_rows"));
      BOP_TRY(execute(interrupted));
    }
    if (result_->type == duckdb::QueryResultType::STREAM_RESULT) {
      BOP_TRY(interrupted());
      auto& stream = result_->Cast<duckdb::StreamQueryResult>();
      auto progress = duckdb::StreamExecutionResult::CHUNK_NOT_READY;
      if (is_finished_) {
        progress = work(stream);
      } else {
        BOP_TRY(aside([&] { progress = work(stream); }, interrupted));
      }
      if (progress == duckdb::StreamExecutionResult::EXECUTION_ERROR)
        return std::unexpected(failed(stream.GetErrorObject()).error());
    }
    auto chunk = result_->Fetch();
    if (result_->HasError()) return std::unexpected(failed(result_->GetErrorObject()).error());
    return chunk;
  }

  // Until there is a result, maybe one that streams.
  Status execute(const Interrupted& interrupted) {
    if (result_) return {};
    BOP_TRY(interrupted());
    auto progress = duckdb::PendingExecutionResult::RESULT_NOT_READY;
    BOP_TRY(aside([&] { progress = work(*pending_); }, interrupted));
    if (progress == duckdb::PendingExecutionResult::EXECUTION_ERROR)
      return failed(pending_->GetErrorObject());
    is_finished_ = progress == duckdb::PendingExecutionResult::EXECUTION_FINISHED;
    result_ = pending_->Execute();
    if (result_->HasError()) return failed(result_->GetErrorObject());
    return {};
  }
  duckdb::PendingExecutionResult work(duckdb::PendingQueryResult& pending) {
    for (;;) {
      const auto progress = pending.ExecuteTask();
      if (progress == duckdb::PendingExecutionResult::EXECUTION_ERROR ||
          duckdb::PendingQueryResult::IsResultReady(progress))
        return progress;
      if (progress != duckdb::PendingExecutionResult::RESULT_NOT_READY) wait_a_little(pending);
    }
  }
  // Until a chunk is ready, there are none left, or an error.
  duckdb::StreamExecutionResult work(duckdb::StreamQueryResult& stream) {
    for (;;) {
      const auto progress = stream.ExecuteTask();
      if (progress == duckdb::StreamExecutionResult::EXECUTION_ERROR ||
          duckdb::StreamQueryResult::IsChunkReady(progress))
        return progress;
      if (progress != duckdb::StreamExecutionResult::CHUNK_NOT_READY) wait_a_little(stream);
    }
  }
  // For tasks that others are at. (DuckDB waits for those only that are blocked.)
  template <class Waited>
  void wait_a_little(Waited& result) {
    constexpr std::chrono::microseconds kPause{50};
    if (connection_->context->interrupted) throw duckdb::InterruptException();
    result.WaitForTask();
    std::this_thread::sleep_for(kPause);
  }

  // Does the work on a thread of its own, beside DuckDB's, so that a statement goes on whatever the others
  // do: a single task may take minutes, and whoever waits for it asks meanwhile whether it should.
  Status aside(std::function<void()> work_to_do, const Interrupted& interrupted) {
    constexpr std::chrono::milliseconds kBetweenQuestions{10};
    std::unique_lock lock(worker_mutex_);
    if (!worker_.joinable()) worker_ = std::thread([this] { work_on_demand(); });
    work_ = std::move(work_to_do);
    work_failure_ = nullptr;
    worker_changed_.notify_all();
    const auto is_done = [this] { return !work_; };
    while (!worker_changed_.wait_for(lock, kBetweenQuestions, is_done)) {
      lock.unlock();
      Status go_on = interrupted();
      if (!go_on) connection_->Interrupt();
      lock.lock();
      if (!go_on) {
        worker_changed_.wait(lock, is_done);
        return go_on;
      }
    }
    if (work_failure_) std::rethrow_exception(std::exchange(work_failure_, nullptr));
    return {};
  }
  void work_on_demand() {
    join_engine(shared_->options.niceness);
    std::unique_lock lock(worker_mutex_);
    for (;;) {
      worker_changed_.wait(lock, [this] { return work_ || worker_ends_; });
      if (!work_) return;
      lock.unlock();
      std::exception_ptr failure;
      try {
        work_();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      work_ = nullptr;
      work_failure_ = std::move(failure);
      worker_changed_.notify_all();
    }
  }
  void end_worker() {
    if (!worker_.joinable()) return;
    {
      const std::lock_guard lock(worker_mutex_);
      worker_ends_ = true;
    }
    worker_changed_.notify_all();
    worker_.join();
  }

  void append(duckdb::DataChunk& chunk, ResultBatch& batch) const {
    const auto& columns = state_->statement.columns;
    if (columns.empty()) {
      for (duckdb::idx_t row = 0; row < chunk.size(); ++row) batch.append_empty_row();
      return;
    }
    std::vector<CellReader> readers;
    readers.reserve(columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i)
      readers.emplace_back(chunk.data[i], chunk.size(), columns[i]);
    for (duckdb::idx_t row = 0; row < chunk.size(); ++row) {
      for (CellReader& reader : readers) batch.append(reader.read(row));
    }
  }

  std::shared_ptr<Shared> shared_;
  DatabasePtr database_;
  duckdb::shared_ptr<StatementState> state_;
  std::unique_ptr<duckdb::Connection> connection_;
  duckdb::unique_ptr<duckdb::PendingQueryResult> pending_;
  duckdb::unique_ptr<duckdb::QueryResult> result_;
  bool is_stored_ = false;
  bool is_finished_ = false;  // what streams has been computed

  std::mutex worker_mutex_;
  std::condition_variable worker_changed_;
  std::function<void()> work_;  // to be done, or under way
  std::exception_ptr work_failure_;
  bool worker_ends_ = false;
  std::thread worker_;
};

class DuckEngine final : public Engine {
 public:
  explicit DuckEngine(const EngineOptions& options) : shared_(std::make_shared<Shared>(options)) {}

  Status check() {
    if (!has(duckdb::DuckDB::SourceID(), kSourceId)) {
      return fail(ErrorCode::kConfigInvalid, "the library of DuckDB is of source {}, not {}",
                  duckdb::DuckDB::SourceID(), kSourceId);
    }
    BOP_TRY(database());
    return {};
  }

  Result<std::unique_ptr<Running>> start(Statement statement) override {
    BOP_LET(running, make(std::move(statement)));
    BOP_TRY(running->start());
    ++shared_->statements;
    return std::unique_ptr<Running>(std::move(running));
  }

  Result<std::unique_ptr<Writer>> write(FileToWrite file) override {
    BOP_LET(ready, database());
    return make_writer(ready, std::move(file), [shared = shared_, ready](const duckdb::ErrorData& why) {
      if (breaks(why)) shared->broken(ready);
      return translate(why, nullptr);
    });
  }

  Result<std::string> explain(Statement statement) override {
    BOP_LET(running, make(std::move(statement)));
    return running->explain();
  }

  Numbers numbers() override {
    const ColumnCache::Numbers columns = shared_->columns.numbers();
    Numbers out{.statements = shared_->statements,
                .rebuilt = shared_->rebuilt,
                .column_bytes = columns.bytes,
                .column_hits = columns.hits,
                .column_misses = columns.misses};
    DatabasePtr database;
    {
      const std::lock_guard lock(shared_->mutex);
      database = shared_->database;
    }
    if (database) {
      auto& buffers = duckdb::BufferManager::GetBufferManager(*database->instance);
      out.memory_bytes = buffers.GetUsedMemory();
      out.temp_bytes = buffers.GetUsedSwap();
    }
    return out;
  }
  bool give_back() override { return shared_->columns.clear(); }

 private:
  Result<DatabasePtr> database() {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->database) {
      try {
        // DuckDB's threads are as nice as the one that starts them, which could not become as it was again.
        shared_->database = std::async(std::launch::async, [this] {
                              join_engine(shared_->options.niceness);
                              return open_database(shared_->options);
                            }).get();
      } catch (const std::exception& e) {
        return fail(ErrorCode::kInternal, "the second executor does not start: {}",
                    duckdb::ErrorData(e).Message());
      }
    }
    return shared_->database;
  }

  Result<std::unique_ptr<DuckRunning>> make(Statement statement) {
    BOP_LET(ready, database());
    try {
      return std::make_unique<DuckRunning>(shared_, std::move(ready), std::move(statement));
    } catch (const std::exception& e) {
      return std::unexpected(translate(duckdb::ErrorData(e), nullptr));
    }
  }

  std::shared_ptr<Shared> shared_;
};

}  // namespace

}  // namespace bop::executor

extern "C" __attribute__((visibility("default"))) bop::Result<std::unique_ptr<bop::executor::Engine>>
bop_make_engine(const bop::executor::EngineOptions& options) {
  auto engine = std::make_unique<bop::executor::DuckEngine>(options);
  BOP_TRY(engine->check());
  return engine;
}
