// Keys of a folder in ascending byte order, a page at a time, without looking at what is not on the page.
//
// Names in a folder come sorted; as part of keys, the name N of a folder stands for "N/...". "a-b" sorts
// behind the folder "a" by name, and before "a/..." as a key: so a folder that was met waits until a name
// follows that is greater than "N/".
#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "objstore/directory_files.hpp"
#include "objstore/object_key.hpp"

namespace bop::objstore {

struct ObjectDirectory::Listing {
  const std::string& prefix;
  const std::string& start_after;
  ListPage page;

  [[nodiscard]] bool wants(const std::string& key) const {
    return key > start_after && key.starts_with(prefix);
  }
  // May there be wanted keys in the folder, whose name ends with '/'?
  [[nodiscard]] bool wants_below(const std::string& folder) const {
    if (!folder.starts_with(prefix) && !prefix.starts_with(folder)) return false;
    return start_after < folder || start_after.starts_with(folder);
  }
};

// True: the page is full.
Result<bool> ObjectDirectory::list_file(Listing& listing, const std::string& key) {
  auto file = disk_.open(path_of(key), OpenMode::kRead);
  if (!file) {
    if (file.error().code() == ErrorCode::kFileNotFound) return false;  // removed meanwhile
    return std::unexpected(std::move(file).error());
  }
  BOP_LET(bytes, (*file)->size());
  std::byte first{};
  BOP_TRY((*file)->read_at(ByteOffset(0), std::span(&first, 1)));  // a folder cannot be read
  if (listing.page.objects.size() == kMostKeysInPage) {
    listing.page.more = true;
    return true;
  }
  listing.page.objects.push_back({key, bytes, {}});
  return false;
}

// `folder`: as keys begin, "" or "a/b/".
Result<bool> ObjectDirectory::list_folder(Listing& listing, const std::string& folder,
                                          std::vector<std::string> names) {
  std::map<std::string, std::vector<std::string>> waiting;  // "a/" -> the names in it
  const auto list_first = [&]() -> Result<bool> {
    auto node = waiting.extract(waiting.begin());
    return list_folder(listing, folder + node.key(), std::move(node.mapped()));
  };
  for (const std::string& name : names) {
    if (name.starts_with('.') || !check_key(folder + name)) continue;  // not ours
    while (!waiting.empty() && waiting.begin()->first < name) {
      BOP_LET(full, list_first());
      if (full) return true;
    }
    const std::string key = folder + name;
    const bool as_folder = listing.wants_below(key + "/");
    if (!as_folder && !listing.wants(key)) continue;
    if (auto inside = disk_.list(path_of(key)); inside) {
      if (as_folder) waiting.emplace(name + "/", std::move(*inside));
      continue;
    }
    if (!listing.wants(key)) continue;
    BOP_LET(full, list_file(listing, key));
    if (full) return true;
  }
  while (!waiting.empty()) {
    BOP_LET(full, list_first());
    if (full) return true;
  }
  return false;
}

RawResult<ListPage> ObjectDirectory::list(const std::string& prefix, const std::string& start_after) {
  Listing listing{prefix, start_after, {}};
  auto names = disk_.list(root_);
  if (!names) return std::unexpected(failure_of(names.error()));
  if (auto listed = list_folder(listing, "", std::move(*names)); !listed) {
    return std::unexpected(failure_of(listed.error()));
  }
  return std::move(listing.page);
}

}  // namespace bop::objstore
