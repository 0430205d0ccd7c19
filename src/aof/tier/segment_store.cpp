#include "aof/tier/segment_store.hpp"

#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "aof/tier/archived_object.hpp"
#include "aof/tier/tier_files.hpp"
#include "base/assert.hpp"
#include "base/log.hpp"

namespace bop::aof {

namespace {

constexpr std::string_view kMended = ".mended";  // a raw file that is being put together anew
// Moves of one round: more wait for the next one.
constexpr int kMostMoves = 10'000;

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
              .hydration = std::nullopt,
              .damaged = [this](auto number, auto tier, const auto& error) { damaged(number, tier, error); }},
      life_(std::make_shared<Life>()) {
  life_->store = this;
}

SegmentStore::~SegmentStore() {
  is_stopping_ = true;
  const std::lock_guard guard(life_->mutex);
  life_->store = nullptr;
}

Result<std::unique_ptr<SegmentStore>> SegmentStore::open(Environment environment, CommitStream& stream,
                                                         SegmentStoreOptions options) {
  if (options.limits.has_archive) {
    return fail(ErrorCode::kNotImplemented,
                "the segments of {} cannot be archived: the mover does not do that yet", options.directory);
  }
  std::unique_ptr<SegmentStore> store(new SegmentStore(environment, stream, std::move(options)));
  const StreamIdentity& identity = stream.recovered().identity;
  const std::string& directory = store->options_.directory;
  auto opened = Manifest::open(environment.disk, directory, identity, store->options_.manifest);
  if (!opened.has_value() && opened.error().code() == ErrorCode::kFileNotFound) {
    BOP_LET(names, environment.disk.list(directory));
    for (const std::string& name : names) {
      if (!tier_one_number(name).has_value()) continue;
      return std::unexpected(
          error(ErrorCode::kCorrupt, "{}: there is no manifest, and {} belongs to one", directory, name)
              .hint("Put manifest-a and manifest-b back, or have the manifest repaired from the segments."));
    }
    opened = Manifest::create(environment.disk, directory, ManifestState(identity), store->options_.manifest);
  }
  if (!opened.has_value()) return std::unexpected(std::move(opened).error());
  store->manifest_ = std::move(*opened);
  store->retention_.emplace(environment.clock, store->manifest_->state().retention_us());
  BOP_TRY(store->reconcile());
  return store;
}

std::string SegmentStore::tier_one_path(std::uint64_t number) const {
  return options_.directory + "/" + tier_one_name(number);
}

// ---- what a start finds

Status SegmentStore::reconcile() {
  std::map<std::uint64_t, SegmentHeader> raw;
  for (const SealedSegment& segment : stream_.sealed()) raw.emplace(segment.header.number, segment.header);
  std::vector<SegmentState> segments;
  for (const auto& [number, segment] : manifest_->state().segments()) segments.push_back(segment);
  for (const SegmentState& segment : segments) {
    const SegmentFacts& facts = segment.facts;
    const std::uint64_t number = facts.id.number;
    BOP_TRY(reconcile_tier_one(segment));
    if (!segment.tier_zero) continue;
    if (const auto file = raw.find(number); file != raw.end()) {
      const SegmentHeader& header = file->second;
      if (header.seed == facts.id.seed && header.base == facts.base && header.previous == facts.previous)
        continue;
      return fail(ErrorCode::kCorrupt, "{}/{}: is not the segment {} that the manifest speaks of",
                  options_.directory, segment_name(number), number);
    }
    if (record(TierZeroDroppedRecord{number}).has_value()) continue;
    if (failure().has_value()) return std::unexpected(*failure());
    return fail(ErrorCode::kCorrupt, "{}/{}: is missing, and no other copy has the entries from LSN {} to {}",
                options_.directory, segment_name(number), facts.base.value, facts.last.index.value);
  }
  shelf_.publish(manifest_->state());
  BOP_TRY(look_for_strays());
  measure();
  return {};
}

Status SegmentStore::reconcile_tier_one(const SegmentState& segment) {
  if (!segment.tier_one.has_value() || is_there(segment, Tier::kOne)) return {};
  if (record(TierOneDroppedRecord{segment.facts.id.number}).has_value()) return {};
  if (failure().has_value()) return std::unexpected(*failure());
  return fail(
      ErrorCode::kCorrupt, "{}: is missing or cut, and no other copy has the entries from LSN {} to {}",
      tier_one_path(segment.facts.id.number), segment.facts.base.value, segment.facts.last.index.value);
}

Status SegmentStore::look_for_strays() {
  const ManifestState& state = manifest_->state();
  std::set<std::uint64_t> raw;
  for (const SealedSegment& segment : stream_.sealed()) raw.insert(segment.header.number);
  BOP_LET(names, environment_.disk.list(options_.directory));
  for (const std::string& name : names) {
    const std::string path = options_.directory + "/" + name;
    if (name.ends_with(kPartSuffix) || name.ends_with(kMended)) {
      BOP_TRY(environment_.disk.remove(path));
      continue;
    }
    const auto number = tier_one_number(name);
    if (!number.has_value()) continue;
    const SegmentState* segment = state.find(*number);
    if (segment != nullptr && segment->tier_one.has_value()) continue;
    if (*number < state.low_number() || raw.contains(*number) ||
        (segment != nullptr && segment->archived.has_value())) {
      BOP_TRY(environment_.disk.remove(path));
    } else {
      log_warning(
          fmt::format("{}: belongs to no segment that the manifest knows; it is left where it is", path));
    }
  }
  if (!raw.empty() && *raw.begin() < state.low_number()) {
    BOP_TRY(stream_.trim_segments(state.low_number() - 1));
  }
  return {};
}

bool SegmentStore::is_there(const SegmentState& segment, Tier tier) {
  const std::uint64_t number = segment.facts.id.number;
  if (!has_copy(segment, tier) || in_doubt_.contains({number, tier})) return false;
  {
    const std::lock_guard guard(mutex_);
    if (damages_.contains({number, tier})) return false;
  }
  if (tier == Tier::kTwo) return true;  // verified and published before it was recorded
  const auto file = environment_.disk.open(
      tier == Tier::kOne ? tier_one_path(number) : options_.directory + "/" + segment_name(number),
      OpenMode::kRead);
  if (!file.has_value()) return false;
  const auto size = (*file)->size();
  return size.has_value() &&
         *size == (tier == Tier::kOne ? segment.tier_one->bytes : segment.facts.file_bytes);
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
  if (!first.has_value()) tell(fmt::format("log segments are not finalized: {}", first.error().what()));
  if (Status looked = look_at_damage(); first.has_value()) first = looked;
  std::vector<Move> given_up;  // tried in this round, to no effect
  int moves = 0;
  for (bool goes_on = true; goes_on && moves < kMostMoves && !is_stopping_;) {
    goes_on = false;
    for (const Move& move : plan()) {
      if (std::find(given_up.begin(), given_up.end(), move) != given_up.end()) continue;
      const std::uint64_t before = manifest_->sequence();
      const Status done = perform(move);
      if (failure().has_value()) {
        measure();
        return std::unexpected(*failure());
      }
      if (!done.has_value() && first.has_value()) {
        first = std::unexpected(done.error());
        tell(fmt::format("log segment {}: cannot {}: {}", move.number, name_of(move.kind),
                         done.error().what()));
      }
      if (!done.has_value() || manifest_->sequence() == before) given_up.push_back(move);
      goes_on = true;
      ++moves;
      break;  // the state is another one now
    }
  }
  measure();
  return first;
}

// Each new reason once.
void SegmentStore::tell(std::string warning) {
  if (warning != last_warning_) log_warning(warning);
  last_warning_ = std::move(warning);
}

Status SegmentStore::finalize_sealed() {
  const auto& segments = manifest_->state().segments();
  const std::uint64_t newest =
      segments.empty() ? manifest_->state().low_number() : segments.rbegin()->first + 1;
  for (const SealedSegment& sealed : stream_.sealed(newest == 0 ? 0 : newest - 1)) {
    if (is_stopping_) return {};
    BOP_LET(file, environment_.disk.open(sealed.path, OpenMode::kRead));
    BOP_LET(found, find_facts(*file, sealed.header, {.last = sealed.last, .timeline = sealed.successor}));
    const ManifestRecord records[] = {AgedRecord{retention_->now_us()}, FinalizedRecord{found.facts}};
    BOP_TRY(record_all(records));
  }
  return {};
}

std::vector<Move> SegmentStore::plan() {
  std::set<SegmentCopy> suspects = in_doubt_;
  {
    const std::lock_guard guard(mutex_);
    suspects.insert(damages_.begin(), damages_.end());
  }
  const auto uses = shelf_.uses();
  return moves_of({.state = manifest_->state(),
                   .suspects = suspects,
                   .uses = uses,
                   .limits = options_.limits,
                   .keep_from = Lsn(keep_from_.load(std::memory_order_relaxed)),
                   .retention_us = retention_->now_us(),
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

// The image out of the first copy that has it whole, its checksum compared.
Result<std::vector<std::byte>> SegmentStore::whole_image(const SegmentState& segment, Tier but_not) {
  Error why = error(ErrorCode::kFileNotFound, "segment {} has no other copy", segment.facts.id.number);
  for (const Tier tier : {Tier::kZero, Tier::kOne, Tier::kTwo}) {
    if (tier == but_not || !has_copy(segment, tier)) continue;
    auto file = open_copy(source_, segment, tier);
    if (file.has_value()) {
      auto image = load_image(**file, segment.facts);
      if (image.has_value()) return image;
      why = image.error();
    } else {
      why = file.error();
    }
    damaged(segment.facts.id.number, tier, why);
  }
  return std::unexpected(std::move(why));
}

Status SegmentStore::make_tier_one(std::uint64_t number) {
  const SegmentState segment = *manifest_->state().find(number);
  return mend(segment, Tier::kOne);
}

// Makes the copy of this tier out of another one; an older one is replaced.
Status SegmentStore::mend(const SegmentState& segment, Tier tier) {
  const SegmentFacts& facts = segment.facts;
  const std::uint64_t number = facts.id.number;
  BOP_LET(image, whole_image(segment, tier));
  if (tier == Tier::kZero) {
    // As write_whole does it, and behind the image the zeros that a segment ends with.
    const std::string path = options_.directory + "/" + segment_name(number);
    image.resize(static_cast<std::size_t>(facts.file_bytes));
    return write_whole(environment_.disk, options_.directory, segment_name(number), image);
  }
  BOP_LET(object, encode_object(image, facts, {.level = options_.compression_level}));
  BOP_TRY(write_whole(environment_.disk, options_.directory, tier_one_name(number), *object.bytes));
  const TierOneCopy copy{object.bytes->size(), object.checksum, object.frames};
  if (segment.tier_one.has_value() && *segment.tier_one != copy) {
    const ManifestRecord records[] = {TierOneDroppedRecord{number}, TierOneMadeRecord{number, copy}};
    return record_all(records);
  }
  return record(TierOneMadeRecord{number, copy});
}

// The stream removes whole segments from its oldest on, and may keep some for reasons of its own.
Status SegmentStore::drop_tier_zero(std::uint64_t number) {
  std::vector<std::uint64_t> leaving;
  for (const auto& [each, segment] : manifest_->state().segments()) {
    if (each > number) break;
    if (!segment.tier_zero) continue;
    // The plan counts on the moves before it: what was to be deleted may be there still. And somebody may
    // have come in since.
    if (!is_there(segment, Tier::kOne) && !is_there(segment, Tier::kTwo)) break;
    if (!shelf_.withdraw(MoveKind::kDropTierZero, each)) break;
    leaving.push_back(each);
  }
  if (leaving.empty()) return {};
  for (const std::uint64_t each : leaving) in_doubt_.insert({each, Tier::kZero});
  const Status trimmed = stream_.trim_segments(leaving.back());
  std::set<std::uint64_t> left;
  for (const SealedSegment& segment : stream_.sealed()) left.insert(segment.header.number);
  for (const std::uint64_t each : leaving) {
    if (!left.contains(each)) {
      BOP_TRY(record(TierZeroDroppedRecord{each}));
      in_doubt_.erase({each, Tier::kZero});
    } else if (trimmed.has_value()) {  // the stream kept it: it is there to be read again
      in_doubt_.erase({each, Tier::kZero});
      shelf_.publish(*manifest_->state().find(each));
    }
  }
  return trimmed;
}

Status SegmentStore::drop_tier_one(std::uint64_t number) {
  const SegmentState segment = *manifest_->state().find(number);
  if (!is_there(segment, Tier::kZero) && !is_there(segment, Tier::kTwo)) return {};
  if (!shelf_.withdraw(MoveKind::kDropTierOne, number)) return {};
  in_doubt_.insert({number, Tier::kOne});
  BOP_TRY(remove_durably(environment_.disk, options_.directory, tier_one_name(number)));
  BOP_TRY(record(TierOneDroppedRecord{number}));
  in_doubt_.erase({number, Tier::kOne});
  return {};
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
  const auto is_gone = [number](const SegmentCopy& copy) { return copy.number <= number; };
  std::erase_if(in_doubt_, is_gone);
  // From here on what fails is left to the next start.
  Status done = stream_.trim_segments(number);
  for (const SegmentState& segment : gone) {
    if (!segment.tier_one.has_value()) continue;
    const std::string name = tier_one_name(segment.facts.id.number);
    if (Status removed = remove_durably(environment_.disk, options_.directory, name); !removed.has_value()) {
      done = removed;
    }
  }
  return done;
}

// Whole, and as the manifest says.
Status SegmentStore::verify_copy(const SegmentState& segment, Tier tier) {
  BOP_LET(file, open_copy(source_, segment, tier));
  BOP_LET(image, load_image(*file, segment.facts));
  static_cast<void>(image);
  return {};
}

// What readers told of: whole after all, or made anew from another copy; else it stays suspect.
Status SegmentStore::look_at_damage() {
  std::set<SegmentCopy> damages;
  {
    const std::lock_guard guard(mutex_);
    damages = damages_;
  }
  Status first;
  for (const SegmentCopy& copy : damages) {
    if (is_stopping_) return {};
    const SegmentState* known = manifest_->state().find(copy.number);
    bool is_right = known == nullptr || !has_copy(*known, copy.tier);
    if (!is_right) {
      const SegmentState segment = *known;
      is_right = verify_copy(segment, copy.tier).has_value();
      if (!is_right && copy.tier != Tier::kTwo) {
        const Status mended = mend(segment, copy.tier);
        is_right =
            mended.has_value() && verify_copy(*manifest_->state().find(copy.number), copy.tier).has_value();
        if (!mended.has_value() && first.has_value()) first = mended;
      }
    }
    if (!is_right) continue;
    const std::lock_guard guard(mutex_);
    damages_.erase(copy);
  }
  return first;
}

Status SegmentStore::record_all(std::span<const ManifestRecord> records) {
  const Status written = manifest_->append(records);
  if (!written.has_value()) {
    if (manifest_->failure().has_value()) {
      const std::lock_guard guard(mutex_);
      if (!failure_.has_value()) failure_ = manifest_->failure();
    }
    return written;
  }
  for (const ManifestRecord& record : records) {
    std::visit(
        [this]<class Record>(const Record& one) {
          if constexpr (requires { one.number; }) {
            shelf_.publish(*manifest_->state().find(one.number));
          } else if constexpr (std::is_same_v<Record, FinalizedRecord>) {
            shelf_.publish(*manifest_->state().find(one.facts.id.number));
          }
        },
        record);
  }
  return {};
}

void SegmentStore::measure() {
  const Residency now = residency_of(manifest_->state());
  ArchiveQueue queue = archive_queue(manifest_->state());
  // Sealed and not finalized yet, or never, if it cannot be.
  const auto& segments = manifest_->state().segments();
  for (const SealedSegment& sealed : stream_.sealed(segments.empty() ? 0 : segments.rbegin()->first)) {
    ++queue.segments;
    queue.bytes += sealed.header.bytes;
  }
  is_pressed_.store(aof::is_pressed(queue, options_.limits), std::memory_order_relaxed);
  const std::lock_guard guard(mutex_);
  residency_ = now;
}

// ---- any thread

void SegmentStore::damaged(std::uint64_t number, Tier tier, const Error& error) {
  if (error.code() != ErrorCode::kCorrupt && error.code() != ErrorCode::kIo) return;  // it may be whole
  {
    const std::lock_guard guard(mutex_);
    if (!damages_.insert({number, tier}).second) return;
  }
  log_error(fmt::format("log segment {}: its copy in tier {} is damaged: {}", number,
                        static_cast<unsigned>(tier), error.what()));
  post_work();
}

Residency SegmentStore::residency() const {
  const std::lock_guard guard(mutex_);
  return residency_;
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
