// A file of pages under a sheet: writes go to a scratch file, reads take a page from there if it was written
// and from the file below otherwise, which is never changed. For replaying a log over an image that must stay
// as it is. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::backup {

class OverlayFile final : public File {
 public:
  // `scratch` is empty and is the caller's to remove.
  [[nodiscard]] static Result<std::unique_ptr<OverlayFile>> open(std::unique_ptr<File> below,
                                                                 std::unique_ptr<File> scratch);

  // Whole pages only, but for truncate.
  [[nodiscard]] Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) override;
  [[nodiscard]] Status write_at(ByteOffset at, std::span<const std::byte> bytes) override;
  [[nodiscard]] Status sync() override { return {}; }
  [[nodiscard]] Result<std::uint64_t> size() override { return size_; }
  [[nodiscard]] Status truncate(std::uint64_t size) override;
  [[nodiscard]] Status prewrite(std::uint64_t from, std::uint64_t to) override;
  void write_durable(ByteOffset at, std::span<const std::byte> bytes, Completion done) override;
  [[nodiscard]] const std::string& path() const noexcept override { return below_->path(); }

 private:
  OverlayFile(std::unique_ptr<File> below, std::unique_ptr<File> scratch, std::uint64_t size)
      : below_(std::move(below)), scratch_(std::move(scratch)), size_(size), below_size_(size) {}

  std::unique_ptr<File> below_;
  std::unique_ptr<File> scratch_;
  std::unordered_map<std::uint64_t, std::uint64_t> pages_;  // page of the file, page of the scratch file
  std::uint64_t size_;
  std::uint64_t below_size_;  // what counts of the file below
};

}  // namespace bop::backup
