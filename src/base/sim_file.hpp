// The contents of one simulated file: what reads see now and what a power cut may leave (sim_disk.hpp).
//
// Pages of 4096 bytes; a null page is zeros, so that prewriting costs nothing. A page that was written since
// the last sync has a record of its earlier versions, the first of which is the durable one. Syncing drops
// the records; a power cut walks them and nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/disk.hpp"
#include "base/sim.hpp"

namespace bop {

class SimContents {
 public:
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // False if an unreadable sector is touched. Precondition: the range lies within size().
  bool read(std::uint64_t at, std::span<std::byte> out) const;
  void write(std::uint64_t at, std::span<const std::byte> bytes);
  void write_zeros(std::uint64_t from, std::uint64_t to);
  void truncate(std::uint64_t size);
  void sync();
  // A sync that failed: each unsynced sector is now durable or lost, later syncs do not know of it; the
  // cached page stays or goes back to the durable state.
  void failed_sync(SimRandom& random);
  // A durable write that completed. Whole pages.
  void write_durable(std::uint64_t at, std::span<const std::byte> bytes);
  // A durable write that a power cut or an error interrupted: each sector happened or not.
  void write_torn(std::uint64_t at, std::span<const std::byte> bytes, SimRandom& random);
  void power_cut(SimRandom& random);
  bool flip_bit(std::uint64_t at, unsigned bit);
  bool break_sector(std::uint64_t at);
  [[nodiscard]] bool has_unsynced() const noexcept { return !unsynced_.empty() || !sizes_.empty(); }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kMostVersions = 6;
  using Page = std::array<std::byte, kPage>;
  using Image = std::unique_ptr<Page>;  // null = zeros
  struct Version {
    std::uint64_t time;
    bool by_truncate;
    Image image;
  };
  struct Record {
    std::vector<Version> earlier;  // earlier.front() is what is durable
    std::uint64_t written_at = 0;  // time of the version that reads see
    bool by_truncate = false;      // that version comes of a truncation
    bool clean_but_lost = false;   // a sync failed; the kernel no longer knows that the page is dirty
  };
  struct SizeChange {
    std::uint64_t time;
    std::uint64_t size;  // before the change
    bool shrinks;
  };

  Page& page_for_write(std::uint64_t number);
  void remember(std::uint64_t number, bool by_truncate);
  void grow(std::uint64_t size);
  void make_size_durable();
  void resolve(std::uint64_t number, Record& record, std::uint64_t first_lost_truncate, SimRandom& random,
               unsigned mode);
  static Image copy(const Image& image) { return image ? std::make_unique<Page>(*image) : nullptr; }
  static void copy_sector(Image& to, const Image& from, std::size_t sector);

  std::uint64_t size_ = 0;
  std::uint64_t time_ = 0;
  std::vector<Image> pages_;
  std::map<std::uint64_t, Record> unsynced_;
  std::vector<SizeChange> sizes_;   // since the last sync, oldest first
  std::set<std::uint64_t> broken_;  // sector numbers
};

}  // namespace bop
