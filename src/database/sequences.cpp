#include "database/sequences.hpp"

#include <array>
#include <cstring>

#include "base/assert.hpp"
#include "database/records.hpp"

namespace bop::database {

namespace {

constexpr std::uint32_t kExhausted = 1;
constexpr std::uint32_t kDropped = 2;

std::array<std::byte, 4 + kSequenceEntryBytes> encode(Oid oid, std::uint32_t flags, std::int64_t next) {
  std::array<std::byte, 4 + kSequenceEntryBytes> out{};
  const std::uint32_t count = 1;
  std::memcpy(out.data(), &count, 4);
  std::memcpy(out.data() + 4, &oid, 4);
  std::memcpy(out.data() + 8, &flags, 4);
  std::memcpy(out.data() + 12, &next, 8);
  return out;
}

// The value after `value`; none at the end of a sequence that does not cycle.
std::optional<std::int64_t> after(const SequenceSpec& spec, std::int64_t value) {
  std::int64_t next = 0;
  const bool overflow = __builtin_add_overflow(value, spec.increment, &next);
  if (!overflow && next <= spec.max && next >= spec.min) return next;
  if (!spec.cycle) return std::nullopt;
  return spec.increment > 0 ? spec.min : spec.max;
}

}  // namespace

Result<SequenceValue> Sequences::nextval(Oid oid, const SequenceSpec& spec, const aof::FlushPolicy& flush) {
  BOP_ASSERT(spec.increment != 0 && spec.block > 0);
  std::lock_guard lock(mutex_);
  auto [it, fresh] = live_.try_emplace(oid);
  Live& live = it->second;
  if (fresh) live.durable = {oid, spec.start, false};
  if (live.left == 0) {
    if (live.durable.exhausted) {
      if (fresh) live_.erase(it);
      const bool up = spec.increment > 0;
      return fail(ErrorCode::kSequenceLimitExceeded, "nextval: reached {} value of sequence ({})",
                  up ? "maximum" : "minimum", up ? spec.max : spec.min);
    }
    // Walk the block, so that its end and a wrap-around inside it are exact.
    std::int64_t value = live.durable.next;
    std::uint64_t count = 1;
    std::optional<std::int64_t> next = after(spec, value);
    while (count < spec.block && next &&
           !(spec.cycle && (spec.increment > 0 ? *next < value : *next > value))) {
      value = *next;
      next = after(spec, value);
      ++count;
    }
    const SequenceState reserved{oid, next.value_or(value), !next.has_value()};
    const auto record = encode(oid, reserved.exhausted ? kExhausted : 0, reserved.next);
    auto lsn = append_(record, flush);
    if (!lsn) {
      if (fresh) live_.erase(it);
      return std::unexpected(std::move(lsn).error());
    }
    live.next = live.durable.next;
    live.left = count;
    live.durable = reserved;
    live.gate = *lsn;
  }
  const SequenceValue out{live.next, live.gate};
  live.last = live.next;
  if (--live.left > 0) live.next += spec.increment;
  return out;
}

Result<Lsn> Sequences::setval(Oid oid, const SequenceSpec& spec, std::int64_t value, bool is_called) {
  if (value < spec.min || value > spec.max) {
    return fail(ErrorCode::kNumericOutOfRange, "setval: value {} is out of bounds for sequence ({}..{})",
                value, spec.min, spec.max);
  }
  std::lock_guard lock(mutex_);
  SequenceState state{oid, value, false};
  if (is_called) {
    const auto next = after(spec, value);
    state.next = next.value_or(value);
    state.exhausted = !next.has_value();
  }
  const auto record = encode(oid, state.exhausted ? kExhausted : 0, state.next);
  BOP_LET(lsn, append_(record, {}));
  Live& live = live_[oid];
  live.durable = state;
  live.left = 0;
  live.gate = lsn;
  live.last = is_called ? std::optional(value) : std::nullopt;
  return lsn;
}

Result<Lsn> Sequences::drop(Oid oid) {
  std::lock_guard lock(mutex_);
  BOP_LET(lsn, append_(encode(oid, kDropped, 0), {}));
  live_.erase(oid);
  return lsn;
}

std::optional<std::int64_t> Sequences::last_value(Oid oid) const {
  std::lock_guard lock(mutex_);
  const auto it = live_.find(oid);
  return it == live_.end() ? std::nullopt : it->second.last;
}

std::optional<Sequences::Position> Sequences::position(Oid oid) const {
  std::lock_guard lock(mutex_);
  const auto it = live_.find(oid);
  if (it == live_.end()) return std::nullopt;
  const Live& live = it->second;
  if (live.last) return Position{*live.last, true};
  return Position{live.durable.next, live.durable.exhausted};
}

Status Sequences::replay(std::span<const std::byte> payload) {
  std::uint32_t count = 0;
  if (payload.size() >= 4) std::memcpy(&count, payload.data(), 4);
  if (payload.size() != 4 + std::size_t{count} * kSequenceEntryBytes) {
    return fail(ErrorCode::kCorrupt, "sequence record: {} bytes do not hold {} entries", payload.size(),
                count);
  }
  std::lock_guard lock(mutex_);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::byte* at = payload.data() + 4 + i * kSequenceEntryBytes;
    SequenceState state;
    std::uint32_t flags = 0;
    std::memcpy(&state.oid, at, 4);
    std::memcpy(&flags, at + 4, 4);
    std::memcpy(&state.next, at + 8, 8);
    if ((flags & ~(kExhausted | kDropped)) != 0) {
      return fail(ErrorCode::kCorrupt, "sequence record: unknown flags {:#x} for sequence {}", flags,
                  state.oid);
    }
    if ((flags & kDropped) != 0) {
      live_.erase(state.oid);
      continue;
    }
    state.exhausted = (flags & kExhausted) != 0;
    live_[state.oid] = Live{.durable = state};
  }
  return {};
}

std::vector<SequenceState> Sequences::save() const {
  std::lock_guard lock(mutex_);
  std::vector<SequenceState> out;
  for (const auto& [oid, live] : live_) out.push_back(live.durable);
  return out;
}

void Sequences::restore(std::span<const SequenceState> states) {
  std::lock_guard lock(mutex_);
  live_.clear();
  for (const auto& state : states) live_[state.oid] = Live{.durable = state};
}

}  // namespace bop::database
