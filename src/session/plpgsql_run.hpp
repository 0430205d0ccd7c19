// Runs a block of PL/pgSQL inside a statement of its session.
//
// The block is a coroutine. What it waits for is what its statements wait for: the writer lane, a reader, a
// change of roles or databases. Then step() answers kWaiting, the session parks as with any statement, and
// the next step() goes on. Between statements it asks whether it is to end (cancel, statement_timeout) and
// whether it has run for long (then the reactor is handed off), so a loop without end holds nobody up but its
// own session.
//
//   state      meaning                                                 leaves it by
//   new        nothing has run                                         step
//   running    inside step()                                           a statement that waits; the end
//   waiting    a statement of the block waits; the frame has it        step, when the session was woken
//   done       the result is there, or the error                       -
//
// Each statement of SQL in it is a Run of the session with a sink of its own that keeps the rows; in READ
// COMMITTED each sees the newest commits, and all are part of the one transaction. A block with handlers is a
// savepoint: an error takes back what the block has changed, its variables keep their values. Savepoints of
// the block are gone when it has ended, however it ended.
//
// In a function that a query calls (`nested`), nothing may wait: the query has the connection already, and
// the lane if the function may write.
//
// Owned by the Run of the statement, or by the call; used on the session's executor only.
#pragma once

#include <coroutine>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "session/pg_session.hpp"
#include "session/task.hpp"
#include "sql/plpgsql/program.hpp"

namespace bop::session {

// Keeps what a statement answers; what concerns the client goes on to it.
class KeptRows final : public ReplySink {
 public:
  explicit KeptRows(ReplySink* outer) : outer_(outer) {}
  void gate(Csn csn) override { outer_->gate(csn); }
  void row_description(std::span<const OutputColumn>) override {}
  void rows(const ResultBatch& batch) override;
  void command_complete(std::string_view) override {}
  void empty_query() override {}
  void portal_suspended() override {}
  void error(const Error&) override {}
  void notice(Severity severity, const Error& e) override { outer_->notice(severity, e); }
  void parameter_status(std::string_view name, std::string_view value) override {
    outer_->parameter_status(name, value);
  }
  void copy_in(const CopyFormat&) override {}
  void copy_out(const CopyFormat&) override {}
  void copy_data(std::string_view) override {}
  void copy_done() override {}
  void notification(std::int32_t, std::string_view, std::string_view) override {}
  [[nodiscard]] bool full() const override { return false; }
  void wake() override { outer_->wake(); }

  void outer(ReplySink* outer) { outer_ = outer; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // Row `row`, as values.
  [[nodiscard]] std::vector<OwnedValue> row(std::size_t row) const;

 private:
  ReplySink* outer_;
  std::vector<ResultBatch> batches_;
  std::size_t count_ = 0, bytes_ = 0;
};

class PlpgsqlRun {
 public:
  using Program = sql::plpgsql::Program;
  PlpgsqlRun(PgSession& session, std::shared_ptr<const Program> program, std::string name, bool nested);
  ~PlpgsqlRun();

  void set_argument(std::size_t number, Oid type, OwnedValue value);
  // What RETURN's value is made; void: nothing is to be returned.
  void returns(Oid type) { result_type_ = type; }
  // kDone or kWaiting.
  [[nodiscard]] Result<Progress> step();
  [[nodiscard]] OwnedValue result() const { return result_; }

 private:
  using Expression = sql::plpgsql::Expression;
  using Statement = sql::plpgsql::Statement;
  using Statements = sql::plpgsql::Statements;
  using Place = sql::plpgsql::Place;
  using Target = sql::plpgsql::Target;
  using Scope = sql::plpgsql::Scope;
  class Names;

  struct UsedValue {
    int variable = -1;
    std::string field;
  };

 public:
  // Plans of the statements of a program, from one run of it to the next.
  struct Known {
    sql::PlanPtr plan;
    std::vector<UsedValue> uses;
  };
  using Plans = std::unordered_map<const sql::ParsedStatement*, Known>;
  void share(Plans* plans) { plans_ = plans; }

 private:
  struct Field {
    std::string name;
    Oid type = 0;
    std::int32_t typmod = -1;
    OwnedValue value;
  };
  struct Slot {
    Oid type = 0;
    std::int32_t typmod = -1;
    OwnedValue value;
    bool record = false;
    bool assigned = false;  // of a record: it has fields
    bool fixed = false;     // and keeps them: a row of a table
    std::vector<Field> fields;
  };
  struct Typed {
    OwnedValue value;
    Oid type = 0;
    std::int32_t typmod = -1;
  };
  // What a statement has answered.
  struct Answer {
    std::vector<OutputColumn> columns;
    std::unique_ptr<KeptRows> rows;
    std::uint64_t processed = 0;
    bool returns_rows = false;
    bool changes = false;
    std::string tag;
  };
  enum class Flow : std::uint8_t { kNext, kExit, kContinue, kReturn };
  struct Outcome {
    Flow flow = Flow::kNext;
    std::string_view label;
  };
  struct Wait {
    PlpgsqlRun& run;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept { run.waiting_ = h; }
    void await_resume() const noexcept {}
  };
  // Coroutines take what has a destructor by reference only, from a variable of the caller: GCC 12 destroys
  // temporaries in the operand of co_await twice.
  Task<Result<Outcome>> main();
  Task<Result<Outcome>> statements(const Statements& list);
  Task<Result<Outcome>> statement(const Statement& s);
  Task<Result<Outcome>> dispatch(const Statement& s);
  Task<Result<Outcome>> block(const Statement& s);
  Task<Result<Outcome>> guarded_block(const Statement& s);
  Task<Status> enter(const Statement& s);
  Task<Result<Outcome>> branches(const Statement& s);
  Task<Result<Outcome>> loop(const Statement& s);
  Task<Result<Outcome>> integer_loop(const Statement& s);
  Task<Result<Outcome>> row_loop(const Statement& s);
  Task<Result<Outcome>> array_loop(const Statement& s);
  // After the body of a loop: whether it goes on; nullopt: it does.
  static std::optional<Outcome> after_body(const Statement& s, const Outcome& o);
  Task<Status> sql_statement(const Statement& s);
  Task<Status> dynamic_statement(const Statement& s);
  Task<Status> store_into(const Statement& s, const Answer& answer);
  Task<Status> raise(const Statement& s);
  Task<Status> assert_true(const Statement& s);
  Task<Status> diagnostics(const Statement& s);

  Task<Result<Typed>> evaluate(const Expression& e);
  Task<Result<bool>> condition(const Expression& e);
  Task<Result<std::string>> text_of(const Expression& e, const char* of_null);
  // `max_rows` 0: all.
  Task<Result<Answer>> run(const Expression& e, std::uint64_t max_rows);
  Task<Result<Answer>> run_text(const std::string& text, const std::vector<Expression>& arguments,
                                std::uint64_t max_rows);
  Task<Result<Answer>> run_statement(Run& run, std::uint64_t max_rows);
  Task<Result<std::vector<Typed>>> values_of(const std::vector<Expression>& list);

  Task<Status> assign(const Place& place, Typed& value);
  Task<Status> assign_row(const Target& target, const std::vector<OutputColumn>& columns,
                          std::vector<OwnedValue>& values);
  Task<Result<OwnedValue>> convert(Typed& value, Oid type, std::int32_t typmod);
  [[nodiscard]] Status resolve(int variable);
  [[nodiscard]] Result<bool> resolve_by_reference(const std::string& text, Slot& slot);
  [[nodiscard]] Status become_row(Slot& slot, const sql::Relation& relation) const;
  void set_found(bool found);
  [[nodiscard]] Slot& slot(int variable) { return slots_[static_cast<std::size_t>(variable)]; }
  [[nodiscard]] Error in_context(Error why, const Statement& s) const;

  PgSession& session_;
  const std::shared_ptr<const Program> program_;
  const std::string name_;  // for errors
  const bool nested_;
  Oid result_type_ = 0;
  OwnedValue result_;
  bool returned_ = false;

  std::vector<Slot> slots_;
  std::uint64_t row_count_ = 0;
  std::vector<Error> handled_;  // of the handlers that are running, innermost last
  int savepoints_ = 0;

  Plans own_plans_;
  Plans* plans_ = &own_plans_;

  Task<Result<Outcome>> main_;
  bool started_ = false;
  std::coroutine_handle<> waiting_;
};

}  // namespace bop::session
