// Whole files of sealed segments: the compressed file of tier 1 (tier_one_name() in tiered_reader.hpp), which
// has the bytes of the segment's object (archived_object.hpp), and files that are written whole or not at
// all.
#pragma once

#include <cstdint>
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

// Whole, its checksum compared: kCorrupt when it is not the file that was made.
[[nodiscard]] Result<ObjectBytes> load_tier_one(Disk& disk, const std::string& path, const TierOneCopy& copy);

// Writes a file under a temporary name, reads it back, compares, and gives it its name: durable when it
// returns. An older file of that name is replaced.
[[nodiscard]] Status write_whole(Disk& disk, const std::string& directory, const std::string& name,
                                 std::span<const std::byte> bytes);
// Removes it durably; success also when there is none.
[[nodiscard]] Status remove_durably(Disk& disk, const std::string& directory, const std::string& name);

}  // namespace bop::aof
