// The one error taxonomy, of the node and of the libraries that come of it. Every failure that can happen in
// operation is a `Result<T>`; exceptions do not cross a layer. Codes are stable: their numbers and names
// never change meaning and are never reused.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace bop {

// Declared once in error_codes.def: name, stable number, SQLSTATE, MySQL errno, BoyoDB category, meaning.
enum class ErrorCode : std::uint16_t {
#define BOP_ERROR_CODE(name, number, sqlstate, mysql_errno, boyo_category, meaning) k##name = number,
#include <bop/error_codes.def>
#undef BOP_ERROR_CODE
};

struct ErrorCodeInfo {
  ErrorCode code;
  std::string_view name;           // "UniqueViolation"
  std::string_view sqlstate;       // "23505"
  int mysql_errno;                 // 1062
  std::string_view boyo_category;  // "constraint"
  std::string_view meaning;
};
[[nodiscard]] const ErrorCodeInfo& info(ErrorCode code) noexcept;
// The code of a SQLSTATE when exactly that state is in the table; kInternal otherwise.
[[nodiscard]] ErrorCode code_of_sqlstate(std::string_view sqlstate) noexcept;

// The fields of PostgreSQL's ErrorResponse that are optional.
struct ErrorFields {
  std::string detail;
  std::string hint;
  std::string context;
  std::string schema, table, column, data_type, constraint;
  std::string sqlstate;  // in place of the code's, where a user has chosen one (RAISE)
  int position = 0;      // 1-based, in characters of the statement's text; 0 = none
};

// Cheap to move; `what` names the thing, the value and the limit. Copyable.
class Error {
 public:
  Error(ErrorCode code, std::string what) : code_(code), what_(std::move(what)) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }
  [[nodiscard]] std::string_view sqlstate() const noexcept {
    return fields_ && !fields_->sqlstate.empty() ? std::string_view(fields_->sqlstate) : info(code_).sqlstate;
  }
  [[nodiscard]] const ErrorFields& fields() const noexcept;

  Error&& detail(std::string text) && {
    mut().detail = std::move(text);
    return std::move(*this);
  }
  Error&& hint(std::string text) && {
    mut().hint = std::move(text);
    return std::move(*this);
  }
  Error&& context(std::string text) && {
    mut().context = std::move(text);
    return std::move(*this);
  }
  Error&& at(int position) && {
    mut().position = position;
    return std::move(*this);
  }
  Error&& schema(std::string n) && {
    mut().schema = std::move(n);
    return std::move(*this);
  }
  Error&& table(std::string n) && {
    mut().table = std::move(n);
    return std::move(*this);
  }
  Error&& column(std::string n) && {
    mut().column = std::move(n);
    return std::move(*this);
  }
  Error&& data_type(std::string n) && {
    mut().data_type = std::move(n);
    return std::move(*this);
  }
  Error&& constraint(std::string n) && {
    mut().constraint = std::move(n);
    return std::move(*this);
  }
  ErrorFields& mut();

 private:
  ErrorCode code_;
  std::string what_;
  std::shared_ptr<ErrorFields> fields_;  // shared by copies; `mut` un-shares
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

}  // namespace bop
