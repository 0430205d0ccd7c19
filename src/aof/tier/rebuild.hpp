// Makes the directory of a lost log anew, from the bucket alone.
//
// The register says which objects count; there is exactly one for each segment from `low` to the archive's
// end. Each is read, its image compared with the checksum in its name, its records walked, its place in the
// chain (number before, last entry before) compared with the segment before it, and the file written: the
// image, then zeros up to the size that its header tells. A file is written under a temporary name, synced
// and renamed, so that what has its name is whole. Then the manifest learns it, as finalized and archived.
// The result opens as a log that was not closed in order: it goes on in a new segment and timeline.
//
// Byte for byte: every file equals the lost one, but for what stood behind the end of records that count
// (nothing, unless a process was killed there).
//
// It can be made again after any interruption, also when the archive has moved on meanwhile: segments that
// the manifest knows and whose files are whole are not fetched again. The directory must hold no other log
// (kFileExists names what is in the way). Each segment is one listed name, its ranges, and nothing else of
// the bucket.
//
// Threads: the caller's, which waits; the store's answers may come on any thread. Memory: one
// segment's object and image.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "aof/tier/bucket_register.hpp"
#include "aof/tier/object_key.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "objstore/object_store.hpp"

namespace bop::aof {

struct RebuildOptions {
  std::string prefix;
  StreamIdentity identity{};
  std::string directory;
  std::uint64_t range_bytes = 8U << 20U;  // of one request
  objstore::CallOptions call;
};

struct RebuildProgress {
  std::uint64_t segments = 0;  // to be there in the end
  std::uint64_t done = 0;
  std::uint64_t found = 0;  // of those done: were there already
  std::uint64_t bytes = 0;  // of files, done
};

struct Rebuilt {
  RebuildProgress progress;
  Lsn low;
  Lsn last;
};

// `tell` is called after each segment; false stops (kCancelled), and a later call goes on. Errors:
// kObjectNotFound without a register; kCorrupt naming the object that is missing, doubled or damaged; those
// of disk and store.
[[nodiscard]] Result<Rebuilt> rebuild(objstore::ObjectStore& store, Disk& disk, const RebuildOptions& options,
                                      const std::function<bool(const RebuildProgress&)>& tell = {});

// The objects that count, oldest first, with their sizes and etags. kCorrupt when one is missing.
struct CountedObject {
  ObjectKey key;
  objstore::ObjectMeta meta;
};
[[nodiscard]] Result<std::vector<CountedObject>> counted_objects(objstore::ObjectStore& store,
                                                                 const BucketNames& names,
                                                                 const BucketRegister& reg,
                                                                 objstore::CallOptions options);

}  // namespace bop::aof
