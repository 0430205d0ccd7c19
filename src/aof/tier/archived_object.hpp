// The bytes of a segment's object: the seekable form of its image (seekable_format.hpp), whole and in memory.
// Files of tier 1 are the same bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "aof/tier/seekable_writer.hpp"
#include "aof/tier/segment_facts.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct ObjectBytes {
  std::shared_ptr<const std::vector<std::byte>> bytes;
  std::uint64_t checksum = 0;  // CRC64-NVME
  std::uint32_t frames = 0;
};

// kCorrupt when the image is not the one that the facts speak of.
[[nodiscard]] Result<ObjectBytes> encode_object(std::span<const std::byte> image, const SegmentFacts& facts,
                                                const SeekableWriterOptions& options);

// The image, its checksum compared with `content_checksum`. `where` names the object in messages.
[[nodiscard]] Result<std::vector<std::byte>> decode_object(std::span<const std::byte> object,
                                                           std::uint64_t content_checksum,
                                                           std::string_view where);

}  // namespace bop::aof
