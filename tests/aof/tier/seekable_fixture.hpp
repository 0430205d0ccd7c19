// Images of segments, their seekable form in memory, and a source that counts what is read of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "aof/stream_fixture.hpp"
#include "aof/tier/seekable_reader.hpp"
#include "aof/tier/seekable_writer.hpp"

namespace bop::aof::test {

// Text, noise and zeros, as in a segment.
inline std::vector<std::byte> image_of(std::uint64_t seed, std::size_t bytes) {
  std::vector<std::byte> image;
  image.reserve(bytes + 4096);
  SimRandom dice(seed);
  while (image.size() < bytes) {
    const std::size_t size = 1 + dice.below(3000);
    switch (dice.below(3)) {
      case 0: {
        const auto noise = payload_of(dice.u64(), size);
        image.insert(image.end(), noise.begin(), noise.end());
        break;
      }
      case 1: image.resize(image.size() + size); break;
      default:
        for (std::size_t i = 0; i < size / 16; ++i) {
          const std::string text = "row " + std::to_string(dice.below(1000)) + " of a table;";
          const auto part = std::as_bytes(std::span(text));
          image.insert(image.end(), part.begin(), part.end());
        }
    }
  }
  image.resize(bytes);
  return image;
}

struct Packed {
  std::vector<std::byte> bytes;
  SeekableFacts facts;
};

// In pieces of `piece` bytes, 0: whole.
inline Result<Packed> pack(std::span<const std::byte> image, SeekableWriterOptions options = {},
                           std::size_t piece = 0) {
  Packed packed;
  auto sink = [&packed](std::span<const std::byte> bytes) -> Status {
    packed.bytes.insert(packed.bytes.end(), bytes.begin(), bytes.end());
    return {};
  };
  BOP_LET(writer, SeekableWriter::open(sink, std::move(options)));
  if (piece == 0) piece = std::max<std::size_t>(image.size(), 1);
  for (std::size_t at = 0; at < image.size(); at += piece) {
    BOP_TRY(writer.write(image.subspan(at, std::min(piece, image.size() - at))));
  }
  BOP_LET(facts, writer.finish());
  packed.facts = facts;
  return packed;
}

struct Reads {
  std::vector<std::size_t> sizes;
  ReadRange range(std::span<const std::byte> bytes) {
    return [this, inner = range_of(bytes)](std::uint64_t offset, std::span<std::byte> out) {
      sizes.push_back(out.size());
      return inner(offset, out);
    };
  }
};

inline Result<std::vector<std::byte>> unpack(std::span<const std::byte> file, SeekableLimits limits = {}) {
  BOP_LET(reader, SeekableReader::open(range_of(file), file.size(), "memory", limits));
  std::vector<std::byte> image(static_cast<std::size_t>(reader.image_bytes()));
  BOP_TRY(reader.read(0, image));
  return image;
}

}  // namespace bop::aof::test
