// What the log says of some pages: their newest content, if the log holds a full image of them and all their
// changes since. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "aof/reader.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "rowstore/page_delta.hpp"

namespace bop::backup {

class PageHistory {
 public:
  using Page = std::array<std::byte, kPageBytes>;
  struct Key {
    DatabaseId database;
    PageNo page;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  void want(Key key) { pages_.try_emplace(key); }
  // Content of a moment at or after `base`, of an image whose log is followed from there.
  void begin_with(Key key, const Page& page, Lsn base);
  // Every entry of the log in order.
  [[nodiscard]] Status follow(const aof::RecordView& record);

  // Nothing when the log does not say.
  [[nodiscard]] const Page* content(Key key) const;
  // The record that it is of; 0: as it began.
  [[nodiscard]] Csn version(Key key) const { return pages_.at(key).csn; }

 private:
  struct State {
    std::optional<Page> page;
    Csn csn;    // of the newest change
    Csn image;  // of the full image from which deltas go on
    Lsn since;  // records up to it are in `page`
  };
  void apply(DatabaseId database, Csn csn, const rowstore::RowRecord& record);

  std::map<Key, State> pages_;
  struct Open {
    std::uint64_t transaction = 0;
    std::vector<rowstore::Bytes> parts;
  };
  std::map<DatabaseId, Open> open_;
};

}  // namespace bop::backup
