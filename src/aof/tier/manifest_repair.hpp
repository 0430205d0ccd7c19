// Makes a manifest anew that is damaged or gone, from what it spoke of: the raw segments of the directory,
// the compressed files of tier 1, and the archive.
//
//   * A manifest that can be read is left as it is.
//   * Every sealed raw segment is walked; its successor's header says where it ends. Every compressed file is
//     decompressed and walked. Of the archive, every object that counts is read. What facts say is derived
//     from bytes only, never from names alone.
//   * All of them must make one unbroken chain that ends where the newest raw segment says that its
//   predecessor ends.
//     A segment of which no copy is left refuses the repair, by name: what it held would be missing without a
//     trace. Two copies that differ refuse it, too.
//   * What is below the archive's `low`, or, without an archive, below the oldest segment that is there,
//   counts as
//     deleted. A segment whose deletion was recorded and not carried out comes back; retention deletes it
//     again.
//   * What only the manifest knew is gone: intentions (the next attempt makes them again) and the wrapped
//   keys, which
//     stand in their own file, too.
//   * The damaged files are kept as `manifest-a.damaged` and `manifest-b.damaged`, those of an earlier repair
//   are
//     replaced. Then the new manifest is created. Cut anywhere, the repair is made again: it reads nothing of
//     them.
//
// The log must be closed. Waits for the disk and the store; memory: one segment's object and image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aof/tier/bucket_register.hpp"
#include "aof/tier/manifest.hpp"
#include "aof/tier/rebuild.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

// The archive as a repair asks it.
class ArchiveView {
 public:
  virtual ~ArchiveView() = default;
  [[nodiscard]] virtual Result<BucketRegister> read_register() = 0;  // kObjectNotFound: nothing was archived
  [[nodiscard]] virtual Result<std::vector<CountedObject>> objects(const BucketRegister& reg) = 0;
  [[nodiscard]] virtual Result<std::vector<std::byte>> read(const CountedObject& object) = 0;
};

// Of a bucket; `store` outlives it.
class BucketView final : public ArchiveView {
 public:
  BucketView(objstore::ObjectStore& store, BucketNames names, const StreamIdentity& identity,
             objstore::CallOptions options = {}, std::uint64_t range_bytes = 8U << 20U)
      : store_(store),
        names_(std::move(names)),
        identity_(identity),
        options_(options),
        range_bytes_(range_bytes) {}
  Result<BucketRegister> read_register() override;
  Result<std::vector<CountedObject>> objects(const BucketRegister& reg) override;
  Result<std::vector<std::byte>> read(const CountedObject& object) override;

 private:
  objstore::ObjectStore& store_;
  BucketNames names_;
  StreamIdentity identity_;
  objstore::CallOptions options_;
  std::uint64_t range_bytes_;
};

struct ManifestRepairOptions {
  std::string directory;  // of the segments, the compressed files and the manifest
  StreamIdentity identity{};
  ArchiveView* archive = nullptr;  // none: there is no archive
  Manifest::Options manifest;
};

struct ManifestRepair {
  bool was_sound = false;  // nothing was done
  std::string damage;      // what was wrong with the manifest
  std::uint64_t segments = 0, raw = 0, compressed = 0, archived = 0;
  std::vector<std::string> passed_over;  // compressed files that are not whole, and have another copy
};

// Errors: kCorrupt naming what is missing or does not fit; those of disk and store.
[[nodiscard]] Result<ManifestRepair> repair_manifest(Disk& disk, const ManifestRepairOptions& options);

}  // namespace bop::aof
