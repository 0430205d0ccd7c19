#include "base/sim_file.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/assert.hpp"

namespace bop {
namespace {
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

// How a power cut treats one file: all alike or each sector by itself; the extremes are drawn often enough to
// occur.
enum Mode : unsigned { kKeepAll, kLoseAll, kEachByItself, kModes = 4 };
unsigned draw_mode(SimRandom& random) {
  return std::min<unsigned>(static_cast<unsigned>(random.below(kModes)), kEachByItself);
}
}  // namespace

bool SimContents::read(std::uint64_t at, std::span<std::byte> out) const {
  if (out.empty()) return true;
  BOP_ASSERT(at + out.size() <= size_);
  if (!broken_.empty()) {
    const auto first = broken_.lower_bound(at / kSectorBytes);
    if (first != broken_.end() && *first <= (at + out.size() - 1) / kSectorBytes) return false;
  }
  while (!out.empty()) {
    const std::size_t within = at % kPage;
    const std::size_t part = std::min(out.size(), kPage - within);
    const Image& page = pages_[at / kPage];
    if (page) {
      std::memcpy(out.data(), page->data() + within, part);
    } else {
      std::memset(out.data(), 0, part);
    }
    at += part;
    out = out.subspan(part);
  }
  return true;
}

SimContents::Page& SimContents::page_for_write(std::uint64_t number) {
  Image& page = pages_[number];
  if (!page) {
    page = std::make_unique<Page>();
    page->fill(std::byte{0});
  }
  return *page;
}

void SimContents::remember(std::uint64_t number, bool by_truncate) {
  Record& record = unsynced_[number];
  const Image& now = pages_[number];
  record.earlier.push_back({record.written_at, record.by_truncate, copy(now)});
  if (record.earlier.size() > kMostVersions) {
    // The durable version and the effects of truncations are needed; of the others one may be forgotten.
    const auto victim = std::find_if(record.earlier.begin() + 1, record.earlier.end(),
                                     [](const Version& v) { return !v.by_truncate; });
    if (victim != record.earlier.end()) record.earlier.erase(victim);
  }
  record.written_at = time_;
  record.by_truncate = by_truncate;
  record.clean_but_lost = false;
}

void SimContents::grow(std::uint64_t size) {
  if (size <= size_) return;
  sizes_.push_back({time_, size_, false});
  size_ = size;
  pages_.resize((size + kPage - 1) / kPage);
}

void SimContents::write(std::uint64_t at, std::span<const std::byte> bytes) {
  ++time_;
  grow(at + bytes.size());
  while (!bytes.empty()) {
    const std::size_t within = at % kPage;
    const std::size_t part = std::min(bytes.size(), kPage - within);
    remember(at / kPage, false);
    std::memcpy(page_for_write(at / kPage).data() + within, bytes.data(), part);
    if (!broken_.empty()) {
      broken_.erase(broken_.lower_bound(at / kSectorBytes),
                    broken_.upper_bound((at + part - 1) / kSectorBytes));
    }
    at += part;
    bytes = bytes.subspan(part);
  }
}

void SimContents::write_zeros(std::uint64_t from, std::uint64_t to) {
  ++time_;
  grow(to);
  if (!broken_.empty() && from < to) {
    broken_.erase(broken_.lower_bound(from / kSectorBytes), broken_.upper_bound((to - 1) / kSectorBytes));
  }
  while (from < to) {
    const std::size_t within = from % kPage;
    const std::size_t part = std::min<std::uint64_t>(to - from, kPage - within);
    const std::uint64_t number = from / kPage;
    if (pages_[number]) {
      remember(number, false);
      if (part == kPage) {
        pages_[number] = nullptr;
      } else {
        std::memset(pages_[number]->data() + within, 0, part);
      }
    }
    from += part;
  }
}

void SimContents::truncate(std::uint64_t size) {
  ++time_;
  if (size >= size_) return grow(size);
  sizes_.push_back({time_, size_, true});
  const std::uint64_t count = (size + kPage - 1) / kPage;
  for (std::uint64_t number = size / kPage; number < pages_.size(); ++number) {
    if (!pages_[number]) continue;
    remember(number, true);
    if (number >= count) {
      pages_[number] = nullptr;
    } else {
      std::memset(pages_[number]->data() + size % kPage, 0, kPage - size % kPage);
    }
  }
  pages_.resize(count);
  size_ = size;
  broken_.erase(broken_.lower_bound((size + kSectorBytes - 1) / kSectorBytes), broken_.end());
}

void SimContents::sync() {
  sizes_.clear();
  std::erase_if(unsynced_, [](const auto& entry) { return !entry.second.clean_but_lost; });
}

void SimContents::failed_sync(SimRandom& random) {
  for (auto& [number, record] : unsynced_) {
    if (record.clean_but_lost) continue;
    const Image cached = number < pages_.size() ? copy(pages_[number]) : nullptr;
    const bool reachable = number < pages_.size();
    if (!reachable) pages_.resize(number + 1);
    resolve(number, record, kNever, random, draw_mode(random));
    Image durable = std::move(pages_[number]);
    const bool forgets = random.chance(1, 2);
    pages_[number] = forgets ? copy(durable) : copy(cached);
    record.earlier.clear();
    record.earlier.push_back({0, false, std::move(durable)});
    record.written_at = time_;
    record.by_truncate = false;
    record.clean_but_lost = true;
    if (!reachable) pages_.resize((size_ + kPage - 1) / kPage);
  }
}

void SimContents::make_size_durable() { sizes_.clear(); }

void SimContents::write_durable(std::uint64_t at, std::span<const std::byte> bytes) {
  ++time_;
  const std::uint64_t durable_size = sizes_.empty() ? size_ : sizes_.front().size;
  grow(at + bytes.size());
  // O_DSYNC carries the metadata that reading the bytes back needs.
  if (at + bytes.size() > durable_size) make_size_durable();
  for (; !bytes.empty(); at += kPage, bytes = bytes.subspan(kPage)) {
    unsynced_.erase(at / kPage);
    std::memcpy(page_for_write(at / kPage).data(), bytes.data(), kPage);
    if (!broken_.empty()) {
      broken_.erase(broken_.lower_bound(at / kSectorBytes), broken_.lower_bound((at + kPage) / kSectorBytes));
    }
  }
}

void SimContents::write_torn(std::uint64_t at, std::span<const std::byte> bytes, SimRandom& random) {
  const unsigned mode = draw_mode(random);
  if (mode == kLoseAll) return;
  const std::uint64_t end = at + bytes.size();
  if (end > size_) {
    // Whether the growth survived is one question for the whole write.
    if (random.chance(1, 2)) return;
    grow(end);
    make_size_durable();
  }
  for (; !bytes.empty(); at += kPage, bytes = bytes.subspan(kPage)) {
    Image was = copy(pages_[at / kPage]);
    Page& page = page_for_write(at / kPage);
    for (std::size_t sector = 0; sector < kPage / kSectorBytes; ++sector) {
      if (mode == kEachByItself && random.chance(1, 2)) continue;
      std::memcpy(page.data() + sector * kSectorBytes, bytes.data() + sector * kSectorBytes, kSectorBytes);
    }
    unsynced_.erase(at / kPage);
  }
}

void SimContents::copy_sector(Image& to, const Image& from, std::size_t sector) {
  if (!to && !from) return;
  if (!to) {
    to = std::make_unique<Page>();
    to->fill(std::byte{0});
  }
  if (from) {
    std::memcpy(to->data() + sector * kSectorBytes, from->data() + sector * kSectorBytes, kSectorBytes);
  } else {
    std::memset(to->data() + sector * kSectorBytes, 0, kSectorBytes);
  }
}

void SimContents::resolve(std::uint64_t number, Record& record, std::uint64_t first_lost_truncate,
                          SimRandom& random, unsigned mode) {
  Image& page = pages_[number];
  if (record.clean_but_lost) {
    page = std::move(record.earlier.front().image);
    return;
  }
  record.earlier.push_back({record.written_at, record.by_truncate, std::move(page)});
  // Candidates: from the last truncation that survived up to the first that did not.
  std::size_t first = 0;
  std::size_t end = record.earlier.size();
  for (std::size_t i = 1; i < end; ++i) {
    if (!record.earlier[i].by_truncate) continue;
    if (record.earlier[i].time >= first_lost_truncate) {
      end = i;
    } else {
      first = i;
    }
  }
  std::vector<Version>& versions = record.earlier;
  if (mode != kEachByItself || end - first == 1) {
    page = std::move(versions[mode == kLoseAll ? first : end - 1].image);
    return;
  }
  for (std::size_t sector = 0; sector < kPage / kSectorBytes; ++sector) {
    copy_sector(page, versions[first + random.below(end - first)].image, sector);
  }
}

void SimContents::power_cut(SimRandom& random) {
  if (unsynced_.empty() && sizes_.empty()) return;
  const unsigned mode = draw_mode(random);
  // The size is that of some moment since the last sync: the changes before it survived.
  std::size_t survived = sizes_.size();
  if (mode == kLoseAll) survived = 0;
  if (mode == kEachByItself) survived = random.below(sizes_.size() + 1);
  std::uint64_t size = survived == sizes_.size() ? size_ : sizes_[survived].size;
  std::uint64_t first_lost_truncate = kNever;
  for (std::size_t i = survived; i < sizes_.size(); ++i) {
    if (sizes_[i].shrinks) {
      first_lost_truncate = sizes_[i].time;
      break;
    }
  }
  if (!unsynced_.empty()) {
    pages_.resize(std::max<std::size_t>(pages_.size(), unsynced_.rbegin()->first + 1));
  }
  for (auto& [number, record] : unsynced_) resolve(number, record, first_lost_truncate, random, mode);
  pages_.resize((size + kPage - 1) / kPage);
  if (size % kPage != 0 && pages_.back()) {
    std::memset(pages_.back()->data() + size % kPage, 0, kPage - size % kPage);
  }
  size_ = size;
  unsynced_.clear();
  sizes_.clear();
  broken_.erase(broken_.lower_bound((size + kSectorBytes - 1) / kSectorBytes), broken_.end());
}

bool SimContents::flip_bit(std::uint64_t at, unsigned bit) {
  if (at >= size_) return false;
  const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
  page_for_write(at / kPage)[at % kPage] ^= mask;
  const auto record = unsynced_.find(at / kPage);
  if (record != unsynced_.end()) {
    for (Version& version : record->second.earlier) {
      if (!version.image) {
        version.image = std::make_unique<Page>();
        version.image->fill(std::byte{0});
      }
      (*version.image)[at % kPage] ^= mask;
    }
  }
  return true;
}

bool SimContents::break_sector(std::uint64_t at) {
  if (at >= size_) return false;
  broken_.insert(at / kSectorBytes);
  return true;
}

}  // namespace bop
