#include "aof/tier/manifest_repair.hpp"

#include <map>
#include <optional>
#include <utility>

#include "aof/stream_files.hpp"
#include "aof/tier/archived_object.hpp"
#include "aof/tier/blocking_store.hpp"
#include "aof/tier/seekable_reader.hpp"
#include "aof/tier/segment_facts.hpp"
#include "aof/tier/tier_files.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr std::string_view kDamagedSuffix = ".damaged";

struct FoundSegment {
  std::optional<SegmentFacts> facts;
  std::string where;  // of the copy that the facts are from
  bool raw = false;
  std::optional<TierOneCopy> tier_one;
  std::optional<ArchivedCopy> archived;
};

class Repair {
 public:
  Repair(Disk& disk, const ManifestRepairOptions& options) : disk_(disk), options_(options) {}

  Result<ManifestState> state(ManifestRepair& report) {
    BOP_TRY(look_at_raw());
    BOP_TRY(look_at_archive());
    BOP_TRY(look_at_tier_one(report));
    return chain(report);
  }

 private:
  // Copies of one number must be copies of one segment.
  Status add(const SegmentFacts& facts, const std::string& where, FoundSegment*& out) {
    FoundSegment& segment = found_[facts.id.number];
    if (segment.facts.has_value() && *segment.facts != facts) {
      return fail(ErrorCode::kCorrupt, "{} and {} are different segments of the number {}", segment.where,
                  where, facts.id.number);
    }
    if (!segment.facts.has_value()) segment.where = where;
    segment.facts = facts;
    out = &segment;
    return {};
  }

  Status look_at_raw() {
    BOP_LET(files, find_segments(disk_, options_.directory));
    for (std::size_t i = 0; i < files.chain.size(); ++i) {
      const SegmentFile& file = files.chain[i];
      if (file.header.identity != options_.identity) {
        return fail(ErrorCode::kCorrupt, "{}: is a segment of another log", file.path);
      }
      if (i + 1 == files.chain.size()) {
        active_ = file;
        break;
      }
      const SegmentHeader& next = files.chain[i + 1].header;
      BOP_LET(opened, disk_.open(file.path, OpenMode::kRead));
      BOP_LET(facts, find_facts(*opened, file.header, {next.previous, next.timeline}));
      FoundSegment* segment = nullptr;
      BOP_TRY(add(facts.facts, file.path, segment));
      segment->raw = true;
    }
    return {};
  }

  Status look_at_archive() {
    if (options_.archive == nullptr) return {};
    auto reg = options_.archive->read_register();
    if (!reg.has_value()) {
      if (reg.error().code() == ErrorCode::kObjectNotFound) return {};
      return std::unexpected(std::move(reg).error());
    }
    register_ = std::move(*reg);
    BOP_LET(objects, options_.archive->objects(*register_));
    for (const CountedObject& object : objects) {
      BOP_LET(bytes, options_.archive->read(object));
      BOP_LET(image, decode_object(bytes, object.key.content_checksum, object.meta.key));
      BOP_LET(facts, facts_of_image(image, object.meta.key));
      if (!names(object.key, facts)) {
        return fail(ErrorCode::kCorrupt, "{}: holds another segment than its name says", object.meta.key);
      }
      // The newest raw file may be the newest archived segment: after a rebuild nothing has sealed it here.
      if (active_.has_value() && active_->header.number == facts.id.number) active_.reset();
      FoundSegment* segment = nullptr;
      BOP_TRY(add(facts, object.meta.key, segment));
      segment->archived = ArchivedCopy{object.key.epoch, object.meta.bytes, crc64(0, bytes), object.meta.key,
                                       object.meta.etag};
      const auto raw = disk_.exists(options_.directory + "/" + segment_name(facts.id.number));
      segment->raw = raw.has_value() && *raw;
    }
    return {};
  }

  // A cache where there is another copy, so one that is not whole is passed over then.
  Status look_at_tier_one(ManifestRepair& report) {
    BOP_LET(files, disk_.list(options_.directory));
    for (const std::string& name : files) {
      const auto number = tier_one_number(name);
      if (!number.has_value()) continue;
      const std::string path = options_.directory + "/" + name;
      if (auto looked = look_at_file(path, *number); !looked.has_value()) {
        if (looked.error().code() != ErrorCode::kCorrupt) return looked;
        report.passed_over.push_back(looked.error().what());
      }
    }
    return {};
  }
  Status look_at_file(const std::string& path, std::uint64_t number) {
    BOP_LET(file, disk_.open(path, OpenMode::kRead));
    BOP_LET(size, file->size());
    if (size > kMostObjectBytes) return fail(ErrorCode::kCorrupt, "{}: {} bytes are no segment", path, size);
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    BOP_LET(got, file->read_at(ByteOffset(0), bytes));
    if (got != size) return fail(ErrorCode::kCorrupt, "{}: ends at byte {} of {}", path, got, size);
    BOP_LET(reader, SeekableReader::open(range_of(std::span<const std::byte>(bytes)), size, path));
    std::vector<std::byte> image(static_cast<std::size_t>(reader.image_bytes()));
    BOP_TRY(reader.read(0, image));
    BOP_LET(facts, facts_of_image(image, path));
    if (facts.id.number != number) {
      return fail(ErrorCode::kCorrupt, "{}: holds segment {}, it was renamed", path, facts.id.number);
    }
    FoundSegment* segment = nullptr;
    BOP_TRY(add(facts, path, segment));
    segment->tier_one =
        TierOneCopy{size, crc64(0, bytes), static_cast<std::uint32_t>(reader.tables().frames.size())};
    return {};
  }

  Result<ManifestState> chain(ManifestRepair& report) {
    ManifestState state(options_.identity);
    const auto apply = [&](const ManifestRecord& record) -> Status {
      BOP_TRY(state.check(record));
      state.apply(record);
      return {};
    };
    if (register_.has_value()) {
      std::erase_if(found_, [&](const auto& segment) { return segment.first < register_->low_number; });
      if (register_->low_number > 1) BOP_TRY(apply(DeletedRecord{register_->low_number, register_->low}));
      BOP_TRY(apply(EpochTakenRecord{register_->epoch, register_->history.back().start}));
    } else if (!found_.empty() && found_.begin()->first > 1) {
      const auto& [number, segment] = *found_.begin();
      BOP_TRY(apply(DeletedRecord{number, segment.facts->base}));
    } else if (found_.empty() && active_.has_value() && active_->header.number > 1) {
      BOP_TRY(apply(DeletedRecord{active_->header.number, active_->header.base}));
    }
    for (const auto& [number, segment] : found_) {
      const FinalizedRecord finalized{*segment.facts};
      if (auto fits = apply(finalized); !fits.has_value()) {
        return std::unexpected(missing(segment.facts->previous_number, segment.where, fits.error()));
      }
      if (segment.tier_one.has_value()) BOP_TRY(apply(TierOneMadeRecord{number, *segment.tier_one}));
      if (segment.archived.has_value()) BOP_TRY(apply(ArchivedRecord{number, *segment.archived}));
      if (!segment.raw) BOP_TRY(apply(TierZeroDroppedRecord{number}));
      ++report.segments;
      report.raw += segment.raw ? 1 : 0;
      report.compressed += segment.tier_one.has_value() ? 1 : 0;
      report.archived += segment.archived.has_value() ? 1 : 0;
    }
    if (active_.has_value() && !found_.empty()) {
      const SegmentFacts& newest = *found_.rbegin()->second.facts;
      if (active_->header.previous_number != newest.id.number || active_->header.previous != newest.last) {
        return std::unexpected(
            missing(active_->header.previous_number, active_->path,
                    error(ErrorCode::kCorrupt, "the newest one found is {}", newest.id.number)));
      }
    }
    return state;
  }
  static Error missing(std::uint64_t number, const std::string& where, const Error& why) {
    return error(ErrorCode::kCorrupt, "segment {} is missing, or differs from what {} follows: {}", number,
                 where, why.what())
        .hint("Nothing was changed. Put a copy of it back, or rebuild the log from its archive or a backup.");
  }

  Disk& disk_;
  const ManifestRepairOptions& options_;
  std::map<std::uint64_t, FoundSegment> found_;
  std::optional<SegmentFile> active_;
  std::optional<BucketRegister> register_;
};

}  // namespace

Result<BucketRegister> BucketView::read_register() {
  BOP_LET(bytes, BlockingStore(store_, options_).get(names_.register_name()));
  return decode_register(bytes, identity_, store_.name() + ", " + names_.register_name());
}

Result<std::vector<CountedObject>> BucketView::objects(const BucketRegister& reg) {
  return counted_objects(store_, names_, reg, options_);
}

Result<std::vector<std::byte>> BucketView::read(const CountedObject& object) {
  if (object.meta.bytes > kMostObjectBytes) {
    return fail(ErrorCode::kCorrupt, "{}, {}: {} bytes are more than an object has", store_.name(),
                object.meta.key, object.meta.bytes);
  }
  return BlockingStore(store_, options_).get_whole(object.meta.key, object.meta.bytes, range_bytes_);
}

Result<ManifestRepair> repair_manifest(Disk& disk, const ManifestRepairOptions& options) {
  ManifestRepair report;
  const auto loaded = load_manifest(disk, options.directory);
  if (loaded.has_value() && loaded->state.identity() == options.identity) {
    report.was_sound = true;
    report.segments = loaded->state.segments().size();
    return report;
  }
  if (!loaded.has_value()) {
    const ErrorCode code = loaded.error().code();
    // A newer version's manifest is not damaged, and a disk that does not answer may answer later.
    if (code != ErrorCode::kCorrupt && code != ErrorCode::kFileNotFound)
      return std::unexpected(loaded.error());
    report.damage = loaded.error().what();
  } else {
    report.damage = "the manifest is of another log";
  }
  BOP_LET(state, Repair(disk, options).state(report));
  for (const std::uint64_t generation : {1U, 2U}) {
    const std::string path = options.directory + "/" + manifest_name(generation);
    BOP_LET(there, disk.exists(path));
    if (there) BOP_TRY(disk.rename(path, path + std::string(kDamagedSuffix)));
  }
  BOP_TRY(disk.sync_directory(options.directory));
  BOP_LET(manifest, Manifest::create(disk, options.directory, state, options.manifest));
  return report;
}

}  // namespace bop::aof
