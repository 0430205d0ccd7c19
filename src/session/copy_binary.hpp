// The binary format of COPY, apart from any table. Integers are big-endian.
//
//   header    11 bytes "PGCOPY\n" FF 0D 0A 00; int32 flags; int32 length of an extension, and so many bytes
//   row       int16 number of fields; per field int32 length (-1: NULL) and the value in its type's binary form
//   trailer   int16 -1, and nothing behind it
//
// Flags: bit 16 was OIDs and is refused; other bits from 16 on are critical and unknown; those below are
// ignored, and so is the extension. Data without a trailer ends where it ends between two rows. As PostgreSQL
// 15, "COPY", section "Binary Format".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "session/copy_format.hpp"

namespace bop::session {

// Cuts incoming bytes, split anywhere, into values. Memory: the unfinished value, at most kMaxCopyLineBytes.
class CopyBinaryReader final : public CopySource {
 public:
  // What the data becomes; an error ends the reading.
  class Sink {
   public:
    virtual ~Sink() = default;
    // Valid during the call. Fields come in order; their errors are told before those of the bytes behind.
    [[nodiscard]] virtual Status field(std::size_t column, CopyField value) = 0;
    [[nodiscard]] virtual Status row() = 0;
  };

  CopyBinaryReader(std::size_t columns, Sink& sink) : columns_(columns), sink_(sink) {}

  [[nodiscard]] Status feed(std::string_view bytes) override;
  [[nodiscard]] Status finish() override;
  [[nodiscard]] std::uint64_t line() const noexcept override { return line_; }
  // The field that is being read, for the error's context.
  [[nodiscard]] std::optional<std::size_t> column() const noexcept;

 private:
  enum class State : std::uint8_t {
    kSignature,
    kFlags,
    kExtensionLength,
    kExtension,
    kCount,
    kLength,
    kValue,
    kEnd
  };

  [[nodiscard]] std::size_t needed() const noexcept;
  [[nodiscard]] Status take(std::string_view item);
  [[nodiscard]] Status take_header(std::string_view item);
  [[nodiscard]] Status next_field();

  std::size_t columns_;
  Sink& sink_;
  State state_ = State::kSignature;
  std::size_t length_ = 0;  // of the extension's rest or of the value
  std::size_t field_ = 0;
  std::uint64_t line_ = 0;
  std::string pending_;
};

void write_copy_binary_header(std::string& out);
void write_copy_binary_trailer(std::string& out);

}  // namespace bop::session
