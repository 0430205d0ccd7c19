#include "aof/tier/segment_store.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "aof/tier/seekable_writer.hpp"
#include "base/assert.hpp"
#include "base/log.hpp"

namespace bop::aof {

namespace {

constexpr const char* kTierOneFolder = "/tier1";
constexpr const char* kUnfinished = ".tmp";
constexpr std::size_t kCopyBytes = 1U << 20U;

}  // namespace

// Tasks lock it while they run; the destructor clears the store.
struct SegmentStore::Life {
  std::mutex mutex;
  SegmentStore* store = nullptr;
  std::atomic<bool> is_posted{false};
  std::atomic<bool> has_timer{false};
};

SegmentStore::SegmentStore(Environment environment, CommitStream& stream, SegmentStoreOptions options)
    : environment_(environment),
      stream_(stream),
      options_(std::move(options)),
      shelf_(environment.clock),
      source_{.disk = environment.disk,
              .stream = stream,
              .shelf = shelf_,
              .directory = options_.directory,
              .tier_one_directory = options_.directory + kTierOneFolder,
              .hydration = std::nullopt,
              .damaged = [this](auto number, auto tier, const auto& error) { damaged(number, tier, error); }},
      retention_(environment.clock),
      life_(std::make_shared<Life>()) {
  life_->store = this;
}

SegmentStore::~SegmentStore() {
  const std::lock_guard guard(life_->mutex);
  life_->store = nullptr;
}

Result<std::unique_ptr<SegmentStore>> SegmentStore::open(Environment environment, CommitStream& stream,
                                                         SegmentStoreOptions options) {
  std::unique_ptr<SegmentStore> store(new SegmentStore(environment, stream, std::move(options)));
  const StreamIdentity& identity = stream.recovered().identity;
  auto opened =
      Manifest::open(environment.disk, store->options_.directory, identity, store->options_.manifest);
  if (!opened.has_value() && opened.error().code() == ErrorCode::kFileNotFound) {
    opened = Manifest::create(environment.disk, store->options_.directory, ManifestState(identity),
                              store->options_.manifest);
  }
  if (!opened.has_value()) return std::unexpected(std::move(opened).error());
  store->manifest_ = std::move(*opened);
  BOP_TRY(store->reconcile());
  return store;
}

std::string SegmentStore::tier_one_path(const SegmentId& id) const {
  return source_.tier_one_directory + "/" + tier_one_name(id);
}

// ---- what a start finds

Status SegmentStore::reconcile() {
  BOP_TRY(environment_.disk.create_directories(source_.tier_one_directory));
  std::set<std::uint64_t> raw;
  for (const SealedSegment& segment : stream_.sealed()) raw.insert(segment.header.number);
  std::vector<SegmentState> segments;
  for (const auto& [number, segment] : manifest_->state().segments()) segments.push_back(segment);
  for (const SegmentState& segment : segments) {
    const std::uint64_t number = segment.facts.id.number;
    BOP_TRY(reconcile_tier_one(segment));
    if (!segment.tier_zero || raw.contains(number)) continue;
    if (!record(TierZeroDroppedRecord{number}).has_value()) {
      if (failure().has_value()) return std::unexpected(*failure());
      return fail(
          ErrorCode::kCorrupt, "{}/{}: is missing, and no other copy has the entries from LSN {} to {}",
          options_.directory, segment_name(number), segment.facts.base.value, segment.facts.last.index.value);
    }
  }
  shelf_.publish(manifest_->state());
  BOP_TRY(remove_strays());
  measure();
  return {};
}

Status SegmentStore::reconcile_tier_one(const SegmentState& segment) {
  if (!segment.tier_one.has_value()) return {};
  const std::string path = tier_one_path(segment.facts.id);
  BOP_LET(exists, environment_.disk.exists(path));
  if (exists) {
    BOP_LET(file, environment_.disk.open(path, OpenMode::kRead));
    BOP_LET(size, file->size());
    if (size == segment.tier_one->bytes) return {};
  }
  if (record(TierOneDroppedRecord{segment.facts.id.number}).has_value()) return {};
  if (failure().has_value()) return std::unexpected(*failure());
  return fail(ErrorCode::kCorrupt,
              "{}: is missing or cut, and no other copy has the entries from LSN {} to {}", path,
              segment.facts.base.value, segment.facts.last.index.value);
}

Status SegmentStore::remove_strays() {
  std::unordered_set<std::string> known;
  for (const auto& [number, segment] : manifest_->state().segments()) {
    if (segment.tier_one.has_value()) known.insert(tier_one_name(segment.facts.id));
  }
  BOP_LET(names, environment_.disk.list(source_.tier_one_directory));
  for (const std::string& name : names) {
    const bool is_ours = name.ends_with(".zst") || name.ends_with(kUnfinished);
    if (is_ours && !known.contains(name)) {
      BOP_TRY(environment_.disk.remove(source_.tier_one_directory + "/" + name));
    }
  }
  const std::uint64_t low = manifest_->state().low_number();
  if (!stream_.sealed().empty() && stream_.sealed().front().header.number < low) {
    BOP_TRY(stream_.trim_segments(low - 1));
  }
  return {};
}

// ---- the mover

void SegmentStore::poke() {
  post_work();
  if (life_->has_timer.exchange(true)) return;
  struct Timer {
    static void arm(const std::shared_ptr<Life>& life, Executor& mover, std::chrono::nanoseconds between) {
      mover.post_after(between, [life, between] {
        const std::lock_guard guard(life->mutex);
        if (life->store == nullptr) return;
        static_cast<void>(life->store->work());
        arm(life, life->store->environment_.mover, between);
      });
    }
  };
  Timer::arm(life_, environment_.mover, options_.between_works);
}

void SegmentStore::post_work() {
  if (life_->is_posted.exchange(true)) return;
  environment_.mover.post([life = life_] {
    life->is_posted = false;
    const std::lock_guard guard(life->mutex);
    if (life->store != nullptr) static_cast<void>(life->store->work());
  });
}

Status SegmentStore::work() {
  if (auto failed = failure(); failed.has_value()) return std::unexpected(*failed);
  Status first = finalize_sealed();
  if (Status mended = mend(); first.has_value()) first = mended;
  std::vector<Move> given_up;  // tried in this round, to no effect
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    for (const Move& move : plan()) {
      if (std::find(given_up.begin(), given_up.end(), move) != given_up.end()) continue;
      const std::uint64_t before = manifest_->sequence();
      const Status done = perform(move);
      if (failure().has_value()) return std::unexpected(*failure());
      if (!done.has_value() && first.has_value()) {
        first = std::unexpected(done.error());
        std::string warning = fmt::format("log segment {}: cannot {}: {}", move.number, name_of(move.kind),
                                          done.error().what());
        if (warning != last_warning_) log_warning(warning);
        last_warning_ = std::move(warning);
      }
      if (!done.has_value() || manifest_->sequence() == before) given_up.push_back(move);
      goes_on = true;
      break;  // the state is another one now
    }
  }
  measure();
  return first;
}

Status SegmentStore::finalize_sealed() {
  const auto& segments = manifest_->state().segments();
  const std::uint64_t newest =
      segments.empty() ? manifest_->state().low_number() : segments.rbegin()->first + 1;
  for (const SealedSegment& sealed : stream_.sealed(newest == 0 ? 0 : newest - 1)) {
    BOP_LET(file, environment_.disk.open(sealed.path, OpenMode::kRead));
    BOP_LET(found, find_facts(*file, sealed.header, {.last = sealed.last, .timeline = sealed.successor}));
    BOP_TRY(record(FinalizedRecord{found.facts}));
  }
  return {};
}

std::vector<Move> SegmentStore::plan() {
  const auto& state = manifest_->state();
  const std::int64_t newest_us =
      state.segments().empty() ? 0 : state.segments().rbegin()->second.facts.last_us;
  const auto uses = shelf_.uses();
  return moves_of({.state = state,
                   .uses = uses,
                   .limits = options_.limits,
                   .keep_from = Lsn(keep_from_.load(std::memory_order_relaxed)),
                   .retention_us = retention_.now_us(newest_us),
                   .steady_ns = environment_.clock.steady_ns()});
}

Status SegmentStore::perform(const Move& move) {
  switch (move.kind) {
    case MoveKind::kMakeTierOne: return make_tier_one(move.number);
    case MoveKind::kArchive: return {};
    case MoveKind::kDropTierZero: return drop_tier_zero(move.number);
    case MoveKind::kDropTierOne: return drop_tier_one(move.number);
    case MoveKind::kDelete: return delete_up_to(move.number);
    case MoveKind::kCutOff: shelf_.cut_off(move.number); return {};
  }
  return {};
}

Status SegmentStore::make_tier_one(std::uint64_t number) {
  const SegmentState segment = *manifest_->state().find(number);
  const SegmentFacts& facts = segment.facts;
  const std::string path = tier_one_path(facts.id);
  const std::string unfinished = path + kUnfinished;
  Result<std::unique_ptr<File>> from = fail(ErrorCode::kFileNotFound, "segment {} has no copy", number);
  for (const Tier tier : {Tier::kZero, Tier::kTwo}) {
    if (has_copy(segment, tier)) from = open_copy(source_, segment, tier);
    if (from.has_value()) break;
  }
  if (!from.has_value()) return std::unexpected(std::move(from).error());
  const auto made = [&]() -> Result<SeekableFacts> {
    BOP_LET(to, environment_.disk.open(unfinished, OpenMode::kOpenOrCreate));
    BOP_TRY(to->truncate(0));
    std::uint64_t at = 0;
    const auto sink = [&](std::span<const std::byte> bytes) -> Status {
      BOP_TRY(to->write_at(ByteOffset(at), bytes));
      at += bytes.size();
      return {};
    };
    BOP_LET(writer, SeekableWriter::open(sink, {.level = options_.compression_level}));
    std::vector<std::byte> bytes(kCopyBytes);
    for (std::uint64_t offset = 0; offset < facts.image_bytes(); offset += bytes.size()) {
      const auto size =
          static_cast<std::size_t>(std::min<std::uint64_t>(kCopyBytes, facts.image_bytes() - offset));
      bytes.resize(size);
      BOP_TRY(read_image(**from, facts, offset, bytes));
      BOP_TRY(writer.write(bytes));
    }
    BOP_LET(written, writer.finish());
    if (written.image_checksum != facts.content_checksum) {
      return fail(ErrorCode::kCorrupt,
                  "{}: is not the segment {} that was sealed: checksum {:016x}, was {:016x}", (*from)->path(),
                  number, written.image_checksum, facts.content_checksum);
    }
    BOP_TRY(to->sync());
    return written;
  }();
  if (!made.has_value()) {
    static_cast<void>(environment_.disk.remove(unfinished));
    return std::unexpected(made.error());
  }
  BOP_TRY(environment_.disk.rename(unfinished, path));
  BOP_TRY(environment_.disk.sync_directory(source_.tier_one_directory));
  return record(TierOneMadeRecord{
      number, {made->file_bytes, made->file_checksum, static_cast<std::uint32_t>(made->frames)}});
}

// The stream removes whole segments from its oldest on, and may keep some for reasons of its own.
Status SegmentStore::drop_tier_zero(std::uint64_t number) {
  std::uint64_t up_to = 0;
  for (const auto& [each, segment] : manifest_->state().segments()) {
    if (each > number) break;
    if (!segment.tier_zero) continue;
    // The plan counts on the moves before it: what was to be deleted may be there still. And somebody may
    // have come in since.
    if (!has_copy(segment, Tier::kOne) && !has_copy(segment, Tier::kTwo)) break;
    if (!shelf_.withdraw(MoveKind::kDropTierZero, each)) break;
    up_to = each;
  }
  if (up_to == 0) return {};
  const Status trimmed = stream_.trim_segments(up_to);
  std::unordered_set<std::uint64_t> left;
  for (const SealedSegment& segment : stream_.sealed()) left.insert(segment.header.number);
  std::vector<std::uint64_t> gone;
  for (const auto& [each, segment] : manifest_->state().segments()) {
    if (each > number) break;
    if (segment.tier_zero && !left.contains(each)) gone.push_back(each);
  }
  for (const std::uint64_t each : gone) {
    in_doubt_.erase(each);
    BOP_TRY(record(TierZeroDroppedRecord{each}));
  }
  for (const auto& [each, segment] : manifest_->state().segments()) {
    if (each > number) break;
    if (!segment.tier_zero) continue;
    if (trimmed.has_value()) {
      shelf_.publish(segment);  // the stream kept it: it is there to be read again
    } else {
      in_doubt_.insert(each);
    }
  }
  return trimmed;
}

Status SegmentStore::drop_tier_one(std::uint64_t number) {
  const SegmentId id = manifest_->state().find(number)->facts.id;
  if (in_doubt_.contains(number) || !shelf_.withdraw(MoveKind::kDropTierOne, number)) return {};
  const Status removed = environment_.disk.remove(tier_one_path(id));
  if (!removed.has_value() && removed.error().code() != ErrorCode::kFileNotFound) return removed;
  BOP_TRY(environment_.disk.sync_directory(source_.tier_one_directory));
  return record(TierOneDroppedRecord{number});
}

Status SegmentStore::delete_up_to(std::uint64_t number) {
  std::vector<SegmentState> gone;
  for (const auto& [each, segment] : manifest_->state().segments()) {
    if (each <= number) gone.push_back(segment);
  }
  const Lsn low = gone.back().facts.last.index.next();
  if (!shelf_.withdraw(MoveKind::kDelete, number)) return {};
  if (Status decided = record(DeletedRecord{number + 1, low}); !decided.has_value()) {
    shelf_.restore(manifest_->state());
    return decided;
  }
  // From here on what fails is left to the next start.
  Status done = stream_.trim_segments(number);
  for (const SegmentState& segment : gone) {
    if (!segment.tier_one.has_value()) continue;
    const Status removed = environment_.disk.remove(tier_one_path(segment.facts.id));
    if (!removed.has_value() && removed.error().code() != ErrorCode::kFileNotFound) done = removed;
  }
  return done;
}

// A damaged copy of tier 1 is made anew from another one.
Status SegmentStore::mend() {
  std::vector<Damage> damages;
  {
    const std::lock_guard guard(mutex_);
    damages = damages_;
  }
  for (const Damage& damage : damages) {
    const SegmentState* segment = manifest_->state().find(damage.number);
    bool is_mended = segment == nullptr || !has_copy(*segment, damage.tier);
    if (!is_mended && damage.tier == Tier::kOne && (segment->tier_zero || segment->archived.has_value())) {
      BOP_TRY(drop_tier_one(damage.number));
      is_mended = !manifest_->state().find(damage.number)->tier_one.has_value();
    }
    if (!is_mended) continue;
    const std::lock_guard guard(mutex_);
    std::erase(damages_, damage);
  }
  return {};
}

Status SegmentStore::record(const ManifestRecord& record) {
  const Status written = manifest_->append(record);
  if (!written.has_value()) {
    if (manifest_->failure().has_value()) {
      const std::lock_guard guard(mutex_);
      if (!failure_.has_value()) failure_ = manifest_->failure();
    }
    return written;
  }
  std::visit(
      [this]<class Record>(const Record& written_record) {
        if constexpr (requires { written_record.number; }) {
          shelf_.publish(*manifest_->state().find(written_record.number));
        } else if constexpr (std::is_same_v<Record, FinalizedRecord>) {
          shelf_.publish(*manifest_->state().find(written_record.facts.id.number));
        }
      },
      record);
  return {};
}

void SegmentStore::measure() {
  const Residency now = residency_of(manifest_->state());
  is_pressed_.store(is_pressed(archive_queue(manifest_->state()), options_.limits),
                    std::memory_order_relaxed);
  const std::lock_guard guard(mutex_);
  residency_ = now;
}

// ---- any thread

void SegmentStore::damaged(std::uint64_t number, Tier tier, const Error& error) {
  if (error.code() != ErrorCode::kCorrupt && error.code() != ErrorCode::kIo) return;  // it may be whole
  {
    const std::lock_guard guard(mutex_);
    const Damage damage{number, tier};
    if (std::find(damages_.begin(), damages_.end(), damage) != damages_.end()) return;
    damages_.push_back(damage);
  }
  log_error(fmt::format("log segment {}: its copy in tier {} is damaged: {}", number,
                        static_cast<unsigned>(tier), error.what()));
  post_work();
}

Residency SegmentStore::residency() const {
  const std::lock_guard guard(mutex_);
  return residency_;
}

BackpressureKind SegmentStore::pressure() const noexcept {
  return is_pressed_.load(std::memory_order_relaxed) ? BackpressureKind::kArchive : BackpressureKind::kNone;
}

std::optional<Error> SegmentStore::failure() const {
  const std::lock_guard guard(mutex_);
  return failure_;
}

std::size_t SegmentStore::damaged_copies() const {
  const std::lock_guard guard(mutex_);
  return damages_.size();
}

}  // namespace bop::aof
