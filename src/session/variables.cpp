#include "session/variables.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <span>
#include <utility>

#include "sql/types/timezone.hpp"

namespace bop::session {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

const std::string kDurability = "bop.durability";
const std::string kSynchronousCommit = "synchronous_commit";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

std::unexpected<Error> invalid(const VariableInfo& info, std::string_view value) {
  return fail(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": \"{}\"", info.name, value);
}

// A unit's size in the base unit of its family.
struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array<Unit, 6> kTimeUnits{
    {{"us", 0.001}, {"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 5> kMemoryUnits{
    {{"B", 1.0 / 1024}, {"kB", 1}, {"MB", 1024}, {"GB", 1024.0 * 1024}, {"TB", 1024.0 * 1024 * 1024}}};

std::span<const Unit> units_of(const VariableInfo& info) {
  if (info.unit == "ms") return kTimeUnits;
  if (info.unit == "kB" || info.unit == "8kB") return kMemoryUnits;
  return {};
}

Result<std::string> normalise_bool(const VariableInfo& info, std::string_view value) {
  const std::string word = lower(value);
  const auto starts = [&](std::string_view full, std::size_t least) {
    return word.size() >= least && full.starts_with(word);
  };
  if (starts("true", 1) || starts("yes", 1) || word == "on" || word == "1") return "on";
  if (starts("false", 1) || starts("no", 1) || starts("off", 2) || word == "0") return "off";
  return fail(ErrorCode::kInvalidArgument, "parameter \"{}\" requires a Boolean value", info.name);
}

Result<std::string> normalise_number(const VariableInfo& info, std::string_view value) {
  const std::string text(trimmed(value));
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || !std::isfinite(number)) return invalid(info, value);
  const std::string_view suffix = trimmed(std::string_view(end, text.data() + text.size()));
  if (!suffix.empty()) {
    const auto units = units_of(info);
    const auto unit = std::ranges::find(units, suffix, &Unit::name);
    if (unit == units.end()) {
      Error wrong =
          error(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": \"{}\"", info.name, value);
      if (info.unit == "ms") {
        wrong.mut().hint =
            "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".";
      } else if (!units.empty()) {
        wrong.mut().hint = "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".";
      }
      return std::unexpected(std::move(wrong));
    }
    number *= unit->factor;
    if (info.unit == "8kB") number /= 8;
  }
  if (info.kind == VariableKind::kInt) number = std::rint(number);
  if (number < info.minimum || number > info.maximum) {
    return fail(ErrorCode::kInvalidArgument,
                "{}{} is outside the valid range for parameter \"{}\" ({} .. {})", number,
                info.unit.empty() ? "" : fmt::format(" {}", info.unit), info.name, info.minimum,
                info.maximum);
  }
  if (info.kind == VariableKind::kInt) return fmt::format("{}", static_cast<std::int64_t>(number));
  return fmt::format("{}", number);
}

Result<std::string> normalise_enum(const VariableInfo& info, std::string_view value) {
  const std::string word = lower(value);
  std::string_view rest = info.values;
  while (!rest.empty()) {
    const std::size_t bar = rest.find('|');
    const std::string_view candidate = rest.substr(0, bar);
    if (candidate == word) return std::string(candidate);
    rest = bar == rest.npos ? std::string_view{} : rest.substr(bar + 1);
  }
  std::string list(info.values);
  for (std::size_t at = 0; (at = list.find('|', at)) != list.npos; at += 2) list.replace(at, 1, ", ");
  return std::unexpected(error(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": \"{}\"",
                               lower(info.name), value)
                             .hint(fmt::format("Available values: {}.", list)));
}

// DateStyle: the words of a list change the form, the order of fields, or both; what none speaks of stays.
Result<std::string> normalise_date_style(const VariableInfo& info, std::string_view value,
                                         std::string_view current, std::string_view reset) {
  const auto refuse = [&](std::string why) -> std::unexpected<Error> {
    return std::unexpected(
        error(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": \"{}\"", info.name, value)
            .detail(std::move(why)));
  };
  std::string_view style, order;
  bool conflict = false;
  const auto take = [&](std::string_view& what, std::string_view word) {
    conflict = conflict || (!what.empty() && what != word);
    what = word;
  };
  const auto split = [](std::string_view both) {
    const std::size_t comma = both.find(',');
    return std::pair(both.substr(0, comma), trimmed(both.substr(comma + 1)));
  };
  bool german = false;
  std::string_view rest = trimmed(value);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view written = trimmed(rest.substr(0, comma));
    const std::string word = lower(written);
    if (written.empty() || (comma != rest.npos && trimmed(rest.substr(comma + 1)).empty())) {
      return refuse("List syntax is invalid.");
    }
    rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 1);
    if (word == "iso") {
      take(style, "ISO");
    } else if (word == "sql") {
      take(style, "SQL");
    } else if (word.starts_with("postgres")) {
      take(style, "Postgres");
    } else if (word == "german") {
      take(style, "German");
      german = true;
    } else if (word == "ymd") {
      take(order, "YMD");
    } else if (word == "dmy" || word.starts_with("euro")) {
      take(order, "DMY");
    } else if (word == "mdy" || word == "us" || word.starts_with("noneuro")) {
      take(order, "MDY");
    } else if (word == "default") {
      const auto [reset_style, reset_order] = split(reset);
      if (style.empty()) style = reset_style;
      if (order.empty()) order = reset_order;
    } else {
      return refuse(fmt::format("Unrecognized key word: \"{}\".", written));
    }
  }
  if (conflict) return refuse("Conflicting \"datestyle\" specifications.");
  const auto [current_style, current_order] = split(current);
  if (style.empty()) style = current_style;
  if (order.empty()) order = german ? "DMY" : current_order;
  return fmt::format("{}, {}", style, order);
}

std::string with_unit(const VariableInfo& info, const std::string& value) {
  const auto units = units_of(info);
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (units.empty() || problem != std::errc{} || number <= 0) return value;
  if (info.unit == "8kB") number *= 8;
  for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
    const auto factor = static_cast<std::int64_t>(unit->factor);
    if (factor >= 1 && number % factor == 0) return fmt::format("{}{}", number / factor, unit->name);
  }
  return value;
}

}  // namespace

const std::vector<VariableInfo>& variable_table() {
  using enum VariableKind;
  static const std::vector<VariableInfo> table = [] {
    std::vector<VariableInfo> rows{
#define BOP_VARIABLE(name, kind, default_value, minimum, maximum, unit, flags, values, meaning) \
  VariableInfo{name, kind, default_value, minimum, maximum, unit, flags, values, meaning},
#include "session/variables.def"
#undef BOP_VARIABLE
    };
    std::ranges::sort(rows, {}, [](const VariableInfo& row) { return lower(row.name); });
    return rows;
  }();
  return table;
}

const VariableInfo* find_variable(std::string_view name) {
  const std::string key = lower(name);
  const auto& table = variable_table();
  const auto row =
      std::ranges::lower_bound(table, key, {}, [](const VariableInfo& r) { return lower(r.name); });
  return row != table.end() && lower(row->name) == key ? &*row : nullptr;
}

Result<std::string> normalise_variable(const VariableInfo& info, std::string_view value,
                                       std::string_view current, std::string_view reset) {
  switch (info.kind) {
    case VariableKind::kBool: return normalise_bool(info, value);
    case VariableKind::kInt:
    case VariableKind::kReal: return normalise_number(info, value);
    case VariableKind::kEnum: return normalise_enum(info, value);
    case VariableKind::kString: break;
  }
  if (info.name == "DateStyle") {
    return normalise_date_style(info, value, current.empty() ? info.default_value : current,
                                reset.empty() ? info.default_value : reset);
  }
  if (info.name == "TimeZone") {
    const TimeZone* zone = TimeZone::find(value);
    if (zone == nullptr) return invalid(info, value);
    return zone->name();
  }
  if (info.name == "client_encoding") {
    std::string word = lower(value);
    // As PostgreSQL compares names of encodings; asyncpg writes quotes around its own.
    std::erase_if(word, [](unsigned char c) { return std::isalnum(c) == 0; });
    if (word == "utf8" || word == "unicode") return "UTF8";
    return fail(ErrorCode::kNotImplemented, "client_encoding \"{}\" is not implemented; only UTF8 is", value);
  }
  return std::string(value);
}

const Variables::Slots& Variables::untouched() {
  static const Slots kSlots = [] {
    Slots slots;
    for (const VariableInfo& info : variable_table()) {
      const std::string value(info.default_value);
      slots.emplace(lower(info.name), Slot{value, value, std::nullopt});
    }
    return slots;
  }();
  return kSlots;
}

const Variables::Slot* Variables::find(std::string_view key) const {
  if (const auto slot = slots_.find(key); slot != slots_.end()) return &slot->second;
  const auto slot = untouched().find(key);
  return slot == untouched().end() ? nullptr : &slot->second;
}

Variables::Slot& Variables::own(const std::string& key) {
  const auto slot = slots_.find(key);
  if (slot != slots_.end()) return slot->second;
  const Slot* known = find(key);
  return slots_.emplace(key, known != nullptr ? *known : Slot()).first->second;
}

const std::string& Variables::get(std::string_view name) const {
  static const std::string kNone;
  const Slot* slot = find(name);
  if (slot == nullptr) slot = find(lower(name));
  return slot == nullptr ? kNone : slot->current();
}

std::int64_t Variables::get_int(std::string_view name) const {
  const std::string& text = get(name);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Result<std::string> Variables::show(std::string_view name) const {
  const Slot* slot = find(lower(name));
  if (slot == nullptr) {
    return fail(ErrorCode::kUndefinedObject, "unrecognized configuration parameter \"{}\"", name);
  }
  const VariableInfo* info = find_variable(name);
  return info != nullptr ? with_unit(*info, slot->current()) : slot->current();
}

Result<Variables::Change> Variables::set(std::string_view name, std::optional<std::string_view> value,
                                         bool local, bool internal) {
  const std::string key = lower(name);
  const VariableInfo* info = find_variable(name);
  if (info == nullptr && key.find('.') == key.npos) {
    return fail(ErrorCode::kUndefinedObject, "unrecognized configuration parameter \"{}\"", name);
  }
  if (info != nullptr && (info->flags & kFixed) != 0 && !internal) {
    return fail(ErrorCode::kCantChangeRuntimeParam, "parameter \"{}\" cannot be changed", info->name);
  }
  const Slot* found = find(key);
  std::string next;
  if (value) {
    if (info != nullptr) {
      const bool known = found != nullptr;
      BOP_LET(normal, normalise_variable(*info, *value, known ? found->current() : std::string_view(),
                                         known ? found->default_value : std::string_view()));
      next = std::move(normal);
    } else {
      next = std::string(*value);
    }
  } else if (found != nullptr) {
    next = found->default_value;
  }
  if (info != nullptr && info->name == "standard_conforming_strings" && next == "off") {
    return fail(ErrorCode::kNotImplemented, "standard_conforming_strings = off is not implemented");
  }
  change(key, std::move(next), local);
  change_twin(key, local);
  const Slot& slot = *find(key);
  const bool inert = info != nullptr && (info->flags & kInert) != 0 && slot.current() != slot.default_value;
  return Change{info, inert};
}

void Variables::change(const std::string& key, std::string next, bool local) {
  const Slot* found = find(key);
  journal_.push_back({key, found == nullptr ? std::nullopt : std::optional(*found)});
  Slot& slot = own(key);
  const std::string old_value = slot.current();
  if (local) {
    slot.local = std::move(next);
  } else {
    slot.session = std::move(next);
    slot.local.reset();
  }
  touched(key, old_value);
}

// The other name of the choice that `key` is, if it is one.
void Variables::change_twin(const std::string& key, bool local) {
  if (key == kDurability) {
    const bool off = get(kDurability) == "volatile";
    if (off != (get(kSynchronousCommit) == "off")) change(kSynchronousCommit, off ? "off" : "on", local);
  } else if (key == kSynchronousCommit) {
    change(kDurability, get(kSynchronousCommit) == "off" ? "volatile" : "durable", local);
  }
}

Status Variables::set_default(std::string_view name, std::string_view value, bool internal) {
  BOP_LET(changed, set(name, value, false, internal));
  (void)changed;
  for (const Undo& undo : journal_) {  // of it, and of its other name
    Slot& slot = own(undo.key);
    slot.default_value = slot.session;
  }
  journal_.clear();
  return {};
}

void Variables::reset_all() {
  for (auto& [key, slot] : slots_) {
    const VariableInfo* info = find_variable(key);
    const bool per_transaction = key.starts_with("transaction_");
    if (per_transaction || (info != nullptr && (info->flags & kFixed) != 0)) continue;
    if (slot.session == slot.default_value && !slot.local) continue;
    journal_.push_back({key, slot});
    const std::string old_value = slot.current();
    slot.session = slot.default_value;
    slot.local.reset();
    touched(key, old_value);
  }
}

void Variables::undo_to(Mark mark) {
  while (journal_.size() > mark) {
    Undo& undo = journal_.back();
    const Slot* slot = find(undo.key);
    const std::string old_value = slot == nullptr ? std::string() : slot->current();
    if (undo.before) {
      own(undo.key) = *undo.before;
      touched(undo.key, old_value);
    } else {
      slots_.erase(undo.key);
    }
    journal_.pop_back();
  }
}

void Variables::commit() {
  for (const Undo& undo : journal_) {
    const auto slot = slots_.find(undo.key);
    if (slot == slots_.end() || !slot->second.local) continue;
    const std::string old_value = slot->second.current();
    slot->second.local.reset();
    touched(undo.key, old_value);
  }
  journal_.clear();
}

void Variables::touched(const std::string& key, const std::string& old_value) {
  const VariableInfo* info = find_variable(key);
  if (info == nullptr || (info->flags & kReport) == 0 || find(key)->current() == old_value) return;
  if (std::ranges::find(reports_, info->name) == reports_.end()) reports_.emplace_back(info->name);
}

std::vector<std::string> Variables::take_reports() { return std::exchange(reports_, {}); }

std::vector<std::string> Variables::custom_names() const {
  std::vector<std::string> names;
  for (const Slots* slots : {&slots_, &untouched()}) {
    for (const auto& [key, slot] : *slots) {
      if (key.find('.') != key.npos) names.push_back(key);
    }
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

}  // namespace bop::session
