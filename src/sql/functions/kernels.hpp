// Functions, operators and aggregates of PostgreSQL as typed kernels, and their adapter to SQLite.
//
// The signatures (names, argument types, results, strictness, volatility) are PostgreSQL 15's own catalog
// rows (proc_table.def, operator_table.def). A row without an implementation here is not in the table, so
// that the binder answers 42883 or 0A000, never something else.
//
// How the binder calls a kernel from SQL of SQLite:
//   * `native_sql` not empty: the template with {0}, {1}... replaced by the operands (each operand in
//   parentheses if
//     it is not a literal, parameter or column). SQLite's own evaluation is then exactly PostgreSQL's.
//   * otherwise sqlite_name(operands...). Argument types must already be the declared ones (casts inserted).
//   * `typed`: the first argument is a text constant with the OIDs of the actual arguments, separated by
//   commas,
//     arg_types_literal(): it stands for polymorphic and "any" arguments. Variadic arguments are passed one
//     by one; when the call says VARIADIC array, the last OID of that list is written with a leading 'v' (not
//     typed: sqlite_name + "_array" where the function also stands behind an operator:
//     json[b]_extract_path[_text]).
//   * set-returning: FROM sqlite_name(operands...); a table-valued function whose columns are `columns` (one
//   column
//     named "value" if the list is empty) and "ordinality" (bigint) behind them.
//   * aggregates: sqlite_name([DISTINCT] operands...) [FILTER]; as SQLite aggregates, usable as window
//   functions
//     where `window` says so. ORDER BY inside the call is SQLite's.
// Besides, `bop_cast(value, from, to, explicit)` and `bop_typmod(value, type, typmod, explicit)` exist;
// cast_sql() writes them, or nothing where a cast changes no byte.
// Array support for the binder: bop_any('<op name>', elem oid, scalar, array), bop_all(...),
// bop_subscript(array oid, array, i...), bop_slice(array oid, array, lower, upper, ...; NULL bound =
// missing), bop_array(elem oid, values...) for ARRAY[...] of scalars, bop_array_nested(elem oid, arrays...),
// aggregate bop_array_collect(elem oid, value) for ARRAY(SELECT ...).
//
// A kernel's error goes to FunctionContext::error (whole, with SQLSTATE) and to SQLite as its text.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/value.hpp"

struct sqlite3;

namespace bop {

class Clock;
class Random;

enum class KernelKind : std::uint8_t { kScalar, kAggregate, kSetReturning };

struct KernelColumn {
  std::string_view name;
  Oid type;
};

struct Kernel {
  Oid oid;                // pg_proc.oid
  std::string_view name;  // pg_proc.proname, or the operator's sign
  std::vector<Oid> args;  // declared; for a prefix operator one
  Oid result;
  Oid variadic;  // pg_proc.provariadic: element type of the last argument, 0 = not variadic
  int defaults;  // how many trailing arguments may be left out (the adapter fills in their defaults)
  bool strict;
  char volatility;  // 'i', 's', 'v'
  KernelKind kind;
  bool is_operator;
  bool typed;
  bool window;
  std::string_view proc_name;  // pg_proc.proname of the function behind an operator
  std::string sqlite_name;
  std::string_view native_sql;
  std::vector<KernelColumn> columns;  // of a set-returning function with OUT arguments
};

// All kernels of this name that take `nargs` arguments (variadic and defaults considered); functions only.
[[nodiscard]] std::vector<const Kernel*> lookup(std::string_view name, std::size_t nargs);
// All kernels of a function name, whatever their arguments; tells 42883 with a hint from an unknown name.
[[nodiscard]] std::vector<const Kernel*> lookup_any(std::string_view name);
// Operators by sign; nargs 1 = prefix.
[[nodiscard]] std::vector<const Kernel*> lookup_operator(std::string_view sign, std::size_t nargs);
[[nodiscard]] const Kernel* find_kernel(Oid proc);
[[nodiscard]] std::span<const Kernel> all_kernels();

[[nodiscard]] std::string arg_types_literal(std::span<const Oid> actual, bool variadic_array = false);
// SQL that casts `operand`, already including apply_typmod when typmod is not -1.
[[nodiscard]] std::string cast_sql(Oid from, Oid to, std::int32_t typmod, bool explicit_cast,
                                   std::string_view operand);

// What functions ask about their session. Called on the session's thread.
class SessionInfo {
 public:
  virtual ~SessionInfo() = default;
  [[nodiscard]] virtual std::string current_user() const = 0;
  [[nodiscard]] virtual std::string session_user() const = 0;
  [[nodiscard]] virtual std::string current_database() const = 0;
  // search_path as it resolves; with the implicit pg_catalog when asked.
  [[nodiscard]] virtual std::vector<std::string> current_schemas(bool include_implicit) const = 0;
  [[nodiscard]] virtual int backend_pid() const = 0;
  [[nodiscard]] virtual std::uint64_t transaction_id() = 0;
  // nullopt when the setting is unknown.
  [[nodiscard]] virtual std::optional<std::string> setting(std::string_view name) const = 0;
  [[nodiscard]] virtual Result<std::string> set_setting(std::string_view name, std::string_view value,
                                                        bool local) = 0;
  // Fails with 57014 once the statement was cancelled or timed out. Called in loops.
  [[nodiscard]] virtual Status check_interrupt() = 0;
  // Sleeps; returns early with 57014.
  [[nodiscard]] virtual Status sleep_us(std::int64_t microseconds) = 0;
  // pg_cancel_backend and pg_terminate_backend; the latter waits up to `timeout_ms` for the end.
  [[nodiscard]] virtual Result<bool> signal_backend(std::int32_t pid, bool terminate,
                                                    std::int64_t timeout_ms) {
    (void)pid, (void)terminate, (void)timeout_ms;
    return fail(ErrorCode::kNotImplemented, "there are no other sessions here");
  }
  // pg_notify and its like.
  [[nodiscard]] virtual Status notify(std::string_view channel, std::string_view payload) {
    (void)channel, (void)payload;
    return fail(ErrorCode::kNotImplemented, "there are no other sessions here");
  }
  [[nodiscard]] virtual std::vector<std::string> listening_channels() const { return {}; }
  // pg_advisory_lock and its like. False: a try did not get it, or what is to be released is not held.
  struct AdvisoryLock {
    enum class What : std::uint8_t { kLock, kTry, kUnlock } what = What::kLock;
    bool shared = false;
    bool transaction = false;  // until its end
    bool pair = false;         // of integers, the first in the upper half of:
    std::uint64_t key = 0;
  };
  [[nodiscard]] virtual Result<bool> advisory_lock(const AdvisoryLock& lock) {
    (void)lock;
    return fail(ErrorCode::kNotImplemented, "there are no other sessions here");
  }
  virtual void advisory_unlock_all() {}
  [[nodiscard]] virtual double notification_queue_usage() const { return 0; }
};

class Sequences {
 public:
  virtual ~Sequences() = default;
  [[nodiscard]] virtual Result<std::int64_t> nextval(Oid sequence) = 0;
  [[nodiscard]] virtual Result<std::int64_t> currval(Oid sequence) = 0;
  [[nodiscard]] virtual Result<std::int64_t> setval(Oid sequence, std::int64_t value, bool is_called) = 0;
  [[nodiscard]] virtual Result<std::int64_t> lastval() = 0;
};

// Functions that read the catalog (pg_get_expr, pg_table_is_visible, pg_get_indexdef,
// has_table_privilege...).
class CatalogFunctions {
 public:
  virtual ~CatalogFunctions() = default;
  // `name` is pg_proc.proname; arguments that were left out are not in `args`.
  [[nodiscard]] virtual Result<OwnedValue> call(std::string_view name, std::span<const Value> args) = 0;
};

// Rows of a file, one by one; false at the end.
using FileRows = std::move_only_function<Result<bool>(std::vector<OwnedValue>&)>;
inline constexpr int kMostFileColumns = 1600;

// Files as tables (sql/file_table.hpp).
class FileReader {
 public:
  virtual ~FileReader() = default;
  // `used`: bit i tells whether column i is asked for, bit 63 whether any from 63 on is.
  [[nodiscard]] virtual Result<FileRows> open(std::string_view token, std::uint64_t used) = 0;
};

// Runs functions that users made: those whose calls are more than an expression. Called on the session's
// thread, while the statement that calls is being stepped.
class UserFunctions {
 public:
  virtual ~UserFunctions() = default;
  [[nodiscard]] virtual Result<OwnedValue> call_function(Oid function, std::span<const Value> args) = 0;
};

class RegexCache;

// A row that may violate a constraint.
struct PendingRow {
  Oid table = 0;
  Oid constraint = 0;
  std::int64_t rowid = 0;
  auto operator<=>(const PendingRow&) const = default;
};

// One a session; outlives the registration on a connection. Used by one thread at a time.
struct FunctionContext {
  FunctionContext();
  ~FunctionContext();
  FunctionContext(const FunctionContext&) = delete;
  FunctionContext& operator=(const FunctionContext&) = delete;

  CodecContext codec;
  SessionInfo* session = nullptr;  // nullptr: such functions answer 0A000
  Sequences* sequences = nullptr;
  CatalogFunctions* catalog = nullptr;
  FileReader* files = nullptr;
  UserFunctions* user_functions = nullptr;
  Clock* clock = nullptr;  // nullptr = the system's
  Random* random = nullptr;
  std::optional<Error> error;  // of the kernel that failed last; the session takes and clears it
  // The statement is to end with this: the next kernel fails with it. (An interrupt would make SQLite take
  // the whole transaction back, savepoints included.)
  std::optional<Error> stop;
  std::string version = "PostgreSQL 15.0 (BOP)";
  std::unique_ptr<RegexCache> regexes;
  double seed_state = -1;  // of setseed
  // Rows that the running INSERT ... ON CONFLICT DO UPDATE has stored, by rowid.
  std::unordered_set<std::int64_t> stored_rows;
  // Rows that it has stored and that have to be looked at again (sql/pending_rows.hpp).
  std::vector<PendingRow> pending_rows;
};

// Registers all kernels, collations and table-valued functions on a connection. A pooled connection that
// moves to another session is given that session's context with `rebind_functions`, which costs nothing.
[[nodiscard]] Status register_functions(sqlite3* connection, FunctionContext* context);
void rebind_functions(sqlite3* connection, FunctionContext* context);
// Only the collations, for connections that run no session's SQL (replay, checks).
[[nodiscard]] Status register_collations(sqlite3* connection);

}  // namespace bop
