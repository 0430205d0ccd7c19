#include "aof/tier/bucket_register.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "aof/tier/byte_codec.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr char kMagic[8] = {'B', 'O', 'P', 'R', 'E', 'G', 'I', '\n'};

template <std::size_t N>
void take_array(ByteSource& source, std::array<std::uint8_t, N>& out) {
  const auto bytes = source.bytes(N);
  if (bytes.size() == N) std::memcpy(out.data(), bytes.data(), N);
}

bool is_sound(const BucketRegister& reg) {
  if (reg.epoch.value == 0 || reg.revision == 0 || reg.history.empty() ||
      reg.history.size() > kMostRegisterEpochs) {
    return false;
  }
  if (reg.history.back().epoch != reg.epoch || reg.low_number > reg.archived_number + 1) return false;
  if (reg.low > reg.archived.index.next()) return false;
  for (std::size_t i = 0; i < reg.history.size(); ++i) {
    const RegisterEpoch& entry = reg.history[i];
    if (entry.epoch.value == 0 || entry.start != entry.before.index.next() || entry.start_number == 0)
      return false;
    if (entry.start_number > reg.archived_number + 1 || entry.start > reg.archived.index.next()) return false;
    if (i == 0) continue;
    const RegisterEpoch& before = reg.history[i - 1];
    if (entry.epoch <= before.epoch || entry.start_number <= before.start_number ||
        entry.start < before.start) {
      return false;
    }
  }
  return true;
}

// Entries that say nothing any more: everything of theirs is below `low`.
void prune(BucketRegister& reg) {
  const auto keep = std::find_if(reg.history.begin(), reg.history.end(), [&](const RegisterEpoch& entry) {
    const auto next = &entry + 1;
    return next == reg.history.data() + reg.history.size() || next->start_number > reg.low_number;
  });
  reg.history.erase(reg.history.begin(), keep);
}

// What the oldest segment here says of its predecessor.
struct FirstHere {
  std::uint64_t number = 1;
  std::uint64_t previous_number = 0;
  RecordLink previous;
};
FirstHere first_of(const LocalChain& local) {
  if (!local.manifest->segments().empty()) {
    const SegmentFacts& facts = local.manifest->segments().begin()->second.facts;
    return {facts.id.number, facts.previous_number, facts.previous};
  }
  if (local.active.has_value()) {
    return {local.active->number, local.active->previous_number, local.active->previous};
  }
  return {};
}

template <class... Args>
std::unexpected<Error> parted(fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected(
      Error(ErrorCode::kNotInPrerequisiteState, fmt::format(text, std::forward<Args>(args)...))
          .hint(
              "Rebuild the log from the archive, or archive this one elsewhere (another bucket or prefix)."));
}

Status check_agreement(const BucketRegister& old, const LocalChain& local, std::string_view where) {
  const FirstHere first = first_of(local);
  const std::uint64_t number = old.archived_number;
  const SegmentState* here = local.manifest->find(number);
  if (here != nullptr) {
    if (here->facts.last == old.archived) return {};
    return parted("{}: the archive's segment {} ends at LSN {}, and here it ends otherwise at LSN {}", where,
                  number, old.archived.index.value, here->facts.last.index.value);
  }
  if (first.previous_number == number) {
    if (first.previous == old.archived) return {};
    return parted("{}: the archive's segment {} ends at LSN {} with another entry than the log here", where,
                  number, old.archived.index.value);
  }
  if (first.number > number) {
    return parted(
        "{}: the archive ends with segment {}, and the log here begins behind a gap, with segment {}", where,
        number, first.number);
  }
  return parted("{}: the archive goes on to segment {} (LSN {}), which the log here does not have", where,
                number, old.archived.index.value);
}

}  // namespace

std::vector<std::byte> encode_register(const BucketRegister& reg) {
  std::vector<std::byte> out;
  ByteSink sink(out);
  sink.bytes(std::as_bytes(std::span(kMagic)));
  sink.number(kRegisterVersion);
  sink.number(std::uint16_t{0});
  sink.number(static_cast<std::uint32_t>(reg.history.size()));
  sink.bytes(std::as_bytes(std::span(reg.identity)));
  sink.number(reg.epoch.value);
  sink.bytes(std::as_bytes(std::span(reg.writer)));
  sink.number(reg.revision);
  sink.number(reg.archived_number);
  put(sink, reg.archived);
  sink.number(reg.low_number);
  sink.number(reg.low.value);
  sink.number(reg.published_us);
  for (const RegisterEpoch& entry : reg.history) {
    sink.number(entry.epoch.value);
    sink.number(entry.start_number);
    sink.number(entry.start.value);
    put(sink, entry.before);
  }
  sink.number(crc64(crc64(0, std::as_bytes(std::span(reg.identity))), out));
  return out;
}

Result<BucketRegister> decode_register(std::span<const std::byte> bytes, const StreamIdentity& identity,
                                       std::string_view where) {
  const auto damaged = [&] {
    return std::unexpected(error(ErrorCode::kCorrupt, "{}: the register is damaged", where)
                               .hint("Nothing is archived until it is right again; no object was removed."));
  };
  if (bytes.size() < kRegisterHeadBytes + 8 || bytes.size() > kMostRegisterBytes) return damaged();
  BucketRegister reg;
  std::memcpy(reg.identity.data(), bytes.data() + 16, reg.identity.size());
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, bytes.data() + bytes.size() - 8, sizeof checksum);
  if (std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0 ||
      checksum != crc64(crc64(0, std::as_bytes(std::span(reg.identity))), bytes.first(bytes.size() - 8))) {
    return damaged();
  }
  ByteSource source(bytes.subspan(8, bytes.size() - 16));
  if (source.number<std::uint16_t>() != kRegisterVersion || source.number<std::uint16_t>() != 0) {
    return fail(ErrorCode::kFormatTooNew, "{}: the register was written by a newer version", where);
  }
  const auto epochs = source.number<std::uint32_t>();
  take_array(source, reg.identity);
  reg.epoch = Epoch(source.number<std::uint64_t>());
  take_array(source, reg.writer);
  reg.revision = source.number<std::uint64_t>();
  reg.archived_number = source.number<std::uint64_t>();
  reg.archived = take_link(source);
  reg.low_number = source.number<std::uint64_t>();
  reg.low = Lsn(source.number<std::uint64_t>());
  reg.published_us = source.number<std::int64_t>();
  for (std::uint32_t i = 0; i < epochs && !source.ran_out(); ++i) {
    RegisterEpoch entry;
    entry.epoch = Epoch(source.number<std::uint64_t>());
    entry.start_number = source.number<std::uint64_t>();
    entry.start = Lsn(source.number<std::uint64_t>());
    entry.before = take_link(source);
    reg.history.push_back(entry);
  }
  if (!source.good() || !is_sound(reg)) return damaged();
  if (reg.identity != identity) {
    return fail(ErrorCode::kCorrupt, "{}: the register is of the log {}", where,
                print_identity(reg.identity));
  }
  return reg;
}

std::optional<Epoch> epoch_of(const BucketRegister& reg, std::uint64_t number) noexcept {
  if (number < reg.low_number || number > reg.archived_number) return std::nullopt;
  std::optional<Epoch> found;
  for (const RegisterEpoch& entry : reg.history) {
    if (entry.start_number > number) break;
    found = entry.epoch;
  }
  return found;
}

bool counts(const BucketRegister& reg, const ObjectKey& key) noexcept {
  if (epoch_of(reg, key.number) != key.epoch || key.base < reg.low || key.last > reg.archived.index)
    return false;
  const auto entry =
      std::ranges::find_if(reg.history, [&](const RegisterEpoch& e) { return e.epoch == key.epoch; });
  if (key.base < entry->start) return false;
  return entry + 1 == reg.history.end() || key.last < (entry + 1)->start;
}

Result<BucketRegister> taken_over(const std::optional<BucketRegister>& old, const LocalChain& local,
                                  const WriterId& writer, std::int64_t now_us, std::string_view where) {
  BucketRegister reg;
  if (old.has_value()) {
    BOP_TRY(check_agreement(*old, local, where));
    reg = *old;
  } else {
    const FirstHere first = first_of(local);
    reg.identity = local.manifest->identity();
    reg.archived_number = first.previous_number;
    reg.archived = first.previous;
    reg.low_number = first.previous_number + 1;
    reg.low = first.previous.index.next();
  }
  reg.epoch = reg.epoch.next();
  reg.writer = writer;
  ++reg.revision;
  reg.published_us = now_us;
  const RegisterEpoch entry{reg.epoch, reg.archived_number + 1, reg.archived.index.next(), reg.archived};
  while (!reg.history.empty() && reg.history.back().start_number == entry.start_number)
    reg.history.pop_back();
  reg.history.push_back(entry);
  prune(reg);
  if (reg.history.size() > kMostRegisterEpochs) {
    return std::unexpected(error(ErrorCode::kProgramLimitExceeded,
                                 "{}: segments of {} epochs are in the archive, {} are the most", where,
                                 reg.history.size(), kMostRegisterEpochs)
                               .hint("Let retention delete the oldest ones, or archive to another prefix."));
  }
  return reg;
}

Result<BucketRegister> published(const BucketRegister& old, std::span<const SegmentFacts> segments,
                                 std::int64_t now_us) {
  BucketRegister reg = old;
  for (const SegmentFacts& facts : segments) {
    if (facts.previous_number != reg.archived_number || facts.previous != reg.archived) {
      return fail(ErrorCode::kNotInPrerequisiteState,
                  "segment {} follows segment {} at LSN {}, and the archive ends with segment {} at LSN {}",
                  facts.id.number, facts.previous_number, facts.previous.index.value, reg.archived_number,
                  reg.archived.index.value);
    }
    reg.archived_number = facts.id.number;
    reg.archived = facts.last;
  }
  ++reg.revision;
  reg.published_us = now_us;
  return reg;
}

BucketRegister raised(const BucketRegister& old, std::uint64_t low_number, Lsn low) {
  BucketRegister reg = old;
  reg.low_number = std::max(old.low_number, std::min(low_number, old.archived_number + 1));
  reg.low = std::max(old.low, std::min(low, old.archived.index.next()));
  ++reg.revision;
  prune(reg);
  return reg;
}

}  // namespace bop::aof
