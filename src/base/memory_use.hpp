// The memory of the process: how much it may take, and whether it has come too near to that.
//
// The limit holds for the whole process, so it is kept once: set at the start, before any thread asks, or
// never (then there is none). It is no promise of the allocator: who can grow asks in time (`memory_is_short`
// between steps, `most_value_bytes` before one large value) and refuses with 53200 what would go beyond. What
// is freed is given back to the system before anything is refused.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace bop {

// Of the machine, or of the control group that the process runs in, whichever is less.
[[nodiscard]] std::uint64_t memory_of_machine();
[[nodiscard]] std::uint64_t resident_bytes();

// 0: no limit.
void set_memory_limit(std::uint64_t bytes);
[[nodiscard]] std::uint64_t memory_limit() noexcept;

// The process holds more than the limit, although `give` has given up what can be made again (caches: true
// when that was something). Looks at most every few milliseconds; in between the last answer holds.
[[nodiscard]] bool memory_is_short(const std::function<bool()>& give = {});

// Has the allocator return what is free to the system, if the process holds much more
// or much less than after the last time. For a
// clock of seconds: it takes a while.
void give_back_memory();

// For one value, or what an aggregate collects for one: PostgreSQL's 1 GB, less where memory is scarce,
// because a value is there several times on its way to the client.
[[nodiscard]] std::size_t most_value_bytes() noexcept;

}  // namespace bop
