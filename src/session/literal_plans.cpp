#include "session/literal_plans.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "base/metrics.hpp"
#include "session/pg_session.hpp"
#include "sql/types/types.hpp"

namespace bop::session {

namespace {

constexpr std::size_t kMostLiterals = 256;
constexpr std::size_t kMostParts = 64;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_operator(char c) { return std::string_view("+-*/<>=~!@#%^&|`?").find(c) != std::string_view::npos; }

// Behind these a string is a value, not part of a typed literal (date '2024-01-01').
constexpr std::array<std::string_view, 22> kBeforeValue = {
    "select", "where", "and",  "or",   "not",  "in",     "between", "like", "ilike", "set", "values",
    "when",   "then",  "else", "case", "from", "having", "on",      "by",   "all",   "any", "returning"};
// With these a literal may be more than its value: types, clauses that are found again by their text, groups
// of rows whose columns are typed together.
constexpr std::array<std::string_view, 21> kLeftAlone = {
    "cast",      "collate",   "conflict",  "distinct", "except",  "extract",   "fetch",
    "interval",  "intersect", "normalize", "over",     "overlay", "partition", "position",
    "substring", "trim",      "union",     "window",   "with",    "xmlparse",  "within"};
// Behind these an integer may be the number of a column, and expressions are found again by what they say.
constexpr std::array<std::string_view, 4> kKeeping = {"order", "group", "limit", "offset"};

class Shaper {
 public:
  explicit Shaper(std::string_view text) : text_(text) {}

  // The shape of the statement up to its semicolon or the end of the text: `end`.
  std::optional<StatementShape> run() {
    while (at_ < text_.size() && text_[at_] != ';') {
      if (!step()) return std::nullopt;
    }
    if (first_) return std::nullopt;
    return std::move(shape_);
  }
  [[nodiscard]] std::size_t end() const noexcept { return at_; }

 private:
  enum class Token : std::uint8_t { kNone, kWord, kValueWord, kValue, kOperator, kOpen, kClose, kComma };

  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void copy(std::size_t count) {
    shape_.text.append(text_.substr(at_, count));
    at_ += count;
  }

  bool step() {
    const char c = peek();
    if (is_space(c)) return copy(1), true;
    if (is_letter(c)) return word();
    if (c == '"') return quoted_name();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number(false);
    if (c == '\'') return string();
    if (c == '(') return take(Token::kOpen);
    if (c == ')') return take(Token::kClose);
    if (c == ',') return take(Token::kComma);
    if (c == '.') return take(Token::kOperator);
    if (is_operator(c)) return operators();
    return false;  // $, :, [ and what no statement has
  }

  bool take(Token token) {
    copy(1);
    last_ = token;
    return true;
  }

  bool word() {
    std::size_t end = at_;
    std::string lower;
    while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]) || text_[end] == '$')) {
      const char c = text_[end++];
      lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (end < text_.size() && text_[end] == '\'') return false;  // E'', B'', N''...
    if (first_) {
      if (lower != "select" && lower != "insert" && lower != "update" && lower != "delete") return false;
      first_ = false;
    }
    if (std::ranges::find(kLeftAlone, lower) != kLeftAlone.end()) return false;
    keeps_ = keeps_ || std::ranges::find(kKeeping, lower) != kKeeping.end();
    copy(end - at_);
    last_ = std::ranges::find(kBeforeValue, lower) != kBeforeValue.end() ? Token::kValueWord : Token::kWord;
    return true;
  }

  bool quoted_name() {
    const std::size_t end = text_.find('"', at_ + 1);
    if (end == std::string_view::npos) return false;
    copy(end + 1 - at_);
    last_ = Token::kWord;
    return true;
  }

  // A value may begin here.
  [[nodiscard]] bool before_value() const {
    return last_ == Token::kValueWord || last_ == Token::kOperator || last_ == Token::kOpen ||
           last_ == Token::kComma;
  }

  bool operators() {
    std::size_t end = at_;
    while (end < text_.size() && is_operator(text_[end])) ++end;
    const std::string_view all = text_.substr(at_, end - at_);
    if (all.find("--") != std::string_view::npos || all.find("/*") != std::string_view::npos) return false;
    std::size_t after = end;
    while (after < text_.size() && is_space(text_[after])) ++after;
    if (all == "-" && before_value() && after < text_.size() && is_digit(text_[after])) {
      at_ = after;
      return number(true);
    }
    if (all.size() > 1 && (all.back() == '-' || all.back() == '+')) return false;
    copy(all.size());
    last_ = Token::kOperator;
    return true;
  }

  bool number(bool negative) {
    std::size_t end = at_;
    bool whole = true;
    while (end < text_.size() && is_digit(text_[end])) ++end;
    if (end < text_.size() && text_[end] == '.') {
      whole = false;
      ++end;
      while (end < text_.size() && is_digit(text_[end])) ++end;
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      whole = false;
      ++end;
      if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) ++end;
      if (end == text_.size() || !is_digit(text_[end])) return false;
      while (end < text_.size() && is_digit(text_[end])) ++end;
    }
    if (end < text_.size() && (is_letter(text_[end]) || text_[end] == '.')) return false;
    if (!before_value() && !keeps_) return false;
    std::string value = negative ? "-" : "";
    value += text_.substr(at_, end - at_);
    Oid type = types::kNumeric;
    if (whole) {
      std::int64_t number = 0;
      const auto [stop, bad] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (bad != std::errc() || stop != value.data() + value.size()) return false;
      type = number == static_cast<std::int32_t>(number) ? Oid{types::kInt4} : Oid{types::kInt8};
    }
    at_ = end;
    last_ = Token::kValue;
    if (keeps_) return shape_.text += value, true;
    return put({type, std::move(value)});
  }

  bool string() {
    const bool escaped = at_ > 0 && text_[at_ - 1] == '&';  // U&'...'
    // One that stays would be read once, with the settings of one session (a time zone).
    if (!before_value() || escaped || keeps_) return false;
    std::string value;
    std::size_t end = at_ + 1;
    for (;; ++end) {
      if (end == text_.size()) return false;
      if (text_[end] != '\'') {
        value += text_[end];
      } else if (end + 1 < text_.size() && text_[end + 1] == '\'') {
        value += '\'';
        ++end;
      } else {
        break;
      }
    }
    last_ = Token::kValue;
    at_ = end + 1;
    return put({types::kUnknown, std::move(value)});
  }

  bool put(Literal literal) {
    if (shape_.literals.size() == kMostLiterals) return false;
    shape_.literals.push_back(std::move(literal));
    shape_.text += fmt::format("${}", shape_.literals.size());
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Token last_ = Token::kNone;
  bool first_ = true;
  bool keeps_ = false;  // literals stay in the text
  StatementShape shape_;
};

// Words alone (and commas), the first of which says so.
bool controls_transaction(std::string_view text) {
  constexpr std::array<std::string_view, 8> kWords = {"begin",    "start", "commit",    "end",
                                                      "rollback", "abort", "savepoint", "release"};
  std::string first;
  for (const char c : text.substr(0, text.find_first_of(" \t\n\r\f\v"))) {
    first += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return std::ranges::find(kWords, first) != kWords.end() && std::ranges::all_of(text, [](char c) {
           return is_letter(c) || is_digit(c) || is_space(c) || c == ',';
         });
}

bool same_columns(const sql::Plan& a, const sql::Plan& b) {
  return a.kind == b.kind && a.tag == b.tag &&
         std::ranges::equal(a.columns, b.columns, [](const OutputColumn& x, const OutputColumn& y) {
           return x.name == y.name && x.type == y.type && x.typmod == y.typmod && x.table == y.table &&
                  x.attribute == y.attribute;
         });
}

// A literal of a type with typmod is read by it, a parameter is cast to it: the same but for intervals, where
// '1' is a day to an interval day.
bool may_be_parameters(const StatementShape& shape, const sql::Plan& plan) {
  constexpr std::array kReadByTypmod = {Oid{types::kInterval}, Oid{types::kIntervalArray}};
  if (plan.parameters.size() != shape.literals.size()) return false;
  for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
    if (shape.literals[i].type == types::kUnknown &&
        std::ranges::find(kReadByTypmod, plan.parameters[i]) != kReadByTypmod.end())
      return false;
  }
  return true;
}

}  // namespace

std::optional<StatementShape> shape_of(std::string_view text) {
  if (text.size() > LiteralPlans::kLongestText) return std::nullopt;
  Shaper shaper(text);
  auto shape = shaper.run();
  const std::string_view rest = text.substr(std::min(shaper.end() + 1, text.size()));
  if (!shape || shape->literals.empty() || !std::ranges::all_of(rest, is_space)) return std::nullopt;
  return shape;
}

std::vector<MessagePart> parts_of(std::string_view text) {
  if (text.size() > LiteralPlans::kLongestText) return {};
  std::vector<MessagePart> parts;
  for (;;) {
    while (!text.empty() && (is_space(text.front()) || text.front() == ';')) text.remove_prefix(1);
    if (text.empty()) break;
    if (parts.size() == kMostParts) return {};
    MessagePart part;
    std::size_t end = text.find(';');
    if (controls_transaction(text.substr(0, end))) {
      end = std::min(end, text.size());
    } else {
      Shaper shaper(text);
      part.shape = shaper.run();
      if (!part.shape) return {};
      end = shaper.end();
    }
    part.text = text.substr(0, end);
    text.remove_prefix(end);
    parts.push_back(std::move(part));
  }
  if (parts.size() < 2) return {};
  return parts;
}

std::optional<LiteralPlans::Entry> LiteralPlans::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  if (const auto found = young_.find(key); found != young_.end()) return found->second;
  if (const auto found = old_.find(key); found != old_.end()) {
    Entry entry = std::move(found->second);
    old_.erase(found);
    keep_locked(key, entry);
    return entry;
  }
  keep_locked(key, {});
  return std::nullopt;
}

void LiteralPlans::keep(const std::string& key, DatabaseId database, Entry entry) {
  entry.database = database;
  const std::lock_guard lock(mutex_);
  if (entry.plan &&
      std::exchange(newest_[database.value], entry.plan->catalog.get()) != entry.plan->catalog.get()) {
    const auto outdated = [&](const auto& known) {
      return known.second.plan && known.second.database == database &&
             known.second.plan->catalog != entry.plan->catalog;
    };
    std::erase_if(young_, outdated);
    std::erase_if(old_, outdated);
  }
  keep_locked(key, std::move(entry));
}

void LiteralPlans::keep_locked(std::string key, Entry entry) {
  if (young_.size() >= kEntries) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_.insert_or_assign(std::move(key), std::move(entry));
}

// The plan for a shape; null when it has none, or is seen for the first time. `text`: of the statement.
sql::PlanPtr PgSession::plan_of_shape(const StatementShape& shape, std::string_view text) {
  if (literal_plans_ == LiteralMode::kOff || failed_) return nullptr;
  freshen_user();
  std::string key = shape.text;
  for (const Literal& literal : shape.literals) key += fmt::format("\n{}", literal.type);
  key += fmt::format("\n{}", database_->id().value);
  for (const std::string& schema : path_) key += "\n" + schema;
  // Whoever may not look into a schema finds other names, or none.
  if (!who_->superuser) key += fmt::format("\n/{} {}", who_->role, shared_seen_);
  auto known = node_.literal_plans().find(key);
  if (!known && literal_plans_ != LiteralMode::kAlways) return nullptr;
  if (known && known->state == LiteralPlans::State::kUseless) return nullptr;
  if (known && known->state == LiteralPlans::State::kPlanned && known->plan->catalog == catalog()) {
    return std::move(known->plan);
  }
  start_statement_clock();  // names in literals are those of now
  const auto usual = plan_of(std::string(text), {});
  if (!usual) return nullptr;
  std::vector<Oid> hints;
  for (const Literal& literal : shape.literals) {
    hints.push_back(literal.type == types::kUnknown ? Oid{} : literal.type);
  }
  auto shaped = plan_of(shape.text, hints);
  LiteralPlans::Entry entry{LiteralPlans::State::kUseless, nullptr};
  if (shaped && same_columns(*shaped, *usual) && may_be_parameters(shape, *shaped)) {
    entry = {LiteralPlans::State::kPlanned, std::move(shaped)};
  }
  node_.literal_plans().keep(key, database_->id(), entry);
  return std::move(entry.plan);
}

// The run of a statement by the plan for its shape; null when a literal is no value of its type.
std::unique_ptr<Run> PgSession::run_of_shape(const StatementShape& shape, const sql::PlanPtr& plan,
                                             std::string_view text) {
  start_statement_clock();
  auto run = std::make_unique<Run>();
  run->statement = plan->statement;
  run->own_text = text;
  run->plan = plan;
  run->hints = plan->parameters;
  run->describe = true;
  for (std::size_t i = 0; i < shape.literals.size(); ++i) {
    auto value = parse_text(run->hints[i], -1, shape.literals[i].text, functions_.codec);
    if (!value) return nullptr;
    run->parameters.push_back(std::move(*value));
  }
  metrics().literal_plans_total.add();
  return run;
}

// The tables or names have changed while the statement waited: its literals may be of other types now.
Status PgSession::forget_shape(Run& run) {
  if (run.own_text.empty()) return {};
  BOP_LET(statements, node_.parse_cache().parse(std::exchange(run.own_text, {})));
  BOP_ASSERT(statements.size() == 1);
  run.statement = statements.front();
  run.hints.clear();
  run.parameters.clear();
  return {};
}

// A message of one statement. False: it goes the usual way.
bool PgSession::begin_shape(std::string_view text) {
  const auto shape = shape_of(text);
  if (!shape) return false;
  const sql::PlanPtr plan = plan_of_shape(*shape, text);
  if (!plan) return false;
  auto run = run_of_shape(*shape, plan, text);
  if (!run) return false;
  query_.assign(1, run->statement);
  query_next_ = 1;
  run_ = std::move(run);
  return true;
}

// A message of several statements. They go this way when all have plans for their shapes, so that none can
// be malformed.
bool PgSession::begin_parts(const std::string& text) {
  if (literal_plans_ == LiteralMode::kOff || failed_) return false;
  // Most messages are one statement, and come here when that has no literals.
  const std::size_t end = std::min(text.find(';'), text.size());
  if (std::ranges::all_of(std::string_view(text).substr(std::min(end + 1, text.size())), is_space))
    return false;
  query_text_ = text;
  query_parts_ = parts_of(query_text_);
  bool known = !query_parts_.empty();
  for (MessagePart& part : query_parts_) {
    if (!part.shape) {
      const auto parsed = node_.parse_cache().parse(part.text);
      known = known && parsed && parsed->size() == 1;
      query_.push_back(known ? parsed->front() : nullptr);
      continue;
    }
    part.plan =
        plan_of_shape(*part.shape, part.text);  // also behind an unknown one: the next time it is known
    known = known && part.plan;
    query_.push_back(part.plan ? part.plan->statement : nullptr);
  }
  query_next_ = 0;
  if (!known) {
    query_.clear();
    query_parts_.clear();
  }
  return known;
}

// The next statement of the message.
Status PgSession::begin_next_statement() {
  durability_.begin_statement();
  const std::size_t next = query_next_++;
  if (!query_parts_.empty() && query_parts_[next].shape) {
    MessagePart& part = query_parts_[next];
    if (!is_current(*part.plan)) part.plan = plan_of_shape(*part.shape, part.text);
    if (part.plan && is_current(*part.plan)) run_ = run_of_shape(*part.shape, part.plan, part.text);
    if (run_) return {};
    // A literal that is no value, or the tables are others now.
    query_parts_.clear();
    BOP_LET(statements, node_.parse_cache().parse(query_text_));
    BOP_ASSERT(statements.size() == query_.size());
    query_ = std::move(statements);
  }
  run_ = std::make_unique<Run>();
  run_->statement = query_[next];
  run_->describe = true;
  return {};
}

// The plan of one statement without a place to tell errors; null when it has none.
sql::PlanPtr PgSession::plan_of(const std::string& text, std::span<const Oid> hints) {
  auto parsed = node_.parse_cache().parse(text);
  if (!parsed || parsed->size() != 1) return nullptr;
  auto plan = sql::bind(parsed->front(), bind_context(), hints);
  if (!plan || (*plan)->kind == sql::PlanKind::kUtility || (*plan)->kind == sql::PlanKind::kExplain)
    return nullptr;
  return std::move(*plan);
}

}  // namespace bop::session
