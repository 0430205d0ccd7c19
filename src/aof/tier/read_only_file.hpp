// A File that is read: writing to it is a defect of the caller, answered with kInternal.
#pragma once

#include <string>
#include <utility>

#include "base/disk.hpp"

namespace bop::aof {

class ReadOnlyFile : public File {
 public:
  explicit ReadOnlyFile(std::string path) : path_(std::move(path)) {}
  Status write_at(ByteOffset, std::span<const std::byte>) final { return refused(); }
  Status sync() final { return {}; }
  Status truncate(std::uint64_t) final { return refused(); }
  Status prewrite(std::uint64_t, std::uint64_t) final { return refused(); }
  void write_durable(ByteOffset, std::span<const std::byte>, Completion done) final { done(refused()); }
  const std::string& path() const noexcept final { return path_; }

 private:
  [[nodiscard]] Status refused() const { return fail(ErrorCode::kInternal, "{}: cannot be written", path_); }

  std::string path_;
};

}  // namespace bop::aof
