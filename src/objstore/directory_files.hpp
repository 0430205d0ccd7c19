// Objects as files below one folder, durable: the object "a/b" is the file ROOT/a/b, nothing else is in it,
// so that any tool can copy such a folder to a bucket and back.
//
//   ROOT/.tmp/<random>   bodies that are being written; what is found there at the start is removed
//   ROOT/.lock           held by the process that changes a name
//
// Why not the `local` store of the crate object_store: it syncs neither file nor folder, has no put if match,
// and could not be run on the simulated disk, which tears what was not synced.
//
// A put writes its body to .tmp and syncs it. Names change under the lock only (in this process also a
// mutex): the condition is looked at, the body renamed to its name, the folder synced. So a put is whole or
// absent after a power cut, and conditions hold among processes. A process that was stopped (not killed)
// while it holds the lock holds up the others; they answer with its number, and go on when it ends. An answer
// that says that an object is there (put, head) says that its name is durable: a process that was killed
// between renaming and syncing leaves a name that the next power cut may take, so the folder is synced first.
// Reads and lists show names as they are. A sync of a folder that fails after the renaming is kBroken:
// nothing proves what is stored. The etag is size and CRC64 of the contents: computed by reading, empty in
// lists.
//
// Threads: all calls from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/time.hpp"
#include "objstore/raw_store.hpp"

namespace bop::objstore {

class ObjectDirectory {
 public:
  // Makes the folder if it does not exist. The disk and the source of random names outlive this.
  [[nodiscard]] static Result<std::unique_ptr<ObjectDirectory>> open(Disk& disk, const std::string& root,
                                                                     Random& random);

  [[nodiscard]] RawResult<RawMeta> put(const std::string& key, std::span<const std::byte> body,
                                       const PutCondition& condition);
  [[nodiscard]] RawResult<std::vector<std::byte>> get(const std::string& key,
                                                      const std::optional<Range>& range, std::uint64_t most);
  [[nodiscard]] RawResult<RawMeta> head(const std::string& key);
  [[nodiscard]] RawResult<ListPage> list(const std::string& prefix, const std::string& start_after);
  [[nodiscard]] RawResult<std::monostate> remove(const std::string& key);
  [[nodiscard]] const std::string& root() const noexcept { return root_; }

 private:
  ObjectDirectory(Disk& disk, std::string root, Random& random)
      : disk_(disk), root_(std::move(root)), random_(random) {}
  struct Listing;
  [[nodiscard]] std::string path_of(const std::string& key) const { return root_ + "/" + key; }
  [[nodiscard]] RawFailure failure_of(const Error& error) const;
  [[nodiscard]] Result<std::string> write_body(std::span<const std::byte> body);
  [[nodiscard]] RawResult<RawMeta> publish(const std::string& key, const std::string& body,
                                           const PutCondition& condition, ObjectMeta meta);
  // Size and etag of what is there; nullopt when nothing is.
  [[nodiscard]] Result<std::optional<ObjectMeta>> look(const std::string& key);
  [[nodiscard]] Status make_folder(const std::string& folder);
  [[nodiscard]] bool is_folder(const std::string& path) { return disk_.list(path).has_value(); }
  [[nodiscard]] Result<bool> list_folder(Listing& listing, const std::string& folder,
                                         std::vector<std::string> names);
  [[nodiscard]] Result<bool> list_file(Listing& listing, const std::string& key);

  Disk& disk_;
  const std::string root_;
  Random& random_;
  std::mutex names_;                    // held with ROOT/.lock
  std::set<std::string> made_folders_;  // by names_: these and all above them are durable
};

}  // namespace bop::objstore
