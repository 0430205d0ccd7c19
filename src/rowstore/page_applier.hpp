// Recovery: brings records of the log into the main file (rule 5). Full images may be applied any number of
// times; a delta is refused unless the image that it names was applied before it in this run, so a run that
// was cut anywhere is simply repeated from the base.
//
// Changed pages are gathered in memory up to kCachedPages and written in order of their numbers. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "database/records.hpp"
#include "rowstore/page_delta.hpp"
#include "rowstore/page_file.hpp"

namespace bop::rowstore {

class PageApplier {
 public:
  static constexpr std::size_t kCachedPages = 16384;

  PageApplier(PageFile& file, DatabaseId database, Csn last_commit, std::uint32_t pages)
      : file_(file), database_(database), last_commit_(last_commit), pages_(pages) {}

  [[nodiscard]] Status apply(const database::LogRecord& record);
  // Writes what is left and gives the file its size. Not durable: the base is still the old one.
  [[nodiscard]] Status finish();

  [[nodiscard]] Csn last_commit() const noexcept { return last_commit_; }
  [[nodiscard]] std::uint32_t pages() const noexcept { return pages_; }

 private:
  using Page = std::array<std::byte, kPageBytes>;
  [[nodiscard]] Status apply_commit(const database::LogRecord& record);
  [[nodiscard]] Status apply_entry(const PageEntry& entry, Csn csn);
  [[nodiscard]] Status flush();

  PageFile& file_;
  const DatabaseId database_;
  Csn last_commit_;
  std::uint32_t pages_;
  std::unordered_map<std::uint32_t, std::unique_ptr<Page>> changed_;
  std::unordered_map<std::uint32_t, Csn> bases_;
  std::uint64_t open_transaction_ = 0;
  std::vector<Bytes> parts_;
};

}  // namespace bop::rowstore
