#include "objstore/raw_store.hpp"

#include "base/assert.hpp"

namespace bop::objstore {

// Who has no part_bytes is never asked for parts.
RawCallPtr RawStore::begin_parts(const std::string&, const std::string&, RawDone<std::string>) {
  BOP_ASSERT(traits().part_bytes > 0);
  return nullptr;
}
RawCallPtr RawStore::put_part(const std::string&, const std::string&, std::size_t, const Body&,
                              RawDone<PartTag>) {
  BOP_ASSERT(traits().part_bytes > 0);
  return nullptr;
}
RawCallPtr RawStore::complete_parts(const std::string&, const std::string&, const std::vector<PartTag>&,
                                    RawDone<RawMeta>) {
  BOP_ASSERT(traits().part_bytes > 0);
  return nullptr;
}
RawCallPtr RawStore::abort_parts(const std::string&, const std::string&, RawDone<std::monostate>) {
  BOP_ASSERT(traits().part_bytes > 0);
  return nullptr;
}

}  // namespace bop::objstore
