#include "aof/tier/archiver.hpp"

#include <algorithm>
#include <utility>

#include "aof/tier/tier_files.hpp"
#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

// Records of one append to the manifest; each takes less than 2.5 KiB.
constexpr std::size_t kRecordsAtOnce = 16;

}  // namespace

std::string_view name_of(ArchiveStep step) noexcept {
  switch (step) {
    case ArchiveStep::kBegin: return "begin";
    case ArchiveStep::kPut: return "put";
    case ArchiveStep::kVerify: return "verify";
    case ArchiveStep::kVerified: return "verified";
    case ArchiveStep::kPublish: return "publish";
    case ArchiveStep::kRecord: return "record";
    case ArchiveStep::kFailed: return "failed";
  }
  return "?";
}

Archiver::Archiver(Disk& disk, std::string directory, Manifest& manifest, objstore::ObjectStore& store,
                   RegisterWriter& writer, BucketNames names, Clock& clock, Executor& executor,
                   ArchiverOptions options)
    : disk_(disk),
      directory_(std::move(directory)),
      manifest_(manifest),
      store_(store),
      writer_(writer),
      names_(std::move(names)),
      clock_(clock),
      options_(std::move(options)),
      calls_(executor) {}

Archiver::~Archiver() = default;

Archiver::Job* Archiver::find(std::uint64_t number) {
  const auto found = jobs_.find(number);
  return found == jobs_.end() ? nullptr : &found->second;
}

bool Archiver::can_work() const {
  return started_ && writer_.is_writer() && !manifest_.failure().has_value();
}

void Archiver::start(std::optional<SegmentHeader> active, Done done) {
  BOP_ASSERT(!started_);
  writer_.take_over({&manifest_.state(), std::move(active)}, clock_.wall_us(),
                    [this, guard = calls_.guard(), done = std::move(done)](Status taken) mutable {
                      if (guard.expired()) return;
                      const BucketRegister* reg = taken.has_value() ? &writer_.current() : nullptr;
                      if (reg != nullptr) {
                        taken = manifest_.append(EpochTakenRecord{reg->epoch, reg->history.back().start});
                      }
                      if (taken.has_value() &&
                          reg->low_number > std::max<std::uint64_t>(1, manifest_.state().low_number())) {
                        // Deleting was cut off between register and manifest.
                        const DeletedRecord deleted{reg->low_number, reg->low};
                        if (manifest_.state().check(deleted).has_value()) taken = manifest_.append(deleted);
                      }
                      started_ = taken.has_value();
                      if (!started_) failure_ = taken.error();
                      done(std::move(taken));
                      if (!guard.expired()) go();
                    });
}

std::size_t Archiver::running() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(jobs_, [](const auto& job) { return job.second.step < ArchiveStep::kVerified; }));
}

void Archiver::poke() {
  if (!going_) std::erase_if(jobs_, [&](const auto& job) { return job.second.step == ArchiveStep::kFailed; });
  go();
}

void Archiver::go() {
  if (!can_work() || going_) return;
  going_ = true;
  record();
  std::size_t busy = running();
  // What is recorded meanwhile changes segments and takes none away.
  for (const auto& [number, segment] : manifest_.state().segments()) {
    if (busy >= options_.max_running || jobs_.size() >= options_.max_unpublished + options_.max_running)
      break;
    if (segment.archived.has_value() || jobs_.contains(number)) continue;
    begin(segment);
    ++busy;
    if (!can_work()) break;
  }
  going_ = false;
  publish();
}

void Archiver::publish_now() {
  const auto& segments = manifest_.state().segments();
  if (!segments.empty()) publish_through_ = segments.rbegin()->first;
  poke();
}

void Archiver::begin(const SegmentState& segment) {
  const std::uint64_t number = segment.facts.id.number;
  Job& job = jobs_.try_emplace(number).first->second;
  job.facts = segment.facts;
  const BucketRegister& reg = writer_.current();
  const auto counted = epoch_of(reg, number);
  job.is_published = counted.has_value();
  job.epoch = counted.value_or(reg.epoch);
  if (!job.is_published && number <= reg.archived_number) {
    return failed(job,
                  error(ErrorCode::kNotInPrerequisiteState,
                        "segment {} is below what the archive keeps (segment {})", number, reg.low_number));
  }
  job.key = names_.segment(key_of(job.facts, job.epoch));
  if (!job.is_published) {
    const ArchiveIntent intent{job.epoch, job.key};
    if (segment.begun != intent) {
      if (auto begun = manifest_.append(ArchiveBegunRecord{number, intent}); !begun.has_value()) {
        return failed(job, std::move(begun).error());
      }
    }
  }
  auto object = bytes_of(segment);
  if (!object.has_value()) return failed(job, std::move(object).error());
  job.object = std::move(*object);
  job.object_bytes = job.object.bytes->size();
  job.object_checksum = job.object.checksum;
  if (job.is_published) return look(number);
  put(number);
}

Result<ObjectBytes> Archiver::bytes_of(const SegmentState& segment) {
  if (segment.tier_one.has_value()) {
    auto stored = load_tier_one(disk_, directory_, segment.facts.id.number, *segment.tier_one);
    if (stored.has_value() || !segment.tier_zero) return stored;
  }
  BOP_LET(file, disk_.open(directory_ + "/" + segment_name(segment.facts.id.number), OpenMode::kRead));
  BOP_LET(image, load_image(*file, segment.facts));
  return encode_object(image, segment.facts, options_.compression);
}

void Archiver::put(std::uint64_t number) {
  Job& job = *find(number);
  job.step = ArchiveStep::kPut;
  ++counts_.puts;
  static_cast<void>(
      store_.put(job.key, {std::span(*job.object.bytes), job.object.bytes},
                 {objstore::PutCondition::Kind::kIfAbsent, {}}, options_.call,
                 calls_.here<objstore::ObjectMeta>([this, number](Result<objstore::ObjectMeta> result) {
                   put_done(number, std::move(result));
                 })));
}

void Archiver::put_done(std::uint64_t number, Result<objstore::ObjectMeta> put) {
  Job* job = find(number);
  if (job == nullptr) return;
  if (!put.has_value()) {
    // Only this epoch's writer has this key: it is there from an earlier attempt.
    if (put.error().code() == ErrorCode::kObjectExists) return look(number);
    return failed(*job, std::move(put).error());
  }
  job->etag = std::move(put->etag);
  if (store_.verifies_puts()) return verified(*job);
  verify(number);
}

// The object is said to be there: its etag and size, then its bytes.
void Archiver::look(std::uint64_t number) {
  Job& job = *find(number);
  job.step = ArchiveStep::kVerify;
  static_cast<void>(
      store_.head(job.key, options_.call,
                  calls_.here<objstore::ObjectMeta>([this, number](Result<objstore::ObjectMeta> head) {
                    Job* seen = find(number);
                    if (seen == nullptr) return;
                    if (!head.has_value()) {
                      if (head.error().code() == ErrorCode::kObjectNotFound) return put(number);
                      return failed(*seen, std::move(head).error());
                    }
                    seen->etag = std::move(head->etag);
                    seen->object_bytes = head->bytes;
                    if (head->bytes > kMostObjectBytes) return replace(number);
                    verify(number);
                  })));
}

void Archiver::verify(std::uint64_t number) {
  Job& job = *find(number);
  job.step = ArchiveStep::kVerify;
  job.read_bytes = job.read_checksum = 0;
  job.read_image.clear();
  read_next(number);
}

void Archiver::read_next(std::uint64_t number) {
  Job& job = *find(number);
  const std::uint64_t left = job.object_bytes - job.read_bytes;
  if (left == 0) return read_done(job);
  const objstore::Range range{job.read_bytes, std::min(left, options_.range_bytes)};
  static_cast<void>(store_.get(
      job.key, range, options_.call,
      calls_.here<std::vector<std::byte>>([this, number, range](Result<std::vector<std::byte>> bytes) {
        Job* reading = find(number);
        if (reading == nullptr) return;
        if (!bytes.has_value()) return failed(*reading, std::move(bytes).error());
        if (bytes->size() != range.bytes) {
          return failed(*reading, error(ErrorCode::kCorrupt, "{}: {} bytes at {} where {} are told",
                                        reading->key, bytes->size(), range.offset, range.bytes));
        }
        reading->read_checksum = crc64(reading->read_checksum, *bytes);
        reading->read_bytes += bytes->size();
        // An object that another version of zstd has made is judged by its image.
        if (reading->object_bytes != reading->object.bytes->size() || !reading->read_image.empty()) {
          reading->read_image.insert(reading->read_image.end(), bytes->begin(), bytes->end());
        }
        read_next(number);
      })));
}

void Archiver::read_done(Job& job) {
  const std::uint64_t number = job.facts.id.number;
  if (job.object_bytes == job.object.bytes->size()) {
    if (job.read_checksum == job.object.checksum) {
      job.object_checksum = job.read_checksum;
      return verified(job);
    }
    return replace(number);
  }
  if (!decode_object(job.read_image, job.facts.content_checksum, job.key).has_value()) return replace(number);
  job.object_checksum = job.read_checksum;
  verified(job);
}

// What is stored is not the segment. An object that counts is never removed: its bytes are asked for once
// more, and then it is an error with its name. Another one is ours alone, as its key has our epoch: it is put
// again, once.
void Archiver::replace(std::uint64_t number) {
  Job& job = *find(number);
  Error damaged =
      error(ErrorCode::kCorrupt, "{}: the stored bytes are not those of segment {}", job.key, number);
  if (job.was_replaced) return failed(job, std::move(damaged));
  job.was_replaced = true;
  ++counts_.failures;
  if (job.is_published) return look(number);
  static_cast<void>(store_.remove(job.key, options_.call,
                                  calls_.here<std::monostate>([this, number](Result<std::monostate> removed) {
                                    Job* again = find(number);
                                    if (again == nullptr) return;
                                    if (!removed.has_value())
                                      return failed(*again, std::move(removed).error());
                                    again->object_bytes = again->object.bytes->size();
                                    put(number);
                                  })));
}

void Archiver::verified(Job& job) {
  job.step = job.is_published ? ArchiveStep::kRecord : ArchiveStep::kVerified;
  job.object.bytes.reset();
  job.read_image = {};
  go();
}

void Archiver::failed(Job& job, Error error) {
  ++counts_.failures;
  failure_ = error;
  job.error = std::move(error);
  job.object.bytes.reset();
  job.read_image = {};
  job.step = ArchiveStep::kFailed;
}

// The verified segments that follow the archive's end, when they are worth a put.
void Archiver::publish() {
  if (!can_work() || writer_.is_busy() || changing_register_ || !publishing_.empty()) return;
  std::vector<SegmentFacts> segments;
  std::uint64_t bytes = 0;
  std::uint64_t before = writer_.current().archived_number;
  for (const auto& [number, job] : jobs_) {
    if (job.is_published || number <= before) continue;
    if (job.step != ArchiveStep::kVerified || job.facts.previous_number != before) break;
    segments.push_back(job.facts);
    bytes += job.facts.image_bytes();
    before = number;
  }
  if (segments.empty()) return;
  // Asked for: what was sealed then and is still being put joins in.
  const bool asked =
      segments.front().id.number <= publish_through_ && std::ranges::none_of(jobs_, [&](const auto& job) {
        return job.first <= publish_through_ && job.second.step < ArchiveStep::kVerified;
      });
  if (!asked && bytes < options_.publish_bytes && segments.size() < options_.max_unpublished) return;
  for (const SegmentFacts& facts : segments) {
    publishing_.push_back(facts.id.number);
    find(facts.id.number)->step = ArchiveStep::kPublish;
  }
  writer_.publish(std::move(segments), clock_.wall_us(), [this, guard = calls_.guard()](Status status) {
    if (!guard.expired()) published(std::move(status));
  });
}

void Archiver::published(Status status) {
  // Also a change that failed may have found that an earlier one had succeeded.
  const std::uint64_t through = writer_.is_writer() ? writer_.current().archived_number : 0;
  for (const std::uint64_t number : std::exchange(publishing_, {})) {
    Job* job = find(number);
    BOP_ASSERT(job != nullptr && job->step == ArchiveStep::kPublish);
    BOP_ASSERT(!status.has_value() || number <= through);
    job->step = number <= through ? ArchiveStep::kRecord : ArchiveStep::kVerified;
  }
  if (!status.has_value()) {
    ++counts_.failures;
    failure_ = std::move(status).error();
    return;  // poke() tries again
  }
  go();
}

// Published segments become archived ones of the manifest.
void Archiver::record() {
  std::vector<ManifestRecord> records;
  std::vector<std::uint64_t> numbers;
  const auto append = [&] {
    if (auto appended = manifest_.append(records); !appended.has_value()) {
      ++counts_.failures;
      failure_ = std::move(appended).error();
      return false;
    }
    for (const std::uint64_t number : numbers) {
      const auto job = jobs_.extract(number);
      ++counts_.segments;
      counts_.image_bytes += job.mapped().facts.image_bytes();
      counts_.object_bytes += job.mapped().object_bytes;
      if (on_archived_) on_archived_(number);
    }
    records.clear();
    numbers.clear();
    return true;
  };
  for (const auto& [number, job] : jobs_) {
    if (job.step != ArchiveStep::kRecord) continue;
    numbers.push_back(number);
    records.emplace_back(
        ArchivedRecord{number, {job.epoch, job.object_bytes, job.object_checksum, job.key, job.etag}});
    if (records.size() == kRecordsAtOnce) break;
  }
  const bool more = records.size() == kRecordsAtOnce;
  if (records.empty() || !append()) return;
  if (more) record();
}

void Archiver::delete_below(std::uint64_t low_number, Lsn low, Done done) {
  const DeletedRecord deleted{low_number, low};
  Status may = can_work() ? manifest_.state().check(deleted)
                          : fail(ErrorCode::kNotInPrerequisiteState, "nothing is archived here now");
  if (may.has_value() && low_number > writer_.current().archived_number + 1) {
    may = fail(ErrorCode::kNotInPrerequisiteState,
               "segments below {} are to be deleted, and only those up to {} are archived", low_number,
               writer_.current().archived_number);
  }
  if (may.has_value() && (writer_.is_busy() || changing_register_)) {
    may = fail(ErrorCode::kObjectInUse, "the register is being changed: try again");
  }
  if (!may.has_value()) {
    calls_.post([done = std::move(done), may = std::move(may)]() mutable { done(std::move(may)); });
    return;
  }
  changing_register_ = true;
  writer_.raise_low(low_number, low,
                    [this, guard = calls_.guard(), deleted, done = std::move(done)](Status raised) mutable {
                      if (guard.expired()) return;
                      changing_register_ = false;
                      if (raised.has_value()) raised = manifest_.append(deleted);
                      if (raised.has_value()) {
                        std::erase_if(jobs_, [&](const auto& job) {
                          return job.first < deleted.low_number && job.second.step != ArchiveStep::kPublish;
                        });
                      }
                      done(std::move(raised));
                      if (!guard.expired()) go();
                    });
}

bool Archiver::is_idle() const {
  return jobs_.empty() && publishing_.empty() && !changing_register_ &&
         std::ranges::all_of(manifest_.state().segments(),
                             [](const auto& segment) { return segment.second.archived.has_value(); });
}

ArchiverCounts Archiver::counts() const {
  ArchiverCounts counts = counts_;
  counts.publications = writer_.puts();
  for (const auto& [number, segment] : manifest_.state().segments()) {
    if (segment.archived.has_value()) continue;
    ++counts.waiting_segments;
    counts.waiting_bytes += segment.facts.file_bytes;
  }
  return counts;
}

std::optional<Error> Archiver::failure() const {
  if (writer_.fenced().has_value()) return writer_.fenced();
  if (is_idle()) return std::nullopt;
  return failure_;
}

std::optional<ArchiveStep> Archiver::step_of(std::uint64_t number) const {
  const auto found = jobs_.find(number);
  return found == jobs_.end() ? std::nullopt : std::optional(found->second.step);
}

}  // namespace bop::aof
