#include "aof/tier/manifest_record.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "aof/record.hpp"
#include "aof/tier/byte_codec.hpp"

namespace bop::aof {

namespace {

constexpr std::size_t kRecordHead = 8;
constexpr std::array<std::string_view, 13> kNames{
    "Identity", "Finalized",  "TierOneMade", "TierOneDropped", "ArchiveBegun", "Archived", "TierZeroDropped",
    "Deleted",  "EpochTaken", "KeyAdded",    "SnapshotBegin",  "SnapshotEnd",  "Aged"};
static_assert(kNames.size() == std::variant_size_v<ManifestRecord>);

// One pair of functions for each type: what is written, and the same read.
void put(ByteSink& sink, const IdentityRecord& r) { sink.bytes(std::as_bytes(std::span(r.identity))); }
bool take(ByteSource& source, IdentityRecord& r) {
  const auto bytes = source.bytes(r.identity.size());
  if (bytes.size() == r.identity.size()) std::memcpy(r.identity.data(), bytes.data(), bytes.size());
  return true;
}

void put(ByteSink& sink, const FinalizedRecord& r) {
  const SegmentFacts& f = r.facts;
  sink.number(f.id.number);
  sink.number(f.id.seed);
  sink.number(f.timeline.value);
  sink.number(std::uint32_t{0});
  sink.number(f.base.value);
  put(sink, f.previous);
  sink.number(f.previous_number);
  put(sink, f.last);
  sink.number(f.first_us);
  sink.number(f.last_us);
  sink.number(f.records_end);
  sink.number(f.content_checksum);
  sink.number(f.file_bytes);
}
bool take(ByteSource& source, FinalizedRecord& r) {
  SegmentFacts& f = r.facts;
  f.id.number = source.number<std::uint64_t>();
  f.id.seed = source.number<std::uint64_t>();
  f.timeline = Timeline(source.number<std::uint32_t>());
  const auto zero = source.number<std::uint32_t>();
  f.base = Lsn(source.number<std::uint64_t>());
  f.previous = take_link(source);
  f.previous_number = source.number<std::uint64_t>();
  f.last = take_link(source);
  f.first_us = source.number<std::int64_t>();
  f.last_us = source.number<std::int64_t>();
  f.records_end = source.number<std::uint64_t>();
  f.content_checksum = source.number<std::uint64_t>();
  f.file_bytes = source.number<std::uint64_t>();
  return zero == 0 && (source.ran_out() || is_sound(f));
}

void put(ByteSink& sink, const TierOneMadeRecord& r) {
  sink.number(r.number);
  sink.number(r.copy.bytes);
  sink.number(r.copy.checksum);
  sink.number(r.copy.frames);
}
bool take(ByteSource& source, TierOneMadeRecord& r) {
  r.number = source.number<std::uint64_t>();
  r.copy.bytes = source.number<std::uint64_t>();
  r.copy.checksum = source.number<std::uint64_t>();
  r.copy.frames = source.number<std::uint32_t>();
  return true;
}

void put(ByteSink& sink, const TierOneDroppedRecord& r) { sink.number(r.number); }
bool take(ByteSource& source, TierOneDroppedRecord& r) {
  r.number = source.number<std::uint64_t>();
  return true;
}

void put(ByteSink& sink, const ArchiveBegunRecord& r) {
  sink.number(r.number);
  sink.number(r.intent.epoch.value);
  sink.text(r.intent.key);
}
bool take(ByteSource& source, ArchiveBegunRecord& r) {
  r.number = source.number<std::uint64_t>();
  r.intent.epoch = Epoch(source.number<std::uint64_t>());
  r.intent.key = source.text(kLongestObjectKey);
  return true;
}

void put(ByteSink& sink, const ArchivedRecord& r) {
  sink.number(r.number);
  sink.number(r.copy.epoch.value);
  sink.number(r.copy.bytes);
  sink.number(r.copy.checksum);
  sink.text(r.copy.key);
  sink.text(r.copy.etag);
}
bool take(ByteSource& source, ArchivedRecord& r) {
  r.number = source.number<std::uint64_t>();
  r.copy.epoch = Epoch(source.number<std::uint64_t>());
  r.copy.bytes = source.number<std::uint64_t>();
  r.copy.checksum = source.number<std::uint64_t>();
  r.copy.key = source.text(kLongestObjectKey);
  r.copy.etag = source.text(kLongestEtag);
  return true;
}

void put(ByteSink& sink, const TierZeroDroppedRecord& r) { sink.number(r.number); }
bool take(ByteSource& source, TierZeroDroppedRecord& r) {
  r.number = source.number<std::uint64_t>();
  return true;
}

void put(ByteSink& sink, const DeletedRecord& r) {
  sink.number(r.low_number);
  sink.number(r.low.value);
}
bool take(ByteSource& source, DeletedRecord& r) {
  r.low_number = source.number<std::uint64_t>();
  r.low = Lsn(source.number<std::uint64_t>());
  return true;
}

void put(ByteSink& sink, const EpochTakenRecord& r) {
  sink.number(r.epoch.value);
  sink.number(r.start.value);
}
bool take(ByteSource& source, EpochTakenRecord& r) {
  r.epoch = Epoch(source.number<std::uint64_t>());
  r.start = Lsn(source.number<std::uint64_t>());
  return true;
}

void put(ByteSink& sink, const KeyAddedRecord& r) {
  sink.number(r.key_id);
  sink.text(r.wrapped);
}
bool take(ByteSource& source, KeyAddedRecord& r) {
  r.key_id = source.number<std::uint64_t>();
  r.wrapped = source.text(kLongestWrappedKey);
  return true;
}

void put(ByteSink& sink, const SnapshotBeginRecord& r) {
  sink.number(r.records);
  sink.number(r.sequence);
}
bool take(ByteSource& source, SnapshotBeginRecord& r) {
  r.records = source.number<std::uint64_t>();
  r.sequence = source.number<std::uint64_t>();
  return true;
}

void put(ByteSink& sink, const SnapshotEndRecord& r) { sink.number(r.sequence); }
bool take(ByteSource& source, SnapshotEndRecord& r) {
  r.sequence = source.number<std::uint64_t>();
  return true;
}

void put(ByteSink& sink, const AgedRecord& r) { sink.number(r.now_us); }
bool take(ByteSource& source, AgedRecord& r) {
  r.now_us = source.number<std::int64_t>();
  return true;
}

template <std::size_t... I>
bool take_type(std::size_t index, ByteSource& source, ManifestRecord& out, std::index_sequence<I...>) {
  bool taken = false;
  const auto one = [&]<std::size_t N>() {
    if (N != index) return;
    std::variant_alternative_t<N, ManifestRecord> record;
    taken = take(source, record) && source.good();
    out = std::move(record);
  };
  (one.template operator()<I>(), ...);
  return taken;
}

std::string text_of(const SegmentFacts& f) {
  return fmt::format(
      "{} seed {:016x} timeline {} previous {} ({}, {}, {:016x}) base {} last ({}, {}, {:016x}) time "
      "[{}, {}] records end {} content {:016x} file {}",
      f.id.number, f.id.seed, f.timeline.value, f.previous_number, f.previous.index.value,
      f.previous.term.value, f.previous.checksum, f.base.value, f.last.index.value, f.last.term.value,
      f.last.checksum, f.first_us, f.last_us, f.records_end, f.content_checksum, f.file_bytes);
}

struct Describe {
  std::string operator()(const IdentityRecord& r) const { return print_identity(r.identity); }
  std::string operator()(const FinalizedRecord& r) const { return text_of(r.facts); }
  std::string operator()(const TierOneMadeRecord& r) const {
    return fmt::format("{} bytes {} checksum {:016x} frames {}", r.number, r.copy.bytes, r.copy.checksum,
                       r.copy.frames);
  }
  std::string operator()(const TierOneDroppedRecord& r) const { return fmt::format("{}", r.number); }
  std::string operator()(const ArchiveBegunRecord& r) const {
    return fmt::format("{} epoch {} key {}", r.number, r.intent.epoch.value, r.intent.key);
  }
  std::string operator()(const ArchivedRecord& r) const {
    return fmt::format("{} epoch {} bytes {} checksum {:016x} key {} etag {}", r.number, r.copy.epoch.value,
                       r.copy.bytes, r.copy.checksum, r.copy.key, r.copy.etag);
  }
  std::string operator()(const TierZeroDroppedRecord& r) const { return fmt::format("{}", r.number); }
  std::string operator()(const DeletedRecord& r) const {
    return fmt::format("below {} (LSN {})", r.low_number, r.low.value);
  }
  std::string operator()(const EpochTakenRecord& r) const {
    return fmt::format("{} from LSN {}", r.epoch.value, r.start.value);
  }
  std::string operator()(const KeyAddedRecord& r) const {
    return fmt::format("{:016x} ({} bytes)", r.key_id, r.wrapped.size());
  }
  std::string operator()(const SnapshotBeginRecord& r) const {
    return fmt::format("{} records, sequence {}", r.records, r.sequence);
  }
  std::string operator()(const SnapshotEndRecord& r) const { return fmt::format("sequence {}", r.sequence); }
  std::string operator()(const AgedRecord& r) const { return fmt::format("{}", r.now_us); }
};

}  // namespace

std::string_view name_of(const ManifestRecord& record) noexcept { return kNames[record.index()]; }

std::string describe(const ManifestRecord& record) {
  return fmt::format("{} {}", name_of(record), std::visit(Describe{}, record));
}

void encode(const ManifestRecord& record, std::vector<std::byte>& out) {
  const std::size_t at = out.size();
  ByteSink sink(out);
  sink.number(static_cast<std::uint8_t>(record.index() + 1));
  sink.number(std::uint8_t{0});
  sink.number(std::uint16_t{0});
  sink.number(std::uint32_t{0});
  std::visit([&](const auto& r) { put(sink, r); }, record);
  const auto size = static_cast<std::uint32_t>(out.size() - at - kRecordHead);
  std::memcpy(out.data() + at + 4, &size, sizeof size);
  sink.zeros_to(8);
}

Result<std::vector<ManifestRecord>> decode_records(std::span<const std::byte> bytes, std::string_view where) {
  std::vector<ManifestRecord> records;
  std::size_t at = 0;
  const auto malformed = [&] {
    return fail(ErrorCode::kCorrupt, "{}: the manifest record at byte {} of its write is malformed", where,
                at);
  };
  while (at < bytes.size()) {
    ByteSource head(bytes.subspan(at));
    const auto type = head.number<std::uint8_t>();
    const bool zeros = head.number<std::uint8_t>() == 0 && head.number<std::uint16_t>() == 0;
    const auto size = head.number<std::uint32_t>();
    if (head.ran_out() || size > head.left()) return malformed();
    if (type == 0) return malformed();
    if (type > kNames.size() || !zeros) {
      return fail(ErrorCode::kFormatTooNew, "{}: a manifest record of type {} is of a newer version", where,
                  type);
    }
    ByteSource payload(head.bytes(size));
    ManifestRecord record;
    if (!take_type(type - 1U, payload, record,
                   std::make_index_sequence<std::variant_size_v<ManifestRecord>>{})) {
      return malformed();
    }
    const std::size_t end = static_cast<std::size_t>(align_up(at + kRecordHead + size, 8));
    if (end > bytes.size() ||
        !all_zero(bytes.subspan(at + kRecordHead + size, end - at - kRecordHead - size))) {
      return malformed();
    }
    records.push_back(std::move(record));
    at = end;
  }
  return records;
}

}  // namespace bop::aof
