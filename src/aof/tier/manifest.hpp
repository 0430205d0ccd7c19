// The manifest log: the durable truth about the life of sealed segments. Its files: manifest_file.hpp; its
// records: manifest_record.hpp; what they add up to: manifest_state.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aof/tier/manifest_file.hpp"
#include "aof/tier/manifest_state.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

// What a manifest on disk says, and how well it is.
struct LoadedManifest {
  ManifestState state;
  std::uint64_t sequence = 0;        // of the last record in `state`
  std::uint64_t damaged_copies = 0;  // healed from the copy beside them
  bool snapshot_from_other = false;  // the newest file's snapshot was damaged; the older file had the same
  bool torn_tail = false;            // an unfinished append, never acknowledged
  ManifestScan newest;
  ManifestScan other;
};

// Reads and replays; writes nothing. Errors: kFileNotFound when there is no manifest at all, kCorrupt naming
// file and byte, kFormatTooNew, kIo.
[[nodiscard]] Result<LoadedManifest> load_manifest(Disk& disk, const std::string& directory);

// A record with its position, for followers.
struct ManifestEntry {
  std::uint64_t sequence = 0;
  ManifestRecord record;
};

// The ledger, open for appending.
//
// Acknowledgement: append() answering success means that all its records are durable, in order, all or none
// of them (one write). An error other than kPoisoned means that nothing changed, with one exception: after a
// failed write, a restart may find the records all the same, whole; they are true (manifest_record.hpp).
//
// Failure: after the first failed write or sync that is not for want of space, append() answers kPoisoned
// until the manifest is opened again; reads go on. A full disk poisons nothing: append() answers kDiskFull
// and works again when there is room; as files are prewritten, only a rotation that has to make a file longer
// can meet it, and it takes the file as it is where the snapshot fits in.
//
// Threads: one at a time, and not a reactor's: append() waits for the disk. It owns the two files; the
// directory is locked by who opened the log.
class Manifest {
 public:
  struct Options {
    std::uint64_t least_bytes =
        kLeastManifestBytes;  // of a file; multiple of kDiskBlockBytes, at least 64 KiB
  };

  // A new one. kFileExists when there is one.
  [[nodiscard]] static Result<std::unique_ptr<Manifest>> create(Disk& disk, const std::string& directory,
                                                                const ManifestState& state, Options options);
  // Errors of load_manifest, and kConfigInvalid when it is another stream's.
  [[nodiscard]] static Result<std::unique_ptr<Manifest>> open(Disk& disk, const std::string& directory,
                                                              const StreamIdentity& identity,
                                                              Options options);

  [[nodiscard]] const ManifestState& state() const noexcept { return state_; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  // Damaged copies found at open; the next append rotates, which heals them.
  [[nodiscard]] std::uint64_t damaged_copies() const noexcept { return damaged_copies_; }
  [[nodiscard]] const std::optional<Error>& failure() const noexcept { return failure_; }

  // kNotInPrerequisiteState when a record does not fit (nothing is written then); kInvalidArgument for more
  // than one write holds.
  [[nodiscard]] Status append(std::span<const ManifestRecord> records);
  [[nodiscard]] Status append(const ManifestRecord& record) { return append(std::span(&record, 1)); }

  // Writes the state to the other file. append() does it when the file is full.
  [[nodiscard]] Status rotate();

  // The records after `position`, at most `most` of them, oldest first; none at the end.
  // kNotInPrerequisiteState when the position was compacted away (take state() and sequence() then) or lies
  // ahead.
  [[nodiscard]] Result<std::vector<ManifestEntry>> read_from(std::uint64_t position, std::size_t most) const;

 private:
  Manifest(Disk& disk, std::string directory, Options options)
      : disk_(&disk), directory_(std::move(directory)), options_(options) {}

  [[nodiscard]] std::string path_of(std::uint64_t generation) const;
  // Bytes of the snapshot of state_ as it stands in the file of `generation`, and the header that goes with
  // it.
  [[nodiscard]] std::vector<std::byte> encode_snapshot(std::uint64_t generation,
                                                       ManifestHeader& header) const;
  // A file with enough room for a snapshot that ends there.
  [[nodiscard]] Status make_room(File& file, std::uint64_t snapshot_end);
  [[nodiscard]] Status write_file(File& file, const ManifestHeader& header,
                                  std::span<const std::byte> snapshot);
  [[nodiscard]] Status mark_superseded(File& file, std::uint64_t at, std::uint64_t link,
                                       std::uint64_t generation, std::uint64_t by);
  [[nodiscard]] Status poison(Error error);

  Disk* disk_;
  std::string directory_;
  Options options_;
  ManifestState state_;
  std::uint64_t sequence_ = 0;
  std::uint64_t generation_ = 0;
  std::unique_ptr<File> file_;  // of generation_
  std::uint64_t file_bytes_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t link_ = 0;
  std::uint64_t damaged_copies_ = 0;
  bool snapshot_from_other_ = false;  // the older file has the only whole snapshot
  // The older file is not marked superseded yet: that comes before the next append.
  struct Unmarked {
    std::uint64_t generation = 0;
    std::uint64_t at = 0;
    std::uint64_t link = 0;
  };
  std::optional<Unmarked> unmarked_;
  std::optional<Error> failure_;
};

}  // namespace bop::aof
