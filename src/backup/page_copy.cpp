#include "backup/page_copy.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include "base/crc64.hpp"
#include "rowstore/page_seal.hpp"
#include "rowstore/vfs.hpp"

namespace bop::backup {

namespace {
// A page that the node is writing may be read half done.
constexpr int kReadings = 20;
constexpr int kPatience = 64;  // so many are never written at once: what is more is rot
constexpr auto kReadingPause = std::chrono::milliseconds(1);

ByteOffset offset_of(std::uint32_t page) { return ByteOffset(std::uint64_t{page - 1} * kPageBytes); }
}  // namespace

Result<PageCopy> PageCopy::open(Disk& disk, const std::string& data_dir, const std::string& directory,
                                LabelDatabase state) {
  BOP_LET(source,
          disk.open(database_path(data_dir, state.id) + "/" + rowstore::kMainFileName, OpenMode::kRead));
  BOP_LET(target, disk.open(database_path(directory, state.id) + "/" + rowstore::kMainFileName,
                            OpenMode::kOpenOrCreate));
  BOP_TRY(target->truncate(std::uint64_t{state.pages} * kPageBytes));
  return PageCopy(std::move(source), std::move(target), state);
}

Result<bool> PageCopy::step() {
  std::vector<std::byte> buffer(std::size_t{kStepPages} * kPageBytes);
  const std::uint32_t first = state_.pages + 1;
  BOP_LET(got, source_->read_at(offset_of(first), buffer));
  // A page that was cut while it was written at the end is not a page yet.
  const auto count = static_cast<std::uint32_t>(got / kPageBytes);
  if (count == 0) {
    state_.done = true;
    return false;
  }
  const auto bytes = std::span(buffer).first(std::size_t{count} * kPageBytes);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto page = bytes.subspan(std::size_t{i} * kPageBytes).first<kPageBytes>();
    if (!rowstore::page_is_sealed(state_.id, PageNo(first + i), page)) read_again(first + i, page);
  }
  BOP_TRY(target_->write_at(offset_of(first), bytes));
  state_.checksum = crc64(state_.checksum, bytes);
  state_.pages += count;
  return true;
}

void PageCopy::read_again(std::uint32_t page, std::span<std::byte> bytes) {
  for (int reading = 0; reading < kReadings && rotten_ < kPatience; ++reading) {
    std::this_thread::sleep_for(kReadingPause);
    const auto got = source_->read_at(offset_of(page), bytes);
    if (!got || *got < kPageBytes) return;
    if (rowstore::page_is_sealed(state_.id, PageNo(page), bytes.first<kPageBytes>())) return;
  }
  ++rotten_;
}

}  // namespace bop::backup
