#include "aof/tier/segment_index.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "aof/tier/byte_codec.hpp"
#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

using mdbx::Bytes;
using mdbx::Key;
using mdbx::KeyReader;
using mdbx::ReadTransaction;
using mdbx::Table;
using mdbx::WriteTransaction;

constexpr std::uint64_t kGrowthBytes = std::uint64_t{256} << 10U;  // holds the frames of a GiB of log
constexpr std::uint64_t kNewestNumber = ~std::uint64_t{0};
constexpr std::uint16_t kNoOffset = 0xffff;
constexpr std::size_t kChunkHeadBytes = 24;
constexpr std::size_t kFrameEntryBytes = 16;

Key base_key(const SegmentFacts& facts) { return Key::of(facts.base, facts.id.number); }
Key time_key(const SegmentFacts& facts) { return Key::of(facts.last_us, facts.base, facts.id.number); }
bool is_sealed(const SegmentEntry& entry) noexcept { return entry.status != SegmentStatus::kActive; }
bool has_time(const SegmentEntry& entry) noexcept { return is_sealed(entry) && entry.record_count() != 0; }
Bytes nothing() { return {}; }

std::vector<std::byte> encode_format(const StreamIdentity& identity) {
  std::vector<std::byte> bytes;
  ByteSink sink(bytes);
  sink.number(kIndexVersion);
  sink.number(static_cast<std::uint32_t>(kFrameBytes));
  sink.bytes(std::as_bytes(std::span(identity)));
  sink.number(crc64(kIndexSeed, bytes));
  return bytes;
}

std::vector<std::byte> encode_chunk(std::span<const FrameEntry> frames, std::uint64_t first,
                                    std::uint64_t total, const SegmentId& id, std::uint64_t seed) {
  std::vector<std::byte> bytes;
  bytes.reserve(kChunkHeadBytes + frames.size() * kFrameEntryBytes + sizeof(std::uint64_t));
  ByteSink sink(bytes);
  const Lsn base = frames.front().first;
  sink.number(id.seed);
  sink.number(static_cast<std::uint32_t>(total));
  sink.number(std::uint32_t{0});
  sink.number(base.value);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const FrameEntry& frame = frames[i];
    const std::uint64_t begin = (first + i) * kFrameBytes;
    sink.number(static_cast<std::uint32_t>(frame.first.value - base.value));
    sink.number(frame.offset == kNoEntry ? kNoOffset
                                         : static_cast<std::uint16_t>((frame.offset - begin) / 8));
    sink.number(static_cast<std::uint16_t>(frame.entries));
    sink.number(frame.timestamp_us);
  }
  sink.number(crc64(seed, bytes));
  return bytes;
}

// The frames of a chunk, looked at where they stand in the mapped file, after its checksum was compared.
class Chunk {
 public:
  Chunk(Bytes frames, Lsn base, std::uint64_t first) : frames_(frames), base_(base), first_(first) {}
  [[nodiscard]] std::uint64_t size() const noexcept { return frames_.size() / kFrameEntryBytes; }
  [[nodiscard]] FrameEntry at(std::uint64_t i) const {
    ByteSource source(frames_.subspan(static_cast<std::size_t>(i) * kFrameEntryBytes, kFrameEntryBytes));
    FrameEntry frame;
    frame.first = Lsn(base_.value + source.number<std::uint32_t>());
    const auto offset = source.number<std::uint16_t>();
    if (offset != kNoOffset) frame.offset = (first_ + i) * kFrameBytes + 8 * std::uint64_t{offset};
    frame.entries = source.number<std::uint16_t>();
    frame.timestamp_us = source.number<std::int64_t>();
    return frame;
  }

 private:
  Bytes frames_;
  Lsn base_;
  std::uint64_t first_;
};

// Nothing when the chunk is of another life of the segment. kCorrupt.
Result<std::optional<Chunk>> read_chunk(Bytes bytes, std::uint64_t first, std::uint64_t total,
                                        const SegmentId& id, std::uint64_t seed, std::string_view where) {
  const auto damaged = [&] {
    return fail(ErrorCode::kCorrupt, "{}: the frames of segment {} from {} on are damaged", where, id.number,
                first);
  };
  if (bytes.size() < kChunkHeadBytes + sizeof(std::uint64_t)) return damaged();
  const Bytes content = bytes.first(bytes.size() - sizeof(std::uint64_t));
  ByteSource tail(bytes.subspan(content.size()));
  if (tail.number<std::uint64_t>() != crc64(seed, content)) return damaged();
  ByteSource head(content.first(kChunkHeadBytes));
  const auto life = head.number<std::uint64_t>();
  const auto frames = head.number<std::uint32_t>();
  const auto zero = head.number<std::uint32_t>();
  const Lsn base(head.number<std::uint64_t>());
  if (life != id.seed || frames != total) return std::nullopt;
  const std::uint64_t count = std::min<std::uint64_t>(kFramesInChunk, total - first);
  if (zero != 0 || content.size() != kChunkHeadBytes + count * kFrameEntryBytes) return damaged();
  return Chunk(content.subspan(kChunkHeadBytes), base, first);
}

}  // namespace

struct SegmentIndex::Store {
  std::unique_ptr<mdbx::Environment> environment;
  Table meta, bases, times, todo, frames;
  std::uint64_t identity_seed = 0;
  std::atomic<std::uint32_t> unsynced{0};

  [[nodiscard]] const std::string& where() const { return environment->directory(); }
  [[nodiscard]] std::uint64_t seed_of(const Key& key) const { return crc64(identity_seed, key.bytes()); }

  [[nodiscard]] Result<SegmentEntry> entry_of(const mdbx::Pair& pair) const {
    std::uint64_t base = 0, number = 0;
    if (!KeyReader(pair.key).take(base).take(number).done()) {
      return fail(ErrorCode::kCorrupt, "{}: a key of a segment has {} bytes", where(), pair.key.size());
    }
    BOP_LET(entry, decode_entry(pair.value, crc64(identity_seed, pair.key), where()));
    if (entry.facts.base.value != base || entry.facts.id.number != number) {
      return fail(ErrorCode::kCorrupt, "{}: the entry of segment {} stands under another key", where(),
                  number);
    }
    return entry;
  }

  [[nodiscard]] Result<std::optional<SegmentEntry>> entry(const ReadTransaction& read, const Key& key) const {
    BOP_LET(found, read.get(bases, key));
    if (!found.has_value()) return std::nullopt;
    BOP_LET(decoded, entry_of({key.bytes(), *found}));
    return decoded;
  }

  Status put(WriteTransaction& write, const SegmentEntry& entry) const {
    const Key key = base_key(entry.facts);
    BOP_TRY(write.put(bases, key, encode_entry(entry, seed_of(key))));
    if (has_time(entry)) BOP_TRY(write.put(times, time_key(entry.facts), nothing()));
    if (entry.status == SegmentStatus::kFinalized) return write.put(todo, key, nothing());
    BOP_LET(was, write.erase(todo, key));
    (void)was;
    return {};
  }

  Status erase(WriteTransaction& write, const SegmentEntry& entry) const {
    const Key key = base_key(entry.facts);
    BOP_TRY(write.erase(bases, key));
    BOP_TRY(write.erase(times, time_key(entry.facts)));
    BOP_TRY(write.erase(todo, key));
    return erase_frames(write, entry.facts.id.number);
  }

  Status erase_frames(WriteTransaction& write, std::uint64_t number) const {
    for (;;) {
      std::uint64_t found = 0;
      std::uint32_t chunk = 0;
      {
        BOP_LET(cursor, write.cursor(frames));
        BOP_LET(pair, cursor.at_or_after(Key::of(number, std::uint32_t{0})));
        if (!pair.has_value()) return {};
        if (!KeyReader(pair->key).take(found).take(chunk).done()) {
          return fail(ErrorCode::kCorrupt, "{}: a key of frames has {} bytes", where(), pair->key.size());
        }
      }
      if (found != number) return {};
      BOP_TRY(write.erase(frames, Key::of(found, chunk)));
    }
  }

  // Nothing: not there, or of another life of the segment.
  [[nodiscard]] Result<std::optional<Chunk>> chunk(const ReadTransaction& read, const SegmentFacts& facts,
                                                   std::uint32_t number) const {
    const Key key = Key::of(facts.id.number, number);
    BOP_LET(found, read.get(frames, key));
    if (!found.has_value()) return std::nullopt;
    return read_chunk(*found, std::uint64_t{number} * kFramesInChunk, frames_of(facts.image_bytes()),
                      facts.id, seed_of(key), where());
  }
};

SegmentLife segment_life(const SegmentFacts& facts) noexcept {
  return {facts.id, facts.timeline, facts.base, facts.previous, facts.last};
}
SegmentLife segment_life(const SegmentHeader& header, const SegmentHeader& successor) noexcept {
  return {{header.number, header.seed}, header.timeline, header.base, header.previous, successor.previous};
}

SegmentIndex::SegmentIndex(Options options) : options_(std::move(options)) {}
SegmentIndex::~SegmentIndex() {
  if (store_ != nullptr && !options_.read_only) (void)store_->environment->sync();
}

Result<std::unique_ptr<SegmentIndex>> SegmentIndex::open(Options options) {
  std::unique_ptr<SegmentIndex> index(new SegmentIndex(std::move(options)));
  Status opened = index->open_store();
  if (opened.has_value()) return index;
  const ErrorCode code = opened.error().code();
  const bool is_useless = code == ErrorCode::kCorrupt || code == ErrorCode::kFormatTooNew;
  if (index->options_.read_only || !is_useless) return std::unexpected(std::move(opened).error());
  index->discarded_ = opened.error().what();
  BOP_TRY(mdbx::remove_environment(index->options_.directory));
  BOP_TRY(index->open_store());
  return index;
}

Status SegmentIndex::open_store() {
  mdbx::Options wanted;
  wanted.directory = options_.directory;
  wanted.access = options_.read_only ? mdbx::Access::kReadOnly : mdbx::Access::kReadWrite;
  wanted.durability = mdbx::Durability::kLastSync;
  wanted.max_bytes = options_.max_bytes;
  wanted.growth_bytes = kGrowthBytes;
  wanted.guarded = !options_.read_only;
  auto store = std::make_unique<Store>();
  BOP_LET(environment, mdbx::Environment::open(wanted));
  store->environment = std::move(environment);
  store->identity_seed = crc64(kIndexSeed, std::as_bytes(std::span(options_.identity)));
  const std::pair<const char*, Table*> tables[] = {{"meta", &store->meta},
                                                   {"bases", &store->bases},
                                                   {"times", &store->times},
                                                   {"todo", &store->todo},
                                                   {"frames", &store->frames}};
  for (const auto& [name, table] : tables) {
    BOP_LET(made, store->environment->table(name));
    *table = made;
  }
  const std::vector<std::byte> format = encode_format(options_.identity);
  const Key key = Key::of(std::string_view("format"));
  bool is_ours = false, is_new = false;
  {
    BOP_LET(read, store->environment->read());
    BOP_LET(found, read.get(store->meta, key));
    is_new = !found.has_value();
    is_ours = found.has_value() && std::ranges::equal(*found, format);
    if (is_new) {  // then nothing else may be there
      BOP_LET(entries, read.count(store->bases));
      is_new = entries == 0;
    }
  }
  if (!is_ours && !is_new) {
    return fail(ErrorCode::kCorrupt, "{}: is the index of another log or of another version",
                options_.directory);
  }
  if (is_new && !options_.read_only) {
    BOP_TRY(store->environment->write(
        [&](WriteTransaction& write) { return write.put(store->meta, key, format); }));
  }
  store_ = std::move(store);
  return {};
}

Status SegmentIndex::begin_anew() {
  std::unique_lock lock(mutex_);
  store_.reset();
  discarded_ = "it was damaged";
  BOP_TRY(mdbx::remove_environment(options_.directory));
  return open_store();
}

Status SegmentIndex::add(const SegmentEntry& entry) {
  std::shared_lock lock(mutex_);
  return store_->environment->write([&](WriteTransaction& write) -> Status {
    BOP_LET(taken, store_->entry(write, base_key(entry.facts)));
    if (taken.has_value()) {
      return fail(ErrorCode::kFileExists, "{}: segment {} is in the index already", options_.directory,
                  entry.facts.id.number);
    }
    return store_->put(write, entry);
  });
}

Status SegmentIndex::add(const SegmentEntry& entry, std::span<const FrameEntry> frames) {
  BOP_ASSERT(is_sealed(entry) && frames.size() == frames_of(entry.original_size()));
  std::shared_lock lock(mutex_);
  const auto put_all = [&](WriteTransaction& write) -> Status {
    BOP_LET(taken, store_->entry(write, base_key(entry.facts)));
    if (taken.has_value() && is_sealed(*taken)) {
      return fail(ErrorCode::kFileExists, "{}: segment {} is in the index already", options_.directory,
                  entry.facts.id.number);
    }
    BOP_TRY(store_->erase_frames(write, entry.facts.id.number));
    for (std::size_t first = 0; first < frames.size(); first += kFramesInChunk) {
      const Key key = Key::of(entry.facts.id.number, static_cast<std::uint32_t>(first / kFramesInChunk));
      const auto chunk = frames.subspan(first, std::min<std::size_t>(kFramesInChunk, frames.size() - first));
      BOP_TRY(write.put(store_->frames, key,
                        encode_chunk(chunk, first, frames.size(), entry.facts.id, store_->seed_of(key))));
    }
    return store_->put(write, entry);
  };
  BOP_TRY(store_->environment->write(put_all));
  if (store_->unsynced.fetch_add(1) + 1 < kSegmentsBetweenSyncs) return {};
  store_->unsynced = 0;
  return store_->environment->sync();
}

Status SegmentIndex::update(const SegmentEntry& entry) {
  std::shared_lock lock(mutex_);
  return store_->environment->write([&](WriteTransaction& write) -> Status {
    BOP_LET(before, store_->entry(write, base_key(entry.facts)));
    if (!before.has_value()) {
      return fail(ErrorCode::kFileNotFound, "{}: segment {} is not in the index", options_.directory,
                  entry.facts.id.number);
    }
    BOP_TRY(write.erase(store_->times, time_key(before->facts)));
    return store_->put(write, entry);
  });
}

Status SegmentIndex::remove(const SegmentEntry& entry) {
  std::shared_lock lock(mutex_);
  return store_->environment->write([&](WriteTransaction& write) { return store_->erase(write, entry); });
}

Result<std::optional<SegmentEntry>> SegmentIndex::get(Lsn base) const {
  std::shared_lock lock(mutex_);
  BOP_LET(read, store_->environment->read());
  BOP_LET(cursor, read.cursor(store_->bases));
  BOP_LET(pair, cursor.at_or_before(Key::of(base, kNewestNumber)));
  if (!pair.has_value()) return std::nullopt;
  BOP_LET(entry, store_->entry_of(*pair));
  if (entry.facts.base != base) return std::nullopt;
  return entry;
}

Result<std::optional<SegmentEntry>> SegmentIndex::active() const {
  std::shared_lock lock(mutex_);
  BOP_LET(read, store_->environment->read());
  BOP_LET(cursor, read.cursor(store_->bases));
  BOP_LET(pair, cursor.last());
  if (!pair.has_value()) return std::nullopt;
  BOP_LET(entry, store_->entry_of(*pair));
  if (is_sealed(entry)) return std::nullopt;
  return entry;
}

Result<std::optional<Lsn>> SegmentIndex::max_last_id() const {
  std::shared_lock lock(mutex_);
  BOP_LET(read, store_->environment->read());
  BOP_LET(cursor, read.cursor(store_->bases));
  BOP_LET(pair, cursor.last());
  if (!pair.has_value()) return std::nullopt;
  BOP_LET(entry, store_->entry_of(*pair));
  return entry.last_id();
}

Result<std::vector<SegmentEntry>> SegmentIndex::for_archiving(std::size_t count) const {
  std::shared_lock lock(mutex_);
  std::vector<SegmentEntry> entries;
  BOP_LET(read, store_->environment->read());
  BOP_LET(cursor, read.cursor(store_->todo));
  BOP_LET(pair, cursor.first());
  while (pair.has_value() && entries.size() < count) {
    std::uint64_t base = 0, number = 0;
    if (!KeyReader(pair->key).take(base).take(number).done()) {
      return fail(ErrorCode::kCorrupt, "{}: a key of a segment has {} bytes", options_.directory,
                  pair->key.size());
    }
    BOP_LET(entry, store_->entry(read, Key::of(base, number)));
    if (!entry.has_value() || entry->status != SegmentStatus::kFinalized) {
      return fail(ErrorCode::kCorrupt, "{}: segment {} is to be archived and is not there",
                  options_.directory, number);
    }
    entries.push_back(std::move(*entry));
    BOP_LET(following, cursor.next());
    pair = following;
  }
  return entries;
}

Result<std::vector<SegmentEntry>> SegmentIndex::all() const {
  std::shared_lock lock(mutex_);
  std::vector<SegmentEntry> entries;
  BOP_LET(read, store_->environment->read());
  BOP_LET(cursor, read.cursor(store_->bases));
  BOP_LET(pair, cursor.first());
  while (pair.has_value()) {
    BOP_LET(entry, store_->entry_of(*pair));
    entries.push_back(std::move(entry));
    BOP_LET(following, cursor.next());
    pair = following;
  }
  return entries;
}

Result<std::optional<SegmentEntry>> SegmentIndex::segment_of(Lsn id) const {
  std::shared_lock lock(mutex_);
  BOP_LET(read, store_->environment->read());
  BOP_LET(cursor, read.cursor(store_->bases));
  BOP_LET(pair, cursor.at_or_before(Key::of(id, kNewestNumber)));
  while (pair.has_value()) {
    BOP_LET(entry, store_->entry_of(*pair));
    if (!is_sealed(entry)) return entry;
    if (entry.record_count() != 0) {
      if (id <= entry.last_id()) return entry;
      return std::nullopt;
    }
    // It holds no entry: an older one may begin with the same id, or the one before ends before it.
    BOP_LET(before, cursor.previous());
    pair = before;
  }
  return std::nullopt;
}

Result<std::optional<SegmentEntry>> SegmentIndex::segment_at(std::int64_t at_us) const {
  std::shared_lock lock(mutex_);
  BOP_LET(read, store_->environment->read());
  BOP_LET(cursor, read.cursor(store_->times));
  BOP_LET(pair, cursor.at_or_after(Key::of(at_us)));
  if (!pair.has_value()) return std::nullopt;
  std::int64_t last_us = 0;
  std::uint64_t base = 0, number = 0;
  if (!KeyReader(pair->key).take(last_us).take(base).take(number).done()) {
    return fail(ErrorCode::kCorrupt, "{}: a key of a time has {} bytes", options_.directory,
                pair->key.size());
  }
  BOP_LET(entry, store_->entry(read, Key::of(base, number)));
  if (!entry.has_value() || !has_time(*entry) || entry->facts.last_us != last_us) {
    return fail(ErrorCode::kCorrupt, "{}: segment {} has another time than its key says", options_.directory,
                number);
  }
  return entry;
}

Result<std::optional<FrameEntry>> SegmentIndex::frame_of(const SegmentEntry& entry, Lsn id) const {
  return frame(entry, id, 0);
}
Result<std::optional<FrameEntry>> SegmentIndex::frame_at(const SegmentEntry& entry,
                                                         std::int64_t at_us) const {
  return frame(entry, std::nullopt, at_us);
}

Result<std::optional<FrameEntry>> SegmentIndex::frame(const SegmentEntry& entry, const std::optional<Lsn>& id,
                                                      std::int64_t at_us) const {
  if (!is_sealed(entry) || entry.record_count() == 0) return std::nullopt;
  const auto begins_before = [&](const FrameEntry& one) {
    return id.has_value() ? one.first <= *id : one.timestamp_us < at_us;
  };
  std::shared_lock lock(mutex_);
  BOP_LET(read, store_->environment->read());
  const std::uint64_t chunks = (frames_of(entry.original_size()) + kFramesInChunk - 1) / kFramesInChunk;
  std::uint64_t low = 0, high = chunks;
  BOP_LET(frames, store_->chunk(read, entry.facts, 0));
  while (frames.has_value() && high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    BOP_LET(there, store_->chunk(read, entry.facts, static_cast<std::uint32_t>(middle)));
    if (!there.has_value()) return std::nullopt;
    if (begins_before(there->at(0))) {
      low = middle;
      frames = std::move(there);
    } else {
      high = middle;
    }
  }
  if (!frames.has_value()) return std::nullopt;
  std::uint64_t at =
      last_frame(frames->size(), [&](std::uint64_t i) { return frames->at(i); }, begins_before);
  // The first frames of a chunk may hold no entry, when it is the first one that is asked for.
  while (at < frames->size() && frames->at(at).offset == kNoEntry) ++at;
  if (at == frames->size()) return std::nullopt;
  return frames->at(at);
}

Result<SegmentIndex::Reconciled> SegmentIndex::reconcile(std::span<const SegmentLife> sealed,
                                                         const std::optional<SegmentHeader>& active) {
  BOP_LET(entries, all());
  std::shared_lock lock(mutex_);
  std::map<std::uint64_t, const SegmentLife*> truth;
  for (const SegmentLife& segment : sealed) truth.emplace(segment.id.number, &segment);
  Reconciled result;
  const auto keep_what_is_true = [&](WriteTransaction& write) -> Status {
    std::set<std::uint64_t> there;
    for (const SegmentEntry& entry : entries) {
      bool is_true = false;
      if (!is_sealed(entry)) {
        is_true = active.has_value() && entry.facts == active_entry(*active, {}).facts;
      } else if (const auto found = truth.find(entry.facts.id.number);
                 found != truth.end() && *found->second == segment_life(entry.facts)) {
        const std::uint64_t frames = frames_of(entry.original_size());
        BOP_LET(last,
                store_->chunk(write, entry.facts, static_cast<std::uint32_t>((frames - 1) / kFramesInChunk)));
        BOP_LET(first, store_->chunk(write, entry.facts, 0));
        is_true = last.has_value() && first.has_value();
      }
      if (is_true) {
        there.insert(entry.facts.id.number);
        ++result.kept;
      } else {
        BOP_TRY(store_->erase(write, entry));
        ++result.removed;
      }
    }
    for (const SegmentLife& segment : sealed) {
      if (!there.contains(segment.id.number)) result.missing.push_back(segment.id);
    }
    return {};
  };
  BOP_TRY(store_->environment->write(keep_what_is_true));
  return result;
}

Status SegmentIndex::sync() {
  std::shared_lock lock(mutex_);
  return store_->environment->sync();
}
std::string SegmentIndex::discarded() const {
  std::shared_lock lock(mutex_);
  return discarded_;
}
Result<mdbx::EnvironmentInfo> SegmentIndex::info() const {
  std::shared_lock lock(mutex_);
  return store_->environment->info();
}

}  // namespace bop::aof
