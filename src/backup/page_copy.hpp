// Copies the pages of one database's file while a node may be writing to it. The copy is no state of the
// database: its pages are of different moments, none older than the manifest that was copied before. What the
// log from that manifest's base to the end of the copying holds makes it one (DESIGN.md).
//
// One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backup/label.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::backup {

class PageCopy {
 public:
  // Goes on behind `state.pages`. kFileNotFound: the database was dropped.
  [[nodiscard]] static Result<PageCopy> open(Disk& disk, const std::string& data_dir,
                                             const std::string& directory, LabelDatabase state);

  // Up to kStepPages more; false when there are no more. A page that stays damaged is copied as it is: the
  // log may make it good, and if not the verification names it.
  [[nodiscard]] Result<bool> step();
  [[nodiscard]] Status sync() { return target_->sync(); }
  [[nodiscard]] const LabelDatabase& state() const noexcept { return state_; }

  static constexpr std::uint32_t kStepPages = 256;

 private:
  PageCopy(std::unique_ptr<File> source, std::unique_ptr<File> target, LabelDatabase state)
      : source_(std::move(source)), target_(std::move(target)), state_(state) {}
  void read_again(std::uint32_t page, std::span<std::byte> bytes);

  std::unique_ptr<File> source_;
  std::unique_ptr<File> target_;
  LabelDatabase state_;
  int rotten_ = 0;  // pages that stayed damaged
};

}  // namespace bop::backup
