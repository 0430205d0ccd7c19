#include "aof/producer_table.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "aof/record.hpp"

namespace bop::aof {

namespace {

template <class T>
void put(std::vector<std::byte>& out, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

// Takes a number from the front; false when there are too few bytes.
template <class T>
bool take(std::span<const std::byte>& from, T& value) {
  if (from.size() < sizeof value) return false;
  std::memcpy(&value, from.data(), sizeof value);
  from = from.subspan(sizeof value);
  return true;
}

}  // namespace

Result<std::optional<Lsn>> ProducerTable::find(std::uint64_t producer, std::uint64_t sequence) const {
  const auto found = producers_.find(producer);
  if (found == producers_.end() || sequence > found->second.back().sequence) return std::nullopt;
  for (const Number& number : found->second) {
    if (number.sequence == sequence) return number.lsn;
  }
  return fail(
      ErrorCode::kInvalidArgument,
      "number {} of producer {} is below its newest, {}, and not among the last {} that are remembered",
      sequence, producer, found->second.back().sequence, kRememberedNumbers);
}

std::optional<std::uint64_t> ProducerTable::newest(std::uint64_t producer) const {
  const auto found = producers_.find(producer);
  if (found == producers_.end()) return std::nullopt;
  return found->second.back().sequence;
}

void ProducerTable::note(std::uint64_t producer, std::uint64_t sequence, Lsn lsn) {
  auto& numbers = producers_[producer];
  if (!numbers.empty() && numbers.back().sequence >= sequence) return;
  numbers.push_back({sequence, lsn});
  if (numbers.size() > kRememberedNumbers) numbers.pop_front();
}

std::vector<std::byte> ProducerTable::encode() const {
  std::vector<std::byte> out;
  put(out, static_cast<std::uint32_t>(producers_.size()));
  put(out, std::uint32_t{0});
  for (const auto& [producer, numbers] : producers_) {
    put(out, producer);
    put(out, static_cast<std::uint32_t>(numbers.size()));
    put(out, std::uint32_t{0});
    for (const Number& number : numbers) {
      put(out, number.sequence);
      put(out, number.lsn.value);
    }
  }
  return out;
}

bool ProducerTable::decode(std::span<const std::byte> payload) {
  std::map<std::uint64_t, std::deque<Number>> producers;
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
  if (!take(payload, count) || !take(payload, reserved) || reserved != 0) return false;
  std::uint64_t last = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint64_t producer = 0;
    std::uint32_t numbers = 0;
    if (!take(payload, producer) || !take(payload, numbers) || !take(payload, reserved)) return false;
    if (producer <= last || numbers == 0 || numbers > kRememberedNumbers || reserved != 0) return false;
    last = producer;
    auto& known = producers[producer];
    for (std::uint32_t j = 0; j < numbers; ++j) {
      Number number;
      if (!take(payload, number.sequence) || !take(payload, number.lsn.value)) return false;
      if (!known.empty() && known.back().sequence >= number.sequence) return false;
      known.push_back(number);
    }
  }
  if (!payload.empty()) return false;
  producers_ = std::move(producers);
  return true;
}

Status Producers::open() {
  const Lsn newest = stream_.newest_of(states_);
  if (newest.value == 0) return {};  // no producer has ever appended
  BOP_LET(reader, stream_.read_from(std::max(newest, stream_.first())));
  for (;;) {
    BOP_LET(record, reader->next());
    if (!record.has_value()) return {};
    if (record->database == states_) {
      if (record->kind != RecordKind::kProducer || !table_.decode(record->payload)) {
        return fail(ErrorCode::kCorrupt, "the record with LSN {} is not a state of producers",
                    record->lsn.value);
      }
    } else if (record->database == records_ && record->producer != 0) {
      table_.note(record->producer, record->sequence, record->lsn);
    }
  }
}

Status Producers::write_state() {
  const auto payload = table_.encode();
  const std::span<const std::byte> part(payload);
  const RecordInput state{.database = states_, .kind = RecordKind::kProducer, .payload = std::span(&part, 1)};
  BOP_TRY(stream_.append(std::span(&state, 1)));
  rotations_ = stream_.metrics().rotations.load(std::memory_order_relaxed);
  ++written_.records;
  written_.bytes += record_bytes(payload.size());
  return {};
}

Producers::Written Producers::written() const {
  std::scoped_lock lock(mutex_);
  return written_;
}

bool Producers::is_due() const {
  return rotations_ != stream_.metrics().rotations.load(std::memory_order_relaxed);
}

Result<Producers::Appended> Producers::append(const RecordInput& record) {
  std::scoped_lock lock(mutex_);
  BOP_LET(before, table_.find(record.producer, record.sequence));
  if (before.has_value()) return Appended{*before, true};
  if (!table_.knows(record.producer) && table_.size() >= most_) {
    return fail(ErrorCode::kConfigurationLimitExceeded,
                "producer {} is new, and {} are remembered already, which is max_producers", record.producer,
                table_.size());
  }
  if (is_due()) BOP_TRY(write_state());
  BOP_LET(lsn, stream_.append(std::span(&record, 1)));
  table_.note(record.producer, record.sequence, lsn);
  return Appended{lsn, false};
}

std::optional<std::uint64_t> Producers::newest(std::uint64_t producer) const {
  std::scoped_lock lock(mutex_);
  return table_.newest(producer);
}

void Producers::forget(std::uint64_t producer) {
  std::scoped_lock lock(mutex_);
  table_.forget(producer);
}

Status Producers::maintain() {
  std::scoped_lock lock(mutex_);
  if (table_.size() == 0 || !is_due()) return {};
  return write_state();
}

Result<Lsn> Producers::allow_trim(Lsn below) {
  Lsn newest;
  {
    std::scoped_lock lock(mutex_);
    newest = stream_.newest_of(states_);
    if (newest.value == 0) return below;
    if (newest < below) {
      BOP_TRY(write_state());
      newest = stream_.newest_of(states_);
    }
  }
  BOP_TRY(stream_.wait_durable(newest));
  return std::min(below, newest);
}

}  // namespace bop::aof
