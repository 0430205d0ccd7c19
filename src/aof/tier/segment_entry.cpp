#include "aof/tier/segment_entry.hpp"

#include <utility>

#include "aof/tier/byte_codec.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

void put_facts(ByteSink& sink, const SegmentFacts& facts) {
  sink.number(facts.id.number);
  sink.number(facts.id.seed);
  sink.number(facts.timeline.value);
  sink.number(facts.base.value);
  put(sink, facts.previous);
  sink.number(facts.previous_number);
  put(sink, facts.last);
  sink.number(facts.first_us);
  sink.number(facts.last_us);
  sink.number(facts.records_end);
  sink.number(facts.content_checksum);
  sink.number(facts.file_bytes);
}
SegmentFacts take_facts(ByteSource& source) {
  SegmentFacts facts;
  facts.id.number = source.number<std::uint64_t>();
  facts.id.seed = source.number<std::uint64_t>();
  facts.timeline = Timeline(source.number<std::uint32_t>());
  facts.base = Lsn(source.number<std::uint64_t>());
  facts.previous = take_link(source);
  facts.previous_number = source.number<std::uint64_t>();
  facts.last = take_link(source);
  facts.first_us = source.number<std::int64_t>();
  facts.last_us = source.number<std::int64_t>();
  facts.records_end = source.number<std::uint64_t>();
  facts.content_checksum = source.number<std::uint64_t>();
  facts.file_bytes = source.number<std::uint64_t>();
  return facts;
}

}  // namespace

SegmentEntry active_entry(const SegmentHeader& header, std::string local_path) {
  SegmentEntry entry;
  entry.facts = {.id = {header.number, header.seed},
                 .timeline = header.timeline,
                 .base = header.base,
                 .previous = header.previous,
                 .previous_number = header.previous_number,
                 .last = header.previous,
                 .records_end = kSegmentHeaderBytes,
                 .file_bytes = header.bytes};
  entry.created_us = header.created_us;
  entry.local_path = std::move(local_path);
  return entry;
}

std::vector<std::byte> encode_entry(const SegmentEntry& entry, std::uint64_t seed) {
  std::vector<std::byte> bytes;
  ByteSink sink(bytes);
  sink.number(static_cast<std::uint8_t>(entry.status));
  sink.number(entry.created_us);
  sink.number(entry.finalized_us);
  sink.number(entry.archived_us);
  put_facts(sink, entry.facts);
  sink.number(entry.compressed_bytes);
  sink.number(entry.compressed_checksum);
  sink.text(entry.local_path);
  sink.text(entry.archive_key);
  sink.number(crc64(seed, bytes));
  return bytes;
}

Result<SegmentEntry> decode_entry(std::span<const std::byte> bytes, std::uint64_t seed,
                                  std::string_view where) {
  const auto damaged = [&](std::string_view why) {
    return fail(ErrorCode::kCorrupt, "{}: the entry of a segment is damaged: {}", where, why);
  };
  if (bytes.size() < sizeof(std::uint64_t)) return damaged("it is too short");
  const auto content = bytes.first(bytes.size() - sizeof(std::uint64_t));
  ByteSource tail(bytes.subspan(content.size()));
  if (tail.number<std::uint64_t>() != crc64(seed, content)) return damaged("its checksum does not hold");
  ByteSource source(content);
  SegmentEntry entry;
  const auto status = source.number<std::uint8_t>();
  entry.created_us = source.number<std::int64_t>();
  entry.finalized_us = source.number<std::int64_t>();
  entry.archived_us = source.number<std::int64_t>();
  entry.facts = take_facts(source);
  entry.compressed_bytes = source.number<std::uint64_t>();
  entry.compressed_checksum = source.number<std::uint64_t>();
  entry.local_path = source.text(kLongestIndexText);
  entry.archive_key = source.text(kLongestIndexText);
  if (!source.good()) return damaged("its length is wrong");
  if (status < 1 || status > 3) return damaged("its status is unknown");
  if (!is_sound(entry.facts)) return damaged("its facts are none");
  entry.status = static_cast<SegmentStatus>(status);
  return entry;
}

}  // namespace bop::aof
