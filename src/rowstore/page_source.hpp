// Pages of a database as one transaction sees them, for those who read b-trees without SQLite.
//
// `Connection::page_source` makes one. Of a reader: the frames of the WAL that its snapshot holds, else the
// main file; any number of threads may read at the same time. Of the writer, whose own changes are in its
// page cache only: through SQLite's sqlite_dbpage, one reading at a time. Either is valid while the
// connection's transaction is open, and a writer's only until its next change.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::rowstore {

class PageSource {
 public:
  PageSource() = default;
  PageSource(const PageSource&) = delete;
  PageSource& operator=(const PageSource&) = delete;
  virtual ~PageSource() = default;

  // The usable bytes of the page, valid as long as `buffer`, which is used where they are not in memory.
  // kCorrupt: there is no such page, or its checksum is wrong.
  [[nodiscard]] virtual Result<const std::byte*> page(PageNo page,
                                                      std::span<std::byte, kPageBytes> buffer) const = 0;
  // Whole pages that follow each other, read at once into `buffer` from its beginning on; how many it were,
  // maybe none: then `page` has to be asked.
  [[nodiscard]] virtual Result<std::size_t> run(PageNo first, std::span<std::byte> buffer) const {
    (void)first, (void)buffer;
    return 0;
  }
  // What tells states of pages apart: the same version of the same page of the same file() is the same bytes,
  // as long as this process lives. False: there is no saying, they are a transaction's own.
  [[nodiscard]] virtual bool versions(std::span<const PageNo> pages, std::span<std::uint64_t> out) const {
    (void)pages, (void)out;
    return false;
  }
  [[nodiscard]] virtual std::uint64_t file() const noexcept { return 0; }
  // Whether several threads may read at the same time to any use.
  [[nodiscard]] virtual bool parallel() const noexcept = 0;
};

}  // namespace bop::rowstore
