#include "backup/overlay_file.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/ids.hpp"

namespace bop::backup {

Result<std::unique_ptr<OverlayFile>> OverlayFile::open(std::unique_ptr<File> below,
                                                       std::unique_ptr<File> scratch) {
  BOP_LET(size, below->size());
  return std::unique_ptr<OverlayFile>(new OverlayFile(std::move(below), std::move(scratch), size));
}

Result<std::size_t> OverlayFile::read_at(ByteOffset at, std::span<std::byte> out) {
  BOP_ASSERT(at.value % kPageBytes == 0);
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ > at.value ? size_ - at.value : 0));
  std::ranges::fill(out.first(wanted), std::byte{0});
  if (at.value < below_size_) {
    const auto part =
        out.first(static_cast<std::size_t>(std::min<std::uint64_t>(wanted, below_size_ - at.value)));
    BOP_TRY(below_->read_at(at, part));
  }
  for (std::size_t done = 0; done < wanted; done += kPageBytes) {
    const auto held = pages_.find((at.value + done) / kPageBytes);
    if (held == pages_.end()) continue;
    BOP_TRY(scratch_->read_at(ByteOffset(held->second * kPageBytes),
                              out.subspan(done, std::min(kPageBytes, wanted - done))));
  }
  return wanted;
}

Status OverlayFile::write_at(ByteOffset at, std::span<const std::byte> bytes) {
  BOP_ASSERT(at.value % kPageBytes == 0 && bytes.size() % kPageBytes == 0);
  for (std::size_t done = 0; done < bytes.size(); done += kPageBytes) {
    const auto [held, fresh] = pages_.try_emplace((at.value + done) / kPageBytes, pages_.size());
    BOP_TRY(scratch_->write_at(ByteOffset(held->second * kPageBytes), bytes.subspan(done, kPageBytes)));
  }
  size_ = std::max(size_, at.value + bytes.size());
  return {};
}

// The places of pages that are cut off stay taken in the scratch file, so that no two pages ever share one.
Status OverlayFile::truncate(std::uint64_t size) {
  if (size < size_) {
    const std::vector<std::byte> zeros(kPageBytes);
    for (auto& [page, place] : pages_) {
      if (page * kPageBytes >= size) BOP_TRY(scratch_->write_at(ByteOffset(place * kPageBytes), zeros));
    }
    below_size_ = std::min(below_size_, size);
  }
  size_ = size;
  return {};
}

Status OverlayFile::prewrite(std::uint64_t, std::uint64_t) {
  return fail(ErrorCode::kNotImplemented, "{}: only pages are written over it", path());
}

void OverlayFile::write_durable(ByteOffset, std::span<const std::byte>, Completion done) {
  done(prewrite(0, 0));
}

}  // namespace bop::backup
