// bop_framed: window functions over frames that SQLite cannot say, which are RANGE with an offset (other than
// of plain numbers), offsets that are not constant, and what a query writes beside those.
//
//   bop_framed(spec, start, end, n, key 1, ... key n, filter, arguments...) OVER (PARTITION BY ... ORDER BY
//   keys
//     ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
//
// So SQLite hands over all rows of a partition in their order and then asks for the value of each, one after
// the other. The frames are those of PostgreSQL's nodeWindowAgg.c: their ends only move forward. An aggregate
// takes in and gives back rows as its frame moves; with EXCLUDE it is computed anew for each row.
//
// `spec` is text, fields separated by blanks: the OID of the aggregate's kernel, or 1 first_value, 2
// last_value, 3 nth_value; the frame options of PostgreSQL; 1 if the first key descends; 1 if its NULLs come
// first; the types of the keys as a list with commas; and the argument types as arg_types_literal writes
// them, '-' if untyped. `start` and `end` are the offsets, NULL where there is none. A row whose `filter` is
// not true is in the frame, but not seen by the aggregate.
#include <sqlite3.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <memory>
#include <utility>

#include "base/memory_use.hpp"
#include "sql/functions/frame_range.hpp"
#include "sql/functions/sqlite_binding.hpp"

namespace bop {
namespace {

// FRAMEOPTION_* of PostgreSQL.
constexpr int kRange = 0x2, kRows = 0x4, kStartUnbounded = 0x20, kEndUnbounded = 0x100, kStartCurrent = 0x200,
              kEndCurrent = 0x400, kStartPreceding = 0x800, kEndPreceding = 0x1000, kExcludeCurrent = 0x8000,
              kExcludeGroup = 0x10000, kExcludeTies = 0x20000;
constexpr int kStartOffset = kStartPreceding | 0x2000, kEndOffset = kEndPreceding | 0x4000;
constexpr int kExclude = kExcludeCurrent | kExcludeGroup | kExcludeTies;

struct Spec {
  Oid function = 0;
  int options = 0;
  bool descending = false, nulls_first = false;
  std::vector<Oid> keys, arguments;
  bool typed = false;

  explicit Spec(std::string_view text) {
    const auto field = [&] {
      const std::size_t end = std::min(text.find(' '), text.size());
      const std::string_view out = text.substr(0, end);
      text.remove_prefix(std::min(text.size(), end + 1));
      return out;
    };
    const auto number = [&] {
      const std::string_view digits = field();
      std::uint32_t out = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), out);
      return out;
    };
    bool variadic = false;
    function = number();
    options = static_cast<int>(number());
    descending = number() != 0;
    nulls_first = number() != 0;
    parse_arg_types(field(), keys, variadic);
    const std::string_view types = field();
    typed = types != "-";
    if (typed) parse_arg_types(types, arguments, variadic);
  }
};

struct Row {
  std::vector<OwnedValue> keys, arguments;
  bool passes = true;
};

// count, min and max, which elsewhere are SQLite's own.
class Count final : public Aggregate {
 public:
  Status step(Call& c) override {
    count_ += c.size() == 0 || !c[0].is_null() ? 1 : 0;
    return {};
  }
  Status undo(Call& c) override {
    count_ -= c.size() == 0 || !c[0].is_null() ? 1 : 0;
    return {};
  }
  Returned value(FunctionContext&) const override { return int_result(count_); }

 private:
  std::int64_t count_ = 0;
};

class Extreme final : public Aggregate {
 public:
  Extreme(Oid type, bool largest) : type_(type), largest_(largest) {}
  Status step(Call& c) override {
    if (c[0].is_null()) return {};
    // What is older and no better will never be the answer.
    while (!candidates_.empty()) {
      const int order = compare(type_, candidates_.back().second, c[0]);
      if (largest_ ? order > 0 : order < 0) break;
      candidates_.pop_back();
    }
    candidates_.emplace_back(next_++, OwnedValue(c[0]));
    return {};
  }
  Status undo(Call& c) override {
    if (c[0].is_null()) return {};
    if (!candidates_.empty() && candidates_.front().first == oldest_) candidates_.pop_front();
    ++oldest_;
    return {};
  }
  Returned value(FunctionContext&) const override {
    return candidates_.empty() ? OwnedValue::null() : candidates_.front().second;
  }

 private:
  Oid type_;
  bool largest_;
  std::uint64_t next_ = 0, oldest_ = 0;
  std::deque<std::pair<std::uint64_t, OwnedValue>> candidates_;
};

class Partition {
 public:
  explicit Partition(std::string_view spec) : spec_(spec) {
    if (spec_.function > 3) {
      kernel_ = find_kernel(spec_.function);
      BOP_ASSERT(kernel_ != nullptr);
    }
  }

  Status add(FunctionContext& context, int n, sqlite3_value** v) {
    constexpr int kFirstKey = 4;
    if (rows_.empty()) {
      start_ = OwnedValue(value_of(v[1]));
      end_ = OwnedValue(value_of(v[2]));
    }
    const auto keys = static_cast<int>(sqlite3_value_int64(v[3]));
    Row& row = rows_.emplace_back();
    kept_ += sizeof(Row);
    for (int i = kFirstKey; i < n; ++i) {
      if (i == kFirstKey + keys) {
        row.passes = sqlite3_value_int(v[i]) != 0;
        continue;
      }
      const Value value = value_of(v[i]);
      kept_ += sizeof(OwnedValue) + value.bytes.size();
      (i < kFirstKey + keys ? row.keys : row.arguments).emplace_back(value);
    }
    if (kept_ > most_value_bytes()) {
      return std::unexpected(error(ErrorCode::kProgramLimitExceeded, "out of memory")
                                 .detail(fmt::format("The rows of a partition of a window exceed {} bytes.",
                                                     most_value_bytes())));
    }
    return rows_.size() % kLookEvery == 0 ? interrupted(context) : Status();
  }

  // Of the next row.
  Returned next_value(FunctionContext& context) {
    if (next_ == 0) BOP_TRY(begin());
    const std::size_t row = next_++;
    if (row % kLookEvery == 0) BOP_TRY(interrupted(context));
    BOP_TRY(move_frame(context, row));
    return kernel_ == nullptr ? chosen(row) : aggregated(context, row);
  }

 private:
  static constexpr std::size_t kLookEvery = 4096;

  Status begin() {
    peers_.assign(rows_.size(), 0);
    for (std::size_t i = 1; i < rows_.size(); ++i) peers_[i] = peers_[i - 1] + (same_keys(i - 1, i) ? 0 : 1);
    group_begins_.clear();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (i == 0 || peers_[i] != peers_[i - 1]) group_begins_.push_back(i);
    }
    group_begins_.push_back(rows_.size());
    for (const bool start : {true, false}) {
      const OwnedValue& offset = start ? start_ : end_;
      if ((spec_.options & (start ? kStartOffset : kEndOffset)) == 0) continue;
      const std::string_view what = start ? "starting" : "ending";
      if (offset.is_null()) return fail(ErrorCode::kNullNotAllowed, "frame {} offset must not be null", what);
      if ((spec_.options & kRange) == 0 && offset.integer() < 0)
        return fail(ErrorCode::kInvalidFrameOffset, "frame {} offset must not be negative", what);
    }
    return {};
  }

  [[nodiscard]] bool same_keys(std::size_t a, std::size_t b) const {
    for (std::size_t i = 0; i < rows_[a].keys.size(); ++i) {
      const Value x = rows_[a].keys[i];
      const Value y = rows_[b].keys[i];
      if (x.is_null() != y.is_null() || (!x.is_null() && compare(spec_.keys[i], x, y) != 0)) return false;
    }
    return true;
  }

  // The place `steps` rows or groups before or after, as the first row of it.
  [[nodiscard]] std::size_t place(std::size_t row, std::int64_t steps, bool back, bool behind) const {
    const bool rows = (spec_.options & kRows) != 0;
    const std::size_t at = rows ? row : peers_[row];
    const std::size_t last = rows ? rows_.size() : group_begins_.size() - 1;
    const auto many = static_cast<std::uint64_t>(steps);
    std::size_t out = 0;
    if (back) {
      if (many > at) return 0;
      out = at - many;
    } else {
      out = many >= last - at ? last : at + many;
    }
    out = behind && out < last ? out + 1 : out;
    return rows ? out : group_begins_[out];
  }

  // [begin_, end) of the row, before EXCLUDE.
  Status move_frame(FunctionContext& context, std::size_t row) {
    const int f = spec_.options;
    if ((f & kStartUnbounded) != 0) {
      frame_begin_ = 0;
    } else if ((f & kStartCurrent) != 0) {
      frame_begin_ = (f & kRows) != 0 ? row : group_begins_[peers_[row]];
    } else if ((f & kRange) != 0) {
      BOP_TRY(move_range(context, row, true));
    } else {
      frame_begin_ = place(row, start_.integer(), (f & kStartPreceding) != 0, false);
    }
    if ((f & kEndUnbounded) != 0) {
      frame_end_ = rows_.size();
    } else if ((f & kEndCurrent) != 0) {
      frame_end_ = (f & kRows) != 0 ? row + 1 : group_begins_[peers_[row] + 1];
    } else if ((f & kRange) != 0) {
      BOP_TRY(move_range(context, row, false));
    } else {
      const bool back = (f & kEndPreceding) != 0;
      const std::uint64_t at = (f & kRows) != 0 ? row : peers_[row];
      frame_end_ = back && static_cast<std::uint64_t>(end_.integer()) > at
                       ? 0
                       : place(row, end_.integer(), back, true);
    }
    return {};
  }

  Status move_range(FunctionContext& context, std::size_t row, bool start) {
    const bool preceding = (spec_.options & (start ? kStartPreceding : kEndPreceding)) != 0;
    const bool subtract = preceding != spec_.descending;
    const bool less = start == spec_.descending;
    std::size_t& at = start ? frame_begin_ : frame_end_;
    const Value current = rows_[row].keys[0];
    for (; at < rows_.size(); ++at) {
      const Value key = rows_[at].keys[0];
      if (key.is_null() || current.is_null()) {
        const bool before =
            spec_.nulls_first ? key.is_null() && !current.is_null() : !key.is_null() && current.is_null();
        const bool after =
            spec_.nulls_first ? !key.is_null() && current.is_null() : key.is_null() && !current.is_null();
        if (start ? !before : after) break;
        continue;
      }
      BOP_LET(inside,
              in_range(spec_.keys[0], key, current, start ? start_ : end_, subtract, less, context.codec));
      if (inside == start) break;
    }
    return {};
  }

  [[nodiscard]] bool excluded(std::size_t row, std::size_t other) const {
    if ((spec_.options & kExcludeCurrent) != 0) return other == row;
    if ((spec_.options & kExcludeGroup) != 0) return peers_[other] == peers_[row];
    if ((spec_.options & kExcludeTies) != 0) return other != row && peers_[other] == peers_[row];
    return false;
  }

  Returned chosen(std::size_t row) const {
    enum { kFirst = 1, kLast = 2 };
    std::int64_t wanted = 1;
    if (spec_.function > kLast) {
      const OwnedValue& number = rows_[row].arguments[1];
      if (number.is_null()) return OwnedValue::null();
      wanted = number.integer();
      if (wanted <= 0)
        return fail(ErrorCode::kInvalidArgumentForNthValue,
                    "argument of nth_value must be greater than zero");
    }
    if (spec_.function == kLast) {
      for (std::size_t i = frame_end_; i > frame_begin_; --i) {
        if (!excluded(row, i - 1)) return rows_[i - 1].arguments[0];
      }
      return OwnedValue::null();
    }
    for (std::size_t i = frame_begin_; i < frame_end_; ++i) {
      if (!excluded(row, i) && --wanted == 0) return rows_[i].arguments[0];
    }
    return OwnedValue::null();
  }

  [[nodiscard]] std::unique_ptr<Aggregate> fresh() const {
    if (kernel_->name == "count") return std::make_unique<Count>();
    const Implementation& implementation = implementation_of(*kernel_);
    if (implementation.aggregate) return implementation.aggregate();
    return std::make_unique<Extreme>(kernel_->args[0], kernel_->name == "max");
  }

  Status run(FunctionContext& context, std::size_t row, bool undo) {
    if (!rows_[row].passes) return {};
    values_.assign(rows_[row].arguments.begin(), rows_[row].arguments.end());
    Call call{.args = values_,
              .context = context,
              .kernel = *kernel_,
              .types = spec_.typed ? std::span<const Oid>(spec_.arguments) : std::span<const Oid>()};
    return undo ? state_->undo(call) : state_->step(call);
  }

  Returned aggregated(FunctionContext& context, std::size_t row) {
    const bool excludes = (spec_.options & kExclude) != 0;
    const bool empty = frame_begin_ >= frame_end_;
    bool anew = excludes || state_ == nullptr || empty || frame_begin_ >= seen_end_ ||
                frame_end_ < seen_end_ || frame_begin_ < seen_begin_;
    if (!anew) {
      for (; seen_begin_ < frame_begin_ && !anew; ++seen_begin_) {
        anew = !run(context, seen_begin_, true).has_value();  // some cannot give back
      }
    }
    if (anew) {
      state_ = fresh();
      seen_begin_ = seen_end_ = frame_begin_;
    }
    for (; seen_end_ < frame_end_; ++seen_end_) {
      if (!excludes || !excluded(row, seen_end_)) BOP_TRY(run(context, seen_end_, false));
    }
    return state_->value(context);
  }

  Spec spec_;
  const Kernel* kernel_ = nullptr;
  OwnedValue start_, end_;
  std::vector<Row> rows_;
  std::vector<std::size_t> peers_;         // the group of each row
  std::vector<std::size_t> group_begins_;  // and the end of the last
  std::size_t kept_ = 0;
  std::size_t next_ = 0;
  std::size_t frame_begin_ = 0, frame_end_ = 0;
  std::size_t seen_begin_ = 0, seen_end_ = 0;  // what `state_` holds
  std::unique_ptr<Aggregate> state_;
  std::vector<Value> values_;
};

Partition** partition_of(sqlite3_context* sc, int size) {
  return static_cast<Partition**>(sqlite3_aggregate_context(sc, size));
}
FunctionContext& context_of(sqlite3_context* sc) {
  return *static_cast<Binding*>(sqlite3_user_data(sc))->context;
}

void step(sqlite3_context* sc, int n, sqlite3_value** v) {
  Partition** partition = partition_of(sc, sizeof(Partition*));
  if (partition == nullptr) return sqlite3_result_error_nomem(sc);
  if (*partition == nullptr) *partition = new Partition(value_of(v[0]).bytes);
  if (Status added = (*partition)->add(context_of(sc), n, v); !added)
    report(sc, context_of(sc), std::move(added).error());
}
void undo(sqlite3_context*, int, sqlite3_value**) {}  // the frame begins with the partition
void value(sqlite3_context* sc) {
  Partition** partition = partition_of(sc, 0);
  if (partition == nullptr || *partition == nullptr) return sqlite3_result_null(sc);
  auto result = (*partition)->next_value(context_of(sc));
  if (!result) return report(sc, context_of(sc), std::move(result).error());
  set_result(sc, *result);
}
void finish(sqlite3_context* sc) {
  Partition** partition = partition_of(sc, 0);
  if (partition == nullptr) return;
  delete *partition;
  *partition = nullptr;
}

}  // namespace

Status register_frames(sqlite3* connection, Binding* binding) {
  if (sqlite3_create_window_function(connection, "bop_framed", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                     binding, step, finish, value, undo, nullptr) != SQLITE_OK) {
    return fail(ErrorCode::kInternal, "SQLite refused a function: {}", sqlite3_errmsg(connection));
  }
  return {};
}

}  // namespace bop
