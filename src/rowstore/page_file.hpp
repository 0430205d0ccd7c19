// The main file of a database as sealed pages (page_seal.hpp): every read is verified, every write is sealed.
//
// Readers from any thread; one writer at a time (checkpoint or recovery), `reserve` beside it. After `fence`
// every call answers the fence's reason: a discarded instance can neither show nor write anything.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <unordered_map>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "rowstore/page_seal.hpp"

namespace bop::rowstore {

class PageFile {
 public:
  PageFile(std::unique_ptr<File> file, DatabaseId database, std::uint32_t pages);
  // The same open file without the fence; nobody may write through `other` any more.
  PageFile(const PageFile& other);

  // Opens or creates; does not create page 1.
  [[nodiscard]] static Result<std::shared_ptr<PageFile>> open(Disk& disk, const std::string& path,
                                                              DatabaseId database);

  [[nodiscard]] std::uint32_t pages() const noexcept { return pages_.load(std::memory_order_acquire); }
  // kCorrupt naming file and page when the seal is broken. The reserved bytes come back as zeros.
  [[nodiscard]] Status read(PageNo page, PageSpan out) const;
  // The same of pages that follow each other, by one reading.
  [[nodiscard]] Status read_run(PageNo first, std::span<std::byte> out) const;
  // Seals and writes; a gap between the end of the file and `page` is filled with sealed pages of zeros.
  [[nodiscard]] Status write(PageNo page, ConstPageSpan bytes);
  // Cuts or extends (with sealed pages of zeros).
  [[nodiscard]] Status resize(std::uint32_t pages);
  // Takes the file system's room for a file of so many pages, if it is not taken yet; false where it cannot
  // be taken before it is written. kDiskFull.
  [[nodiscard]] Result<bool> reserve(std::uint32_t pages);
  // Pages that the file has room for: its own and reserved ones.
  [[nodiscard]] std::uint32_t roomy_pages() const noexcept {
    return std::max(pages(), reserved_.load(std::memory_order_acquire));
  }
  [[nodiscard]] Status sync();
  // Every page of the file.
  [[nodiscard]] Status verify() const;

  // Of this object and no other one of this process.
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  // How often each of `pages` was written since this object was made.
  void writes_of(std::span<const PageNo> pages, std::span<std::uint64_t> out) const;

  void fence(const Error& why);
  [[nodiscard]] std::optional<Error> fenced() const;
  [[nodiscard]] const std::string& path() const noexcept { return file_->path(); }

 private:
  [[nodiscard]] Status check_fence() const;
  [[nodiscard]] Status write_sealed(PageNo page, PageSpan bytes);
  void count_write(PageNo page);
  static std::uint64_t next_id();

  const std::uint64_t id_ = next_id();
  const std::shared_ptr<File> file_;
  const DatabaseId database_;
  std::atomic<std::uint32_t> pages_;
  std::mutex reserve_mutex_;  // held while room is taken or given back
  std::atomic<std::uint32_t> reserved_{0};
  std::atomic<bool> is_fenced_{false};
  mutable std::mutex mutex_;
  std::optional<Error> fence_;

  // A thousandth of the file's size where it is written.
  static constexpr std::uint32_t kPagesABlock = 1024;
  using Block = std::array<std::uint32_t, kPagesABlock>;
  mutable std::shared_mutex writes_mutex_;
  std::unordered_map<std::uint32_t, std::unique_ptr<Block>> writes_;
};

}  // namespace bop::rowstore
