// Asserts that stay on in release: they guard invariants, never input from outside.
#pragma once

namespace bop {
// Prints the expression, place and a stack of frames to stderr, then aborts.
[[noreturn]] void assert_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace bop

#define BOP_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::bop::assert_failed(#expression, __FILE__, __LINE__))
