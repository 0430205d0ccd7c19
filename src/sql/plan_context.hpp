// What the functions that plans call find on their connection.
#pragma once

struct sqlite3;
struct sqlite3_context;

namespace bop {
class Error;
struct FunctionContext;
}  // namespace bop

namespace bop::sql {

// Of the session that has the connection; nullptr if none has.
[[nodiscard]] FunctionContext* plan_context(sqlite3_context* call);
[[nodiscard]] FunctionContext* plan_context(sqlite3* connection);
// Ends the call with an error, for SQLite and for the session.
void fail_call(sqlite3_context* call, Error why);

}  // namespace bop::sql
