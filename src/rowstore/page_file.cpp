#include "rowstore/page_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.hpp"

namespace bop::rowstore {

namespace {
ByteOffset offset_of(PageNo page) { return ByteOffset(std::uint64_t{page.value - 1} * kPageBytes); }
}  // namespace

PageFile::PageFile(std::unique_ptr<File> file, DatabaseId database, std::uint32_t pages)
    : file_(std::move(file)), database_(database), pages_(pages) {}

PageFile::PageFile(const PageFile& other)
    : file_(other.file_),
      database_(other.database_),
      pages_(other.pages()),
      reserved_(other.reserved_.load(std::memory_order_acquire)) {}

Result<std::shared_ptr<PageFile>> PageFile::open(Disk& disk, const std::string& path, DatabaseId database) {
  BOP_LET(file, disk.open(path, OpenMode::kOpenOrCreate));
  BOP_LET(size, file->size());
  // A page that was cut while it was written at the end is not a page yet; the log writes it again.
  return std::make_shared<PageFile>(std::move(file), database, static_cast<std::uint32_t>(size / kPageBytes));
}

Status PageFile::check_fence() const {
  if (!is_fenced_.load(std::memory_order_acquire)) return {};
  std::lock_guard lock(mutex_);
  return std::unexpected(*fence_);
}

Status PageFile::read(PageNo page, PageSpan out) const { return read_run(page, out); }

Status PageFile::read_run(PageNo first, std::span<std::byte> out) const {
  BOP_TRY(check_fence());
  BOP_ASSERT(first.value >= 1 && !out.empty() && out.size() % kPageBytes == 0);
  BOP_LET(got, file_->read_at(offset_of(first), out));
  for (std::size_t at = 0; at < out.size(); at += kPageBytes) {
    const PageNo page(static_cast<std::uint32_t>(first.value + at / kPageBytes));
    const auto bytes = out.subspan(at).first<kPageBytes>();
    if (got < at + kPageBytes || !page_is_sealed(database_, page, bytes)) {
      return std::unexpected(
          error(ErrorCode::kCorrupt, "page {} of {} does not match its checksum", page.value, file_->path())
              .hint(
                  "Stop the node and run \"bop verify --repair\", with --from and a backup if there is one."));
    }
    std::fill(bytes.begin() + kPageUsableBytes, bytes.end(), std::byte{0});
  }
  return {};
}

std::uint64_t PageFile::next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

void PageFile::count_write(PageNo page) {
  const std::lock_guard lock(writes_mutex_);
  std::unique_ptr<Block>& block = writes_[page.value / kPagesABlock];
  if (!block) block = std::make_unique<Block>();
  ++(*block)[page.value % kPagesABlock];
}

void PageFile::writes_of(std::span<const PageNo> pages, std::span<std::uint64_t> out) const {
  BOP_ASSERT(pages.size() == out.size());
  const std::shared_lock lock(writes_mutex_);
  for (std::size_t i = 0; i < pages.size(); ++i) {
    const auto block = writes_.find(pages[i].value / kPagesABlock);
    out[i] = block == writes_.end() ? 0 : (*block->second)[pages[i].value % kPagesABlock];
  }
}

Status PageFile::write_sealed(PageNo page, PageSpan bytes) {
  seal_page(database_, page, Epoch(0), bytes);
  count_write(page);
  BOP_TRY(file_->write_at(offset_of(page), bytes));
  if (page.value > pages()) pages_.store(page.value, std::memory_order_release);
  return {};
}

Status PageFile::write(PageNo page, ConstPageSpan bytes) {
  BOP_TRY(check_fence());
  if (page.value > pages() + 1) BOP_TRY(resize(page.value - 1));
  alignas(64) std::array<std::byte, kPageBytes> copy;
  std::memcpy(copy.data(), bytes.data(), kPageBytes);
  return write_sealed(page, copy);
}

Status PageFile::resize(std::uint32_t wanted) {
  BOP_TRY(check_fence());
  if (wanted < pages()) {
    const std::lock_guard lock(reserve_mutex_);
    pages_.store(wanted, std::memory_order_release);
    reserved_.store(0, std::memory_order_release);
    return file_->truncate(std::uint64_t{wanted} * kPageBytes);
  }
  alignas(64) std::array<std::byte, kPageBytes> zeros{};
  while (pages() < wanted) {
    zeros.fill(std::byte{0});
    BOP_TRY(write_sealed(PageNo(pages() + 1), zeros));
  }
  return {};
}

Result<bool> PageFile::reserve(std::uint32_t wanted) {
  if (wanted <= roomy_pages()) return true;
  const std::lock_guard lock(reserve_mutex_);
  const std::uint32_t from = roomy_pages();
  if (wanted <= from) return true;
  BOP_LET(taken, file_->reserve(offset_of(PageNo(from + 1)).value, offset_of(PageNo(wanted + 1)).value));
  if (taken) reserved_.store(wanted, std::memory_order_release);
  return taken;
}

Status PageFile::sync() {
  BOP_TRY(check_fence());
  return file_->sync();
}

Status PageFile::verify() const {
  alignas(64) std::array<std::byte, kPageBytes> page;
  for (std::uint32_t n = 1; n <= pages(); ++n) BOP_TRY(read(PageNo(n), page));
  return {};
}

void PageFile::fence(const Error& why) {
  std::lock_guard lock(mutex_);
  if (fence_) return;
  fence_ = why;
  is_fenced_.store(true, std::memory_order_release);
}

std::optional<Error> PageFile::fenced() const {
  if (!is_fenced_.load(std::memory_order_acquire)) return std::nullopt;
  std::lock_guard lock(mutex_);
  return fence_;
}

}  // namespace bop::rowstore
