// A temporary file of SQLite (sorter, materialised views, statement journals): in memory while small, then in
// a scratch file without a name, all of a database together below a limit. Used by one connection's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::rowstore {

class TempFile {
 public:
  static constexpr std::size_t kMemoryBytes = std::size_t{1} << 20;
  using OpenScratch = std::function<Result<std::unique_ptr<File>>()>;

  // `used` counts the bytes of all temporary files, below `limit`; both outlive the file.
  TempFile(std::atomic<std::uint64_t>& used, std::uint64_t limit, const OpenScratch& open_scratch);
  ~TempFile();
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  [[nodiscard]] Result<std::size_t> read(std::uint64_t at, std::span<std::byte> out);
  // kConfigurationLimitExceeded at the limit.
  [[nodiscard]] Status write(std::uint64_t at, std::span<const std::byte> bytes);
  [[nodiscard]] Status truncate(std::uint64_t size);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
  std::atomic<std::uint64_t>& used_;
  const std::uint64_t limit_;
  const OpenScratch& open_scratch_;
  std::vector<std::byte> memory_;
  std::unique_ptr<File> file_;
  std::uint64_t size_ = 0;
};

}  // namespace bop::rowstore
