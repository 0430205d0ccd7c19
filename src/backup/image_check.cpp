#include "backup/image_check.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "aof/stream_files.hpp"
#include "backup/label.hpp"
#include "backup/overlay_file.hpp"
#include "rowstore/manifest.hpp"
#include "rowstore/page_applier.hpp"
#include "rowstore/page_file.hpp"
#include "rowstore/vfs.hpp"

namespace bop::backup {

using rowstore::PageApplier;
using rowstore::PageFile;

namespace {

constexpr std::uint32_t kPagesPerStep = 256;
// What a node is writing may be read half done.
constexpr int kReadings = 4;
constexpr auto kReadingPause = std::chrono::milliseconds(1);
// So many pages are never written at once: what is more is rot.
constexpr int kPatience = 64;

// One database on its way through the log.
struct Image {
  DatabaseId id;
  std::string path;     // of rows.db
  std::string scratch;  // path
  Lsn base;
  Lsn last;
  std::unique_ptr<PageFile> file;
  std::unique_ptr<PageApplier> applier;
  std::size_t problems = 0;
  bool given_up = false;
};

class Checker {
 public:
  explicit Checker(const ImageCheckOptions& options) : options_(options), disk_(*options.disk) {}

  Result<ImageCheckReport> run() {
    BOP_LET(ids, databases_in(disk_, options_.root));
    for (const DatabaseId id : ids) BOP_TRY(open(id));
    const auto visit = [this](const aof::RecordView& record) { return follow(record); };
    BOP_LET(log, scan_log({.disk = &disk_,
                           .pieces = options_.pieces,
                           .exact = true,
                           .payloads = true,
                           .keys = options_.keys},
                          visit));
    report_.log = std::move(log);
    for (auto& [id, image] : images_) finish(image);
    for (auto& [id, image] : images_) total_ += image.given_up ? 0 : image.file->pages();
    for (auto& [id, image] : images_) verify(image);
    for (auto& [id, image] : images_) {
      image.applier.reset();
      image.file.reset();
      BOP_TRY(disk_.remove(image.scratch));
    }
    report_.databases = images_.size();
    return std::move(report_);
  }

 private:
  void problem(Image& image, PageNo page, std::string what) {
    if (++image.problems > kMostProblems) return;
    report_.problems.push_back({image.id, page, image.path, std::move(what)});
  }
  void give_up(Image& image, const Error& why) {
    image.given_up = true;
    problem(image, PageNo(0), why.what());
  }

  Status open(DatabaseId id) {
    const std::string directory = database_path(options_.root, id);
    Image image{.id = id, .path = directory + "/" + rowstore::kMainFileName};
    std::vector<std::string> damaged;
    Result<std::optional<rowstore::Manifest>> manifest = std::nullopt;
    for (int reading = 0; reading < kReadings; ++reading) {
      if (reading > 0) std::this_thread::sleep_for(kReadingPause);
      damaged.clear();
      manifest = rowstore::peek_manifest(disk_, directory, id, damaged);
      if (manifest && damaged.empty()) break;
    }
    auto file = disk_.open(image.path, OpenMode::kRead);
    // Its creation was cut, also while the first manifest was written: the log has it all, or it is not
    // sound.
    const bool fresh = manifest && !*manifest;
    if (fresh && !file) return {};
    for (const std::string& path : damaged) {
      if (fresh) break;
      report_.problems.push_back({id, PageNo(0), path, path + " does not match its checksum"});
    }
    if (manifest && file) {
      return add(std::move(image), std::move(*file), fresh ? rowstore::Manifest() : **manifest);
    }
    report_.problems.push_back(
        {id, PageNo(0), directory, manifest ? file.error().what() : manifest.error().what()});
    ++report_.databases;
    return {};
  }

  Status add(Image image, std::unique_ptr<File> file, const rowstore::Manifest& manifest) {
    image.scratch = fmt::format("{}/{}-{}", options_.scratch_dir, image.id.value, 0);
    BOP_LET(scratch, disk_.open(image.scratch, OpenMode::kOpenOrCreate));
    BOP_TRY(scratch->truncate(0));
    BOP_LET(overlay, OverlayFile::open(std::move(file), std::move(scratch)));
    BOP_LET(size, overlay->size());
    const auto pages = static_cast<std::uint32_t>(size / kPageBytes);
    image.file = std::make_unique<PageFile>(std::move(overlay), image.id, pages);
    image.base = image.last = manifest.base;
    if (options_.raw) find_damage(image);
    if (manifest.base == Lsn()) {
      std::array<std::byte, kPageBytes> first;
      rowstore::make_first_page(first);
      BOP_TRY(image.file->resize(0));
      BOP_TRY(image.file->write(PageNo(1), first));
    }
    image.applier =
        std::make_unique<PageApplier>(*image.file, image.id, manifest.last_commit, manifest.pages);
    images_.emplace(image.id, std::move(image));
    return {};
  }

  Status read_page(const PageFile& file, PageNo page, rowstore::PageSpan out) {
    Status done = file.read(page, out);
    for (int reading = 1; !done && patience_ > 0 && reading < kReadings; ++reading) {
      std::this_thread::sleep_for(kReadingPause);
      done = file.read(page, out);
    }
    if (!done) --patience_;
    return done;
  }

  void find_damage(Image& image) {
    std::vector<std::byte> page(kPageBytes);
    for (std::uint32_t n = 1; n <= image.file->pages(); ++n) {
      if (read_page(*image.file, PageNo(n), std::span(page).first<kPageBytes>())) continue;
      if (report_.healed.size() < kMostProblems) {
        report_.healed.push_back({image.id, PageNo(n), image.path,
                                  fmt::format("page {} of {} does not match its checksum", n, image.path)});
      }
    }
  }

  Status follow(const aof::RecordView& record) {
    if (record.kind == aof::RecordKind::kHeads) {
      aof::DatabaseHeads heads;
      if (!aof::decode_heads(record.payload, heads)) {
        return fail(ErrorCode::kCorrupt, "the heads record behind LSN {} is malformed", record.lsn.value);
      }
      for (const auto& [id, head] : heads) check_head(id, head.index);
    }
    if (!aof::is_entry(record.kind)) return {};
    const auto found = images_.find(record.database);
    if (found == images_.end() || found->second.given_up || record.lsn <= found->second.base) return {};
    Image& image = found->second;
    if (record.database_previous.index != image.last) {
      give_up(image, error(ErrorCode::kCorrupt,
                           "record {} of database {} follows record {} of it, but the newest one here is {}",
                           record.lsn.value, image.id.value, record.database_previous.index.value,
                           image.last.value));
      return {};
    }
    image.last = record.lsn;
    const Status done =
        image.applier->apply({record.lsn, record.database_previous.index, record.kind, record.payload});
    if (!done) give_up(image, done.error());
    return {};
  }

  void check_head(DatabaseId id, Lsn head) {
    const auto found = images_.find(id);
    if (found == images_.end() || found->second.given_up || head <= found->second.last) return;
    give_up(found->second, error(ErrorCode::kCorrupt,
                                 "the log says that record {} of database {} exists, but it is not here",
                                 head.value, id.value));
  }

  void finish(Image& image) {
    if (image.given_up) return;
    if (const Status done = image.applier->finish(); !done) give_up(image, done.error());
  }

  void verify(Image& image) {
    if (image.given_up) return;
    std::vector<std::byte> pages(std::size_t{kPagesPerStep} * kPageBytes);
    for (std::uint32_t n = 1; n <= image.file->pages(); n += kPagesPerStep) {
      const std::uint32_t count = std::min(kPagesPerStep, image.file->pages() - n + 1);
      const auto run = std::span(pages).first(std::size_t{count} * kPageBytes);
      if (!image.file->read_run(PageNo(n), run)) one_by_one(image, n, count);
      report_.pages += count;
      if (options_.progress) options_.progress(report_.pages, total_);
    }
  }

  void one_by_one(Image& image, std::uint32_t first, std::uint32_t count) {
    std::vector<std::byte> page(kPageBytes);
    for (std::uint32_t n = first; n < first + count; ++n) {
      const Status read = read_page(*image.file, PageNo(n), std::span(page).first<kPageBytes>());
      if (read) continue;
      std::erase_if(report_.healed, [&](const ImageProblem& healed) {
        return healed.database == image.id && healed.page == PageNo(n);
      });
      problem(image, PageNo(n), read.error().what());
    }
  }

  const ImageCheckOptions& options_;
  Disk& disk_;
  ImageCheckReport report_;
  std::map<DatabaseId, Image> images_;
  std::uint64_t total_ = 0;
  int patience_ = kPatience;
};

}  // namespace

Result<ImageCheckReport> check_images(const ImageCheckOptions& options) { return Checker(options).run(); }

Result<std::vector<DatabaseId>> databases_in(Disk& disk, const std::string& root) {
  std::vector<DatabaseId> ids;
  BOP_LET(exists, disk.exists(root + "/db"));
  if (!exists) return ids;
  BOP_LET(names, disk.list(root + "/db"));
  for (const std::string& name : names) {
    std::uint32_t id = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (bad != std::errc() || end != name.data() + name.size() || id == 0) continue;
    auto files = disk.list(root + "/db/" + name);
    if (!files && files.error().code() == ErrorCode::kFileNotFound) continue;
    if (!files) return std::unexpected(files.error());
    if (files->empty() || std::ranges::find(*files, "removed") != files->end()) continue;
    ids.push_back(DatabaseId(id));
  }
  std::ranges::sort(ids);
  return ids;
}

}  // namespace bop::backup
