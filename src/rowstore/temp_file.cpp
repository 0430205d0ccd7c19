#include "rowstore/temp_file.hpp"

#include <algorithm>
#include <cstring>

namespace bop::rowstore {

TempFile::TempFile(std::atomic<std::uint64_t>& used, std::uint64_t limit, const OpenScratch& open_scratch)
    : used_(used), limit_(limit), open_scratch_(open_scratch) {}

TempFile::~TempFile() { used_ -= size_; }

Result<std::size_t> TempFile::read(std::uint64_t at, std::span<std::byte> out) {
  if (at >= size_) return 0;
  out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - at)));
  if (file_) return file_->read_at(ByteOffset(at), out);
  std::memcpy(out.data(), memory_.data() + at, out.size());
  return out.size();
}

Status TempFile::write(std::uint64_t at, std::span<const std::byte> bytes) {
  const std::uint64_t end = at + bytes.size();
  if (end > size_) {
    const std::uint64_t more = end - size_;
    if (used_.fetch_add(more) + more > limit_) {
      used_ -= more;
      return fail(ErrorCode::kConfigurationLimitExceeded, "temporary files exceed temp_limit = {} bytes",
                  limit_);
    }
  }
  const std::uint64_t before = size_;
  size_ = std::max(size_, end);
  if (!file_ && size_ > kMemoryBytes && open_scratch_) {
    auto file = open_scratch_();
    Status moved =
        file ? (*file)->write_at(ByteOffset(0), std::span(memory_).first(std::min<std::size_t>(
                                                    memory_.size(), static_cast<std::size_t>(before))))
             : Status(std::unexpected(file.error()));
    if (!moved) {
      used_ -= size_ - before;
      size_ = before;
      return moved;
    }
    file_ = std::move(*file);
    memory_ = {};
  }
  if (file_) return file_->write_at(ByteOffset(at), bytes);
  if (memory_.size() < size_) memory_.resize(static_cast<std::size_t>(size_));
  std::memcpy(memory_.data() + at, bytes.data(), bytes.size());
  return {};
}

Status TempFile::truncate(std::uint64_t size) {
  if (size >= size_) return {};
  used_ -= size_ - size;
  size_ = size;
  if (file_) return file_->truncate(size);
  memory_.resize(static_cast<std::size_t>(size));
  return {};
}

}  // namespace bop::rowstore
