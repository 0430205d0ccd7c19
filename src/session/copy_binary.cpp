#include "session/copy_binary.hpp"

#include <algorithm>

#include "sql/types/bytes.hpp"

namespace bop::session {

namespace {

constexpr std::string_view kSignature{"PGCOPY\n\xFF\r\n\0", 11};
constexpr std::uint32_t kHasOids = 1u << 16;

std::unexpected<Error> bad(std::string_view what) {
  return std::unexpected(Error(ErrorCode::kBadCopyFormat, std::string(what)));
}

}  // namespace

std::optional<std::size_t> CopyBinaryReader::column() const noexcept {
  if (state_ != State::kLength && state_ != State::kValue) return std::nullopt;
  return field_;
}

std::size_t CopyBinaryReader::needed() const noexcept {
  switch (state_) {
    case State::kSignature: return kSignature.size();
    case State::kCount: return 2;
    case State::kFlags:
    case State::kExtensionLength:
    case State::kLength: return 4;
    case State::kExtension:
    case State::kValue: return length_;
    case State::kEnd: break;
  }
  return 1;
}

Status CopyBinaryReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kExtension) {  // passed over, however long it says that it is
      const std::size_t skipped = std::min(bytes.size(), length_);
      bytes.remove_prefix(skipped);
      length_ -= skipped;
      if (length_ == 0) state_ = State::kCount;
      continue;
    }
    const std::size_t need = needed() - pending_.size();
    if (bytes.size() < need) {
      pending_.append(bytes);
      return {};
    }
    const std::string_view item = bytes.substr(0, need);
    bytes.remove_prefix(need);
    if (pending_.empty()) {
      BOP_TRY(take(item));
    } else {
      std::string whole;
      whole.swap(pending_);
      whole.append(item);
      BOP_TRY(take(whole));
    }
  }
  return {};
}

Status CopyBinaryReader::take_header(std::string_view item) {
  if (state_ == State::kSignature) {
    if (item != kSignature) return bad("COPY file signature not recognized");
    state_ = State::kFlags;
  } else if (state_ == State::kFlags) {
    const auto flags = *take_be<std::uint32_t>(item);
    if ((flags & kHasOids) != 0) return bad("invalid COPY file header (WITH OIDS)");
    if (flags >> 16 != 0) return bad("unrecognized critical flags in COPY file header");
    state_ = State::kExtensionLength;
  } else {
    const auto length = *take_be<std::int32_t>(item);
    if (length < 0) return bad("invalid COPY file header (missing length)");
    length_ = static_cast<std::size_t>(length);
    state_ = length_ == 0 ? State::kCount : State::kExtension;
  }
  return {};
}

Status CopyBinaryReader::take(std::string_view item) {
  switch (state_) {
    case State::kCount: {
      ++line_;
      const auto count = *take_be<std::int16_t>(item);
      if (count == -1) {
        state_ = State::kEnd;
        return {};
      }
      if (count < 0 || static_cast<std::size_t>(count) != columns_) {
        return fail(ErrorCode::kBadCopyFormat, "row field count is {}, expected {}", count, columns_);
      }
      field_ = 0;
      if (columns_ == 0) return sink_.row();
      state_ = State::kLength;
      return {};
    }
    case State::kLength: {
      const auto length = *take_be<std::int32_t>(item);
      if (length == -1) {
        BOP_TRY(sink_.field(field_, std::nullopt));
        return next_field();
      }
      if (length < 0) return bad("invalid field size");
      if (static_cast<std::size_t>(length) > kMaxCopyLineBytes) {
        return fail(ErrorCode::kProgramLimitExceeded, "a field of {} bytes exceeds the limit of {} bytes",
                    length, kMaxCopyLineBytes);
      }
      length_ = static_cast<std::size_t>(length);
      state_ = State::kValue;
      return length_ == 0 ? take({}) : Status{};
    }
    case State::kValue: BOP_TRY(sink_.field(field_, item)); return next_field();
    case State::kEnd: return bad("received copy data after EOF marker");
    default: return take_header(item);
  }
}

Status CopyBinaryReader::next_field() {
  state_ = State::kLength;
  if (++field_ < columns_) return {};
  state_ = State::kCount;
  return sink_.row();
}

Status CopyBinaryReader::finish() {
  switch (state_) {
    case State::kSignature: return bad("COPY file signature not recognized");
    case State::kFlags: return bad("invalid COPY file header (missing flags)");
    case State::kExtensionLength: return bad("invalid COPY file header (missing length)");
    case State::kExtension: return bad("invalid COPY file header (wrong length)");
    case State::kLength:
    case State::kValue: return bad("unexpected EOF in COPY data");
    case State::kCount:
    case State::kEnd: break;
  }
  return {};
}

void write_copy_binary_header(std::string& out) {
  out.append(kSignature);
  put_be(out, std::uint32_t{0});
  put_be(out, std::uint32_t{0});
}

void write_copy_binary_trailer(std::string& out) { put_be(out, std::int16_t{-1}); }

}  // namespace bop::session
