// Logs with compressed and encrypted payloads, and their records as they are stored.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "aof/payload_codec.hpp"
#include "aof/segment_walk.hpp"
#include "aof/stream_fixture.hpp"

namespace bop::aof::test {

// Key-encryption keys of the given numbers, the first one in front.
inline std::shared_ptr<const KeyEncryptionKeys> keks(std::initializer_list<std::uint8_t> numbers) {
  KeyEncryptionKeys keys{.source = "test keys", .keys = {}};
  for (const std::uint8_t number : numbers) {
    std::array<std::byte, kKeyBytes> bytes{};
    bytes.fill(static_cast<std::byte>(number));
    keys.keys.push_back(make_key_encryption_key(SecretKey(bytes)));
  }
  return std::make_shared<const KeyEncryptionKeys>(std::move(keys));
}

enum class Coding : std::uint8_t { kOff, kZstd, kAes, kBoth };

inline Options options_of(const World& world, Coding coding) {
  Options options = world.options();
  options.codec.compress = coding == Coding::kZstd || coding == Coding::kBoth;
  options.codec.least_bytes = 64;
  if (coding == Coding::kAes || coding == Coding::kBoth) options.codec.by = keks({1});
  return options;
}

// Bytes that compress, different for each tag.
inline std::vector<std::byte> text_of(std::uint64_t tag, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += "row " + std::to_string(tag) + " of a table with words; ";
  text.resize(bytes);
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

// Every record that a segment file of `directory` holds at a place where the walk from its beginning finds
// it.
inline void each_stored(Disk& disk, const std::string& directory,
                        const std::function<void(const RecordView&)>& visit) {
  const auto names = disk.list(directory).value();
  for (const auto& name : names) {
    if (!segment_number(name).has_value()) continue;
    auto file = disk.open(directory + "/" + name, OpenMode::kRead).value();
    std::vector<std::byte> block(kSegmentHeaderBytes);
    SegmentHeader header;
    if (file->read_at(ByteOffset(0), block).value() != block.size() ||
        decode_segment_header(block, header) != HeaderState::kValid) {
      continue;
    }
    SegmentWalk walk(*file, header, {.last = header.previous, .limit = header.bytes});
    while (const auto record = walk.next()) {
      if (is_entry(record->kind)) visit(*record);
    }
  }
}

struct Stored {
  RecordView record;  // its payload lies in `bytes`
  std::vector<std::byte> bytes;
};
inline std::vector<Stored> all_stored(Disk& disk, const std::string& directory) {
  std::vector<Stored> all;
  each_stored(disk, directory, [&](const RecordView& record) {
    all.push_back({record, {record.payload.begin(), record.payload.end()}});
  });
  for (Stored& one : all) one.record.payload = one.bytes;
  return all;
}

inline void copy_directory(Disk& disk, const std::string& from, const std::string& to) {
  ASSERT_TRUE(ok(disk.create_directories(to)));
  const auto names = disk.list(from).value();
  for (const auto& name : names) {
    if (name == "lock") continue;
    auto source = disk.open(from + "/" + name, OpenMode::kRead).value();
    std::vector<std::byte> bytes(source->size().value());
    ASSERT_TRUE(ok(source->read_at(ByteOffset(0), bytes)));
    auto target = disk.open(to + "/" + name, OpenMode::kOpenOrCreate).value();
    ASSERT_TRUE(ok(target->write_at(ByteOffset(0), bytes)));
    ASSERT_TRUE(ok(target->sync()));
  }
  ASSERT_TRUE(ok(disk.sync_directory(to)));
}

}  // namespace bop::aof::test
