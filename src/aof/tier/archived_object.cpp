#include "aof/tier/archived_object.hpp"

#include <string>
#include <utility>

#include "aof/tier/seekable_reader.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

Result<ObjectBytes> encode_object(std::span<const std::byte> image, const SegmentFacts& facts,
                                  const SeekableWriterOptions& options) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  bytes->reserve(image.size() / 2);
  BOP_LET(writer, SeekableWriter::open(
                      [&](std::span<const std::byte> piece) -> Status {
                        bytes->insert(bytes->end(), piece.begin(), piece.end());
                        return {};
                      },
                      options));
  BOP_TRY(writer.write(image));
  BOP_LET(made, writer.finish());
  if (made.image_bytes != facts.image_bytes() || made.image_checksum != facts.content_checksum) {
    return fail(ErrorCode::kCorrupt, "segment {}: the image has checksum {:016x}, and {:016x} is known of it",
                facts.id.number, made.image_checksum, facts.content_checksum);
  }
  return ObjectBytes{std::move(bytes), made.file_checksum, static_cast<std::uint32_t>(made.frames)};
}

Result<std::vector<std::byte>> decode_object(std::span<const std::byte> object,
                                             std::uint64_t content_checksum, std::string_view where) {
  BOP_LET(reader, SeekableReader::open(range_of(object), object.size(), std::string(where)));
  std::vector<std::byte> image(static_cast<std::size_t>(reader.image_bytes()));
  BOP_TRY(reader.read(0, image));
  if (crc64(0, image) != content_checksum) {
    return fail(ErrorCode::kCorrupt, "{}: holds another image than its name says", where);
  }
  return image;
}

}  // namespace bop::aof
