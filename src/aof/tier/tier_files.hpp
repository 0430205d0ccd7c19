// The local files of sealed segments beside `<number>.log`: the compressed file of tier 1, `%016x.zst`, which
// has the bytes of the segment's object (archived_object.hpp). Files under other names with the ending
// `.part` were never finished and are removed at the next start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "aof/tier/archived_object.hpp"
#include "aof/tier/manifest_record.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

// The largest compressed file or object that is taken into memory.
inline constexpr std::uint64_t kMostObjectBytes = 5ULL << 30U;
inline constexpr std::string_view kPartSuffix = ".part";

[[nodiscard]] std::string tier_one_name(std::uint64_t number);
// The number in such a name, nothing for other names.
[[nodiscard]] std::optional<std::uint64_t> tier_one_number(std::string_view name) noexcept;

// Whole, its checksum compared: kCorrupt when it is not the file that was made.
[[nodiscard]] Result<ObjectBytes> load_tier_one(Disk& disk, const std::string& directory,
                                                std::uint64_t number, const TierOneCopy& copy);

// Writes a file under a temporary name, reads it back, compares, and gives it its name: durable when it
// returns. An older file of that name is replaced.
[[nodiscard]] Status write_whole(Disk& disk, const std::string& directory, const std::string& name,
                                 std::span<const std::byte> bytes);
// Removes it durably; success also when there is none.
[[nodiscard]] Status remove_durably(Disk& disk, const std::string& directory, const std::string& name);

}  // namespace bop::aof
