#include "aof/tier/rebuild.hpp"

#include <algorithm>
#include <utility>

#include "aof/tier/archived_object.hpp"
#include "aof/tier/blocking_store.hpp"
#include "aof/tier/manifest.hpp"
#include "aof/tier/tier_files.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

Error in_the_way(const std::string& path) {
  return error(ErrorCode::kFileExists, "{}: a log is in the way of the rebuilt one", path)
      .hint("Rebuild to an empty directory.");
}

// The directory may hold what an earlier attempt left, and nothing else of a log.
Status check_directory(Disk& disk, const std::string& directory, const std::vector<CountedObject>& objects,
                       const BucketRegister& reg) {
  BOP_LET(files, disk.list(directory));
  for (const std::string& name : files) {
    const auto number = segment_number(name);
    if (!number.has_value()) continue;
    const bool ours = *number < reg.low_number ||
                      std::ranges::any_of(
                          objects, [&](const CountedObject& object) { return object.key.number == *number; });
    if (!ours) return std::unexpected(in_the_way(directory + "/" + name));
  }
  return {};
}

// The manifest that an earlier attempt began, or a new one, brought to what the register says.
Result<std::unique_ptr<Manifest>> manifest_for(Disk& disk, const RebuildOptions& options,
                                               const BucketRegister& reg,
                                               const std::vector<CountedObject>& objects) {
  const std::string path = options.directory + "/" + manifest_name(1);
  BOP_LET(there, disk.exists(path));
  auto manifest = there ? Manifest::open(disk, options.directory, options.identity, {})
                        : Manifest::create(disk, options.directory, ManifestState(options.identity), {});
  if (!manifest.has_value()) return manifest;
  Manifest& m = **manifest;
  if (reg.low_number > 1) BOP_TRY(m.append(DeletedRecord{reg.low_number, reg.low}));
  const EpochTakenRecord epoch{reg.epoch, reg.history.back().start};
  if (m.state().epoch() != epoch) BOP_TRY(m.append(epoch));
  std::size_t i = 0;
  for (const auto& [number, segment] : m.state().segments()) {
    const bool same = i < objects.size() && aof::names(objects[i].key, segment.facts) &&
                      segment.archived.has_value() && segment.archived->key == objects[i].meta.key;
    if (!same) return std::unexpected(in_the_way(path));
    ++i;
  }
  BOP_LET(files, disk.list(options.directory));
  for (const std::string& name : files) {
    const auto number = segment_number(name);
    if (number.has_value() && *number < reg.low_number)
      BOP_TRY(remove_durably(disk, options.directory, name));
  }
  return manifest;
}

// The manifest knows it, and its file is whole.
bool is_here(Disk& disk, const std::string& directory, const SegmentState& segment) {
  auto file = disk.open(directory + "/" + segment_name(segment.facts.id.number), OpenMode::kRead);
  if (!file.has_value()) return false;
  const auto size = (*file)->size();
  return size.has_value() && *size == segment.facts.file_bytes &&
         load_image(**file, segment.facts).has_value();
}

}  // namespace

Result<std::vector<CountedObject>> counted_objects(objstore::ObjectStore& store, const BucketNames& names,
                                                   const BucketRegister& reg, objstore::CallOptions options) {
  BlockingStore calls(store, options);
  std::vector<CountedObject> found;
  std::string after;
  for (;;) {
    BOP_LET(page, calls.list(names.segments(), after));
    for (objstore::ObjectMeta& object : page.objects) {
      after = object.key;
      const auto key = names.parse(object.key);
      if (key.has_value() && counts(reg, *key)) found.push_back({*key, std::move(object)});
    }
    if (!page.more || page.objects.empty()) break;
  }
  // Keys begin with the number, so a listing is in order. The chain itself is checked by who reads the
  // objects; that ids go on without a gap is seen from the names.
  Lsn next = reg.low;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const ObjectKey& key = found[i].key;
    if (key.base != next || (i > 0 && key.number <= found[i - 1].key.number)) {
      return fail(ErrorCode::kCorrupt,
                  "{}: the archive has a gap: LSN {} is not there, and {} begins at LSN {}", store.name(),
                  next.value, found[i].meta.key, key.base.value);
    }
    next = key.last.next();
  }
  const std::uint64_t last = found.empty() ? reg.low_number - 1 : found.back().key.number;
  const bool nothing = reg.low_number > reg.archived_number;
  if (next != reg.archived.index.next() || (!nothing && last != reg.archived_number)) {
    return fail(ErrorCode::kCorrupt,
                "{}: the archive goes to segment {} (LSN {}), and objects are there up to LSN {}",
                store.name(), reg.archived_number, reg.archived.index.value, next.value - 1);
  }
  return found;
}

Result<Rebuilt> rebuild(objstore::ObjectStore& store, Disk& disk, const RebuildOptions& options,
                        const std::function<bool(const RebuildProgress&)>& tell) {
  const BucketNames names(options.prefix, options.identity);
  BlockingStore calls(store, options.call);
  const std::string where = fmt::format("{}, {}", store.name(), names.register_name());
  BOP_LET(bytes, calls.get(names.register_name()));
  BOP_LET(reg, decode_register(bytes, options.identity, where));
  BOP_LET(objects, counted_objects(store, names, reg, options.call));
  BOP_TRY(disk.create_directories(options.directory));
  BOP_TRY(check_directory(disk, options.directory, objects, reg));
  BOP_LET(manifest, manifest_for(disk, options, reg, objects));

  Rebuilt out{.progress = {.segments = objects.size()}, .low = reg.low, .last = reg.archived.index};
  for (const CountedObject& object : objects) {
    const SegmentState* known = manifest->state().find(object.key.number);
    if (known != nullptr && is_here(disk, options.directory, *known)) {
      ++out.progress.found;
      out.progress.bytes += known->facts.file_bytes;
    } else {
      if (object.meta.bytes > kMostObjectBytes) {
        return fail(ErrorCode::kCorrupt, "{}, {}: {} bytes are more than an object has", store.name(),
                    object.meta.key, object.meta.bytes);
      }
      BOP_LET(compressed, calls.get_whole(object.meta.key, object.meta.bytes, options.range_bytes));
      const std::uint64_t checksum = crc64(0, compressed);
      BOP_LET(image, decode_object(compressed, object.key.content_checksum, object.meta.key));
      BOP_LET(facts, facts_of_image(image, object.meta.key));
      if (!aof::names(object.key, facts)) {
        return fail(ErrorCode::kCorrupt, "{}, {}: holds another segment than its name says", store.name(),
                    object.meta.key);
      }
      const ArchivedCopy copy{object.key.epoch, object.meta.bytes, checksum, object.meta.key,
                              object.meta.etag};
      const std::vector<ManifestRecord> records{FinalizedRecord{facts},
                                                ArchivedRecord{facts.id.number, copy}};
      if (auto fits = manifest->state().check(records.front()); !fits.has_value()) {
        return fail(ErrorCode::kCorrupt, "{}, {}: does not go on where the segment before it ends: {}",
                    store.name(), object.meta.key, fits.error().what());
      }
      image.resize(static_cast<std::size_t>(facts.file_bytes));
      BOP_TRY(write_whole(disk, options.directory, segment_name(facts.id.number), image));
      if (known == nullptr) BOP_TRY(manifest->append(records));
      out.progress.bytes += facts.file_bytes;
    }
    ++out.progress.done;
    if (tell && !tell(out.progress)) {
      return fail(ErrorCode::kCancelled, "{}: rebuilding was stopped after {} of {} segments",
                  options.directory, out.progress.done, out.progress.segments);
    }
  }
  const auto& segments = manifest->state().segments();
  if (!segments.empty() && segments.rbegin()->second.facts.last != reg.archived) {
    return fail(ErrorCode::kCorrupt,
                "{}: the archive ends at LSN {} with another entry than its register says", store.name(),
                reg.archived.index.value);
  }
  return out;
}

}  // namespace bop::aof
