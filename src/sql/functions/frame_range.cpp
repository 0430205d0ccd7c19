#include "sql/functions/frame_range.hpp"

#include <cmath>

#include "sql/types/datetime.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/numeric.hpp"
#include "sql/types/types.hpp"

namespace bop {
namespace {

std::unexpected<Error> bad_offset() {
  return std::unexpected(
      error(ErrorCode::kInvalidFrameOffset, "invalid preceding or following size in window function"));
}

Result<bool> in_range_integer(std::int64_t value, std::int64_t base, std::int64_t offset, bool subtract,
                              bool less) {
  if (offset < 0) return bad_offset();
  const __int128 sum = subtract ? static_cast<__int128>(base) - offset : static_cast<__int128>(base) + offset;
  return less ? value <= sum : value >= sum;
}

Result<bool> in_range_float(double value, double base, double offset, bool subtract, bool less) {
  if (std::isnan(offset) || offset < 0) return bad_offset();
  if (std::isnan(value)) return std::isnan(base) || !less;
  if (std::isnan(base)) return less;
  // An infinite offset from the infinity that it leads away from takes in all.
  if (std::isinf(offset) && std::isinf(base) && (subtract ? base > 0 : base < 0)) return true;
  const double sum = subtract ? base - offset : base + offset;
  return less ? value <= sum : value >= sum;
}

Result<bool> in_range_numeric(const Numeric& value, const Numeric& base, const Numeric& offset, bool subtract,
                              bool less) {
  using Kind = Numeric::Kind;
  if (offset.is_nan() || offset.sign() < 0) return bad_offset();
  if (value.is_nan()) return base.is_nan() || !less;
  if (base.is_nan()) return less;
  if (!offset.is_finite()) {
    if (base.kind() == (subtract ? Kind::kInfinity : Kind::kNegativeInfinity)) return true;
    if (subtract) return less ? value.kind() == Kind::kNegativeInfinity : true;
    return less ? true : value.kind() == Kind::kInfinity;
  }
  if (!value.is_finite()) {
    const bool positive = value.kind() == Kind::kInfinity;
    return value.kind() == base.kind() || (positive ? !less : less);
  }
  if (!base.is_finite()) return base.kind() == Kind::kInfinity ? less : !less;
  BOP_LET(sum, subtract ? Numeric::subtract(base, offset) : Numeric::add(base, offset));
  const int order = Numeric::compare(value, sum);
  return less ? order <= 0 : order >= 0;
}

Result<std::int64_t> timestamp_of_date(std::int64_t date) {
  if (date == kDateInfinity) return kTimestampInfinity;
  if (date == kDateMinusInfinity) return kTimestampMinusInfinity;
  if (date > kEndTimestamp / kUsPerDay - 1)
    return fail(ErrorCode::kDatetimeOutOfRange, "date out of range for timestamp");
  return date * kUsPerDay;
}

}  // namespace

Result<bool> in_range(Oid type, const Value& value, const Value& base, const Value& offset, bool subtract,
                      bool less, const CodecContext& context) {
  switch (type) {
    case types::kInt2:
    case types::kInt4:
    case types::kInt8: return in_range_integer(value.integer, base.integer, offset.integer, subtract, less);
    case types::kFloat4:
    case types::kFloat8:
      return in_range_float(float_of(value), float_of(base), float_of(offset), subtract, less);
    case types::kNumeric:
      return in_range_numeric(Numeric::parse_stored(value.bytes), Numeric::parse_stored(base.bytes),
                              Numeric::parse_stored(offset.bytes), subtract, less);
    default: break;
  }
  Interval step = Interval::of_stored(offset.bytes);
  if (type == types::kTime ||
      type == types::kTimetz) {  // only its hours count, and the clock does not go round
    if (step.us < 0) return bad_offset();
    const auto sum_of = [&](std::int64_t us) {
      return subtract ? static_cast<__int128>(us) - step.us : static_cast<__int128>(us) + step.us;
    };
    if (type == types::kTime) {
      const __int128 sum = sum_of(base.integer);
      return less ? value.integer <= sum : value.integer >= sum;
    }
    const TimeTz a = TimeTz::of_stored(value.bytes);
    const TimeTz b = TimeTz::of_stored(base.bytes);
    const __int128 sum = sum_of(b.us) + static_cast<__int128>(b.west) * kUsPerSecond;
    const bool same = a.utc() == sum;
    // Of one instant the zone further west is later.
    return less ? a.utc() < sum || (same && a.west <= b.west) : a.utc() > sum || (same && a.west >= b.west);
  }
  if (Interval::compare(step, Interval{}) < 0) return bad_offset();
  if (subtract) {
    BOP_LET(negative, step.negated());
    step = negative;
  }
  if (type == types::kInterval) {
    BOP_LET(sum, Interval::add(Interval::of_stored(base.bytes), step));
    const int order = Interval::compare(Interval::of_stored(value.bytes), sum);
    return less ? order <= 0 : order >= 0;
  }
  std::int64_t from = base.integer;
  std::int64_t at = value.integer;
  if (type == types::kDate) {
    BOP_LET(from_date, timestamp_of_date(from));
    BOP_LET(at_date, timestamp_of_date(at));
    from = from_date;
    at = at_date;
  }
  BOP_LET(sum, type == types::kTimestamptz ? add_interval_tz(from, step, context) : add_interval(from, step));
  return less ? at <= sum : at >= sum;
}

}  // namespace bop
