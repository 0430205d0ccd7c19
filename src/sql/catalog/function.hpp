// A function or procedure that a user has made: a row of pg_proc.
//
// What identifies it is its schema, its name and the types of its input arguments. The body of LANGUAGE sql
// as a string and of plpgsql is kept as it was written, and means what the search path of its caller makes of
// it; a body of the SQL standard (RETURN, BEGIN ATOMIC) is kept with its names settled, as views are.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "sql/catalog/acl.hpp"

namespace bop {
struct Kernel;
}

namespace bop::sql {

struct FunctionArgument {
  std::string name;  // may be empty
  Oid type = 0;
  char mode = 'i';                          // pg_proc.proargmodes: i in, o out, b inout, v variadic, t table
  std::optional<std::string> default_text;  // PostgreSQL text of an expression

  [[nodiscard]] bool is_input() const { return mode == 'i' || mode == 'b' || mode == 'v'; }
  [[nodiscard]] bool is_output() const { return mode == 'o' || mode == 'b' || mode == 't'; }
};

struct Function {
  Oid oid = 0;
  Oid schema = 0;
  std::string name;
  Oid owner = 10;
  ObjectAcl acl;
  char kind = 'f';       // pg_proc.prokind: f function, p procedure
  std::string language;  // "sql", "plpgsql"
  std::vector<FunctionArgument> arguments;
  Oid result = 0;  // of several OUT arguments: record
  bool returns_set = false;
  bool strict = false;
  bool leakproof = false;
  char volatility = 'v';  // i s v
  char parallel = 'u';    // u r s
  double cost = 100;
  double rows = 0;             // of a set
  bool standard_body = false;  // `body` is RETURN or BEGIN ATOMIC, as statements separated by semicolons
  std::string body;
  std::vector<Oid> reads;  // what a standard body names
  std::string comment;
  // For the rules of overloading: what is above as a row among the built-in functions. Made by CatalogEdit.
  std::shared_ptr<const Kernel> kernel = nullptr;

  [[nodiscard]] std::vector<Oid> input_types() const;
  [[nodiscard]] std::size_t defaults() const;  // how many of the last input arguments may be left out
  [[nodiscard]] std::vector<const FunctionArgument*> inputs() const;
  [[nodiscard]] std::vector<const FunctionArgument*> outputs() const;
};

// "a integer, b text DEFAULT 'x'::text" as pg_get_function_arguments, pg_get_function_identity_arguments and
// pg_get_function_result have it.
[[nodiscard]] std::string arguments_text(const Function& function, bool with_defaults);
[[nodiscard]] std::string identity_text(const Function& function);
[[nodiscard]] std::string result_text(const Function& function);
// "f(integer, text)".
[[nodiscard]] std::string signature_text(const Function& function);

}  // namespace bop::sql
