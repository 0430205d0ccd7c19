// Archives sealed segments: each becomes an object of the bucket, in order, and is published in the register.
//
// The life of one segment (ArchiveStep), with what is durable when a step ends:
//
//   kBegin     manifest: ArchiveBegun(key, epoch)
//   kPut       the object, put if absent: success; or it is there already (an earlier attempt of this epoch)
//   kVerify    read back and compared, unless the store compares checksums itself
//   kVerified  waits until the segments before it are verified, too, and there are enough for one publication
//   kPublish   register: archived through this segment (one put for several segments)
//   kRecord    manifest: Archived. From here on its raw file may be dropped
//
// A crash anywhere is answered by doing it again: every step is idempotent. Two cases of a restart, which
// takes over with a new epoch:
//   * not published: the segment is archived anew under the new epoch's key; the older object never counts
//   and is
//     collected as an orphan;
//   * published, not recorded: the register says so. The key follows from facts and epoch; the object is read
//   back, and
//     recorded (put again under the same key, if somebody has lost it).
//
// Puts: one a segment, and one for every `publish_bytes` of segments. With segments of 64 MiB and the
// defaults that is 16 + 2 a GiB, and one for taking over. Whoever wants segments published sooner asks for it
// (publish_now), for a put each time.
//
// Fenced: when somebody else has taken over nothing more is put or published, for good; segments stay where
// they are.
//
// Threads: one, the executor's, which may wait for the disk: images are read and compressed there. Memory: at
// most `max_running` images and objects at once. It may be destroyed at any time; what is under way then may
// happen.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aof/tier/archived_object.hpp"
#include "aof/tier/manifest.hpp"
#include "aof/tier/register_writer.hpp"
#include "base/disk.hpp"
#include "base/time.hpp"

namespace bop::aof {

enum class ArchiveStep : std::uint8_t { kBegin, kPut, kVerify, kVerified, kPublish, kRecord, kFailed };
[[nodiscard]] std::string_view name_of(ArchiveStep step) noexcept;

struct ArchiverOptions {
  std::size_t max_running = 2;                  // segments between kBegin and kVerified
  std::uint64_t publish_bytes = 512ULL << 20U;  // of images, verified and not published
  std::size_t max_unpublished = 64;       // segments; published when there are so many, whatever their size
  std::uint64_t range_bytes = 8U << 20U;  // of one request that reads back
  SeekableWriterOptions compression;
  objstore::CallOptions call{.priority = objstore::Priority::kBackground};
};

struct ArchiverCounts {
  std::uint64_t segments = 0;          // recorded as archived, by this one
  std::uint64_t image_bytes = 0;       // of them
  std::uint64_t object_bytes = 0;      // of them
  std::uint64_t puts = 0;              // requests to put, of objects
  std::uint64_t publications = 0;      // puts of the register, taking over included
  std::uint64_t failures = 0;          // steps that failed, and were or will be tried again
  std::uint64_t waiting_segments = 0;  // sealed and not archived, the running ones included: back-pressure
  std::uint64_t waiting_bytes = 0;     // of their files
};

class Archiver {
 public:
  using Done = std::move_only_function<void(Status)>;

  // All outlive it. `names` are those that `writer` was made with.
  Archiver(Disk& disk, std::string directory, Manifest& manifest, objstore::ObjectStore& store,
           RegisterWriter& writer, BucketNames names, Clock& clock, Executor& executor,
           ArchiverOptions options);
  ~Archiver();
  Archiver(const Archiver&) = delete;
  Archiver& operator=(const Archiver&) = delete;

  // Takes over, records the epoch, and begins. kFenced, kNotInPrerequisiteState (the archive holds another
  // history), those of the store.
  void start(std::optional<SegmentHeader> active, Done done);
  // There may be work: a segment was finalized, or something failed a while ago. Cheap; call it now and then.
  void poke();
  // Publishes what is verified as soon as it can.
  void publish_now();
  // Gives up everything below, which must be archived: register, then manifest. Files and objects are removed
  // afterwards by who owns them (moves.hpp, orphans.hpp).
  void delete_below(std::uint64_t low_number, Lsn low, Done done);

  // Called after segments were recorded as archived.
  void on_archived(std::function<void(std::uint64_t number)> callback) { on_archived_ = std::move(callback); }

  // Everything that is sealed is archived, and nothing is under way.
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] ArchiverCounts counts() const;
  // kFenced, or the newest failure of a segment that is not archived yet.
  [[nodiscard]] std::optional<Error> failure() const;
  [[nodiscard]] std::optional<ArchiveStep> step_of(std::uint64_t number) const;

 private:
  struct Job {
    SegmentFacts facts;
    Epoch epoch;
    bool is_published = false;  // before this process
    ArchiveStep step = ArchiveStep::kBegin;
    std::string key;
    ObjectBytes object;  // while running
    std::uint64_t object_bytes = 0;
    std::uint64_t object_checksum = 0;
    std::string etag;
    bool was_replaced = false;  // its stored bytes were wrong once
    std::uint64_t read_bytes = 0;
    std::uint64_t read_checksum = 0;
    std::vector<std::byte> read_image;  // of an object whose bytes are not the expected ones
    std::optional<Error> error;
  };

  [[nodiscard]] bool can_work() const;
  // Takes every step that can be taken now.
  void go();
  [[nodiscard]] std::size_t running() const;
  void begin(const SegmentState& segment);
  [[nodiscard]] Result<ObjectBytes> bytes_of(const SegmentState& segment);
  void put(std::uint64_t number);
  void put_done(std::uint64_t number, Result<objstore::ObjectMeta> put);
  void look(std::uint64_t number);
  void verify(std::uint64_t number);
  void read_next(std::uint64_t number);
  void read_done(Job& job);
  void replace(std::uint64_t number);
  void verified(Job& job);
  void failed(Job& job, Error error);
  void publish();
  void published(Status status);
  void record();
  Job* find(std::uint64_t number);

  Disk& disk_;
  std::string directory_;
  Manifest& manifest_;
  objstore::ObjectStore& store_;
  RegisterWriter& writer_;
  BucketNames names_;
  Clock& clock_;
  ArchiverOptions options_;
  std::function<void(std::uint64_t)> on_archived_;
  std::map<std::uint64_t, Job> jobs_;
  std::vector<std::uint64_t> publishing_;
  bool started_ = false;
  std::uint64_t publish_through_ = 0;  // somebody has asked for it
  bool changing_register_ = false;     // for delete_below
  bool going_ = false;
  std::optional<Error> failure_;
  ArchiverCounts counts_;
  StoreCalls calls_;
};

}  // namespace bop::aof
