#include "server/data_upgrade.hpp"

#include <array>

#include "aof/stream_files.hpp"
#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/whole_file.hpp"

namespace bop::server {

namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

std::string mark_of(std::uint32_t to) { return fmt::format("upgrading-{}", to); }

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

Status copy_file(Disk& disk, const std::string& from, const std::string& to) {
  BOP_TRY(disk.create_directories(parent_of(to)));
  BOP_LET(source, disk.open(from, OpenMode::kRead));
  BOP_LET(target, disk.open(to, OpenMode::kOpenOrCreate));
  BOP_TRY(target->truncate(0));
  std::vector<std::byte> buffer(kCopyBytes);
  for (std::uint64_t at = 0;;) {
    BOP_LET(got, source->read_at(ByteOffset(at), buffer));
    if (got == 0) break;
    BOP_TRY(target->write_at(ByteOffset(at), std::span(buffer).first(got)));
    at += got;
  }
  BOP_TRY(target->sync());
  return disk.sync_directory(parent_of(to));
}

// 1 to 2: `format` names the log, so that the log of another node is not taken for this one's.
Result<DataFormat> name_log(Disk& disk, Random& random, const std::string& path, const std::string&) {
  DataFormat after;
  const std::string log = path + "/log";
  BOP_LET(exists, disk.exists(log));
  if (exists) {
    BOP_LET(files, aof::find_segments(disk, log));
    if (!files.chain.empty()) after.log = files.chain.front().header.identity;
  }
  if (!after.log) random.fill(std::as_writable_bytes(std::span(after.log.emplace())));
  return after;
}

Status copy_what_is_rewritten(Disk& disk, const std::string& path, const std::string& copy,
                              const UpgradeStep& step) {
  BOP_LET(names, step.rewrites(disk, path));
  names.emplace_back(kFormatName);
  BOP_TRY(disk.create_directories(copy));
  for (const std::string& name : names) BOP_TRY(copy_file(disk, path + "/" + name, copy + "/" + name));
  return {};
}

Status remove_mark(Disk& disk, const std::string& path, const std::string& name) {
  BOP_LET(exists, disk.exists(path + "/" + name));
  if (!exists) return {};
  BOP_TRY(disk.remove(path + "/" + name));
  return disk.sync_directory(path);
}

Result<DataFormat> upgrade_once(Disk& disk, Random& random, const std::string& path, const DataFormat& before,
                                const UpgradeStep& step, const std::string& copy) {
  const std::string mark = mark_of(before.version + 1);
  BOP_LET(copied, disk.exists(path + "/" + mark));
  if (!copied) {
    BOP_TRY(copy_what_is_rewritten(disk, path, copy, step));
    BOP_TRY(disk.sync_directory(path));
    BOP_TRY(write_whole_file(disk, path, mark, fmt::format("what was there before is in {}\n", copy)));
  }
  BOP_LET(after, step.run(disk, random, path, copy));
  after.version = before.version + 1;
  BOP_TRY(write_whole_file(disk, path, kFormatName, text_of(after)));
  BOP_TRY(remove_mark(disk, path, mark));
  return after;
}

}  // namespace

std::span<const UpgradeStep> upgrade_steps() {
  static const std::array<UpgradeStep, kDataFormat - 1> kSteps{{
      {"the file format names the log that belongs to the databases",
       [](Disk&, const std::string&) -> Result<std::vector<std::string>> {
         return std::vector<std::string>{};
       },
       name_log},
  }};
  return kSteps;
}

Result<DataFormat> upgrade_data_directory(Disk& disk, Random& random, const std::string& path,
                                          DataFormat format, std::span<const UpgradeStep> steps) {
  BOP_ASSERT(format.version >= 1 && format.version <= steps.size() + 1);
  // An earlier start may have been cut between (4) and (5).
  BOP_TRY(remove_mark(disk, path, mark_of(format.version)));
  while (format.version <= steps.size()) {
    const UpgradeStep& step = steps[format.version - 1];
    const std::uint32_t to = format.version + 1;
    const std::string copy = fmt::format("{}/before-format-{}", path, to);
    auto after = upgrade_once(disk, random, path, format, step, copy);
    if (!after) {
      return std::unexpected(
          error(after.error().code(), "the data directory {} has format {} and cannot be upgraded to {}: {}",
                path, format.version, to, after.error().what())
              .hint("Start it again when that is mended; what it rewrites is copied first."));
    }
    log_info("data directory upgraded",
             {{"from", format.version}, {"to", to}, {"change", step.what}, {"copy", copy}});
    format = std::move(*after);
  }
  return format;
}

}  // namespace bop::server
