#include "mdbx/error_map.hpp"

#include <mdbx.h>

#include <cerrno>

namespace bop::mdbx {

namespace {

ErrorCode code_of(int code) noexcept {
  switch (code) {
    case ENOSPC:
    case EDQUOT: return ErrorCode::kDiskFull;
    case ENOENT:
    case ENOTDIR: return ErrorCode::kFileNotFound;
    case ENOMEM:
    case MDBX_TOO_LARGE:
    case MDBX_UNABLE_EXTEND_MAPSIZE: return ErrorCode::kOutOfMemory;
    case MDBX_MAP_FULL: return ErrorCode::kConfigurationLimitExceeded;
    case MDBX_READERS_FULL:
    case MDBX_DBS_FULL: return ErrorCode::kInsufficientResources;
    case MDBX_TXN_FULL:
    case MDBX_BAD_VALSIZE: return ErrorCode::kProgramLimitExceeded;
    case MDBX_BUSY:
    case EAGAIN:
    case MDBX_DUPLICATED_LCK: return ErrorCode::kLocked;
    // A file whose structure is none, and one that was never ours.
    case MDBX_CORRUPTED:
    case MDBX_PAGE_NOTFOUND:
    case MDBX_INVALID:
    case MDBX_CURSOR_FULL:
    case MDBX_PAGE_FULL:
    case MDBX_INCOMPATIBLE:
    case MDBX_WANNA_RECOVERY:
    case MDBX_PROBLEM:
    case MDBX_BACKLOG_DEPLETED: return ErrorCode::kCorrupt;
    case MDBX_VERSION_MISMATCH: return ErrorCode::kFormatTooNew;
    case MDBX_PANIC: return ErrorCode::kPoisoned;
    // Misuse, which the wrappers do not allow.
    case EINVAL:
    case MDBX_BAD_TXN:
    case MDBX_BAD_DBI:
    case MDBX_BAD_RSLOT:
    case MDBX_EBADSIGN:
    case MDBX_THREAD_MISMATCH:
    case MDBX_TXN_OVERLAPPING:
    case MDBX_DANGLING_DBI: return ErrorCode::kInternal;
    default: return ErrorCode::kIo;
  }
}

}  // namespace

Error error_of(int code, std::string_view path, std::string_view doing) {
  const ErrorCode meaning = code_of(code);
  const char* told = mdbx_strerror(code);
  const std::string_view why = told == nullptr ? "unknown error" : std::string_view(told);
  Error made = error(meaning, "{}: cannot {}: {} ({})", path, doing, why, code);
  switch (meaning) {
    case ErrorCode::kConfigurationLimitExceeded:
      return std::move(made).hint("The file has reached the largest size that it was opened with.");
    case ErrorCode::kInsufficientResources:
      return std::move(made).hint("End readers, or open it with room for more of them.");
    case ErrorCode::kPoisoned: return std::move(made).hint("Close it and open it again.");
    default: return made;
  }
}

}  // namespace bop::mdbx
