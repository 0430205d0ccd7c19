// Columns of row tables, decoded and kept in memory: what scans read again and again is parsed once.
//
// The unit is a lot of leaves (rowstore::TableTree::Lot) and of it one column, encoded in little memory. A
// lot is the same one as long as its leaves are, by page number and version (rowstore::PageSource): so
// nothing has to be told when rows change, and readers of old snapshots find what is theirs or nothing.
//
// A lot is worth keeping when it is read for the second time in the same state: a table that is read once, or
// that changes all the time, takes no room. What was not used for the longest time makes room for others, but
// not before kLeastAge has passed: of a table that has no room as a whole a part stays, in place of none.
//
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.hpp"
#include "executor/encoded_column.hpp"
#include "executor/engine.hpp"

namespace bop::executor {

class ColumnCache {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kLeastAge{10};

  // `limit`: bytes of all that is kept; 0: nothing is. `now`: for tests.
  explicit ColumnCache(std::uint64_t limit, Clock::time_point (*now)() = Clock::now)
      : limit_(limit), now_(now) {}

  struct LotState {
    std::uint64_t file = 0;  // rowstore::PageSource::file
    std::span<const PageNo> leaves;
    std::span<const std::uint64_t> versions;
  };
  struct Column {
    int field = 0;  // of the record; -1: the rowid
    ColumnType type;
    friend bool operator==(const Column&, const Column&) = default;
  };
  struct Found {
    std::vector<EncodedColumnPtr> columns;  // as wanted; null: not there
    bool complete = false;
    bool is_worth_keeping = false;  // what is not there
  };
  [[nodiscard]] Found find(const LotState& lot, std::span<const Column> wanted);
  // Keeps them if there is room.
  void keep(const LotState& lot, std::span<const Column> columns, std::span<const EncodedColumnPtr> values);
  // There is no keeping the lot as it is: it is not worth it until it changes.
  void refuse(const LotState& lot);

  struct Numbers {
    std::uint64_t bytes = 0;
    std::uint64_t hits = 0;  // lots
    std::uint64_t misses = 0;
  };
  [[nodiscard]] Numbers numbers() const;
  // Forgets everything; false: there was nothing.
  bool clear();

 private:
  struct Key {
    std::uint64_t file = 0;
    PageNo first;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept {
      return static_cast<std::size_t>((key.file * 0x9e3779b97f4a7c15U ^ key.first.value) *
                                      0xff51afd7ed558ccdU);
    }
  };
  struct Entry {
    Key lot;
    Column column;
    EncodedColumnPtr values;
    std::uint64_t bytes = 0;
    Clock::time_point used;
  };
  using Entries = std::list<Entry>;  // the last used one is the first
  struct Lot {
    std::vector<PageNo> leaves;
    std::vector<std::uint64_t> versions;
    std::vector<Entries::iterator> columns;
  };
  // A lot that was read and is not kept.
  struct Seen {
    std::uint64_t state = 0;  // hash of what it was
    bool is_refused = false;
  };
  static constexpr std::size_t kMostSeen = 65536;

  [[nodiscard]] static bool is_same(const Lot& lot, const LotState& state);
  [[nodiscard]] static std::uint64_t hash_of(const LotState& state);
  [[nodiscard]] bool make_room(std::uint64_t bytes);
  void drop(Lot& lot, Entries::iterator entry);
  void see(const Key& key, Seen seen);

  const std::uint64_t limit_;
  Clock::time_point (*const now_)();
  mutable std::mutex mutex_;
  Entries entries_;
  std::unordered_map<Key, Lot, Hash> lots_;
  std::unordered_map<Key, Seen, Hash> seen_;
  Numbers numbers_;
  std::uint64_t largest_ = 0;  // bytes that were to be kept at once
};

}  // namespace bop::executor
