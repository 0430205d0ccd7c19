#include "wire/pg/output_queue.hpp"

#include <gtest/gtest.h>

#include <random>

#include "wire/pg/protocol.hpp"

namespace bop::wire::pg {
namespace {

// A TLS record that the socket did not take has to be offered again, at least as long: whatever is appended,
// gated, released and asked for in between, an offer begins with what is left of the one before, and nothing
// behind a gate is in it.
TEST(OutputQueue, AnOfferNeverShrinksAndNeverHoldsWhatIsGated) {
  std::mt19937 random(11);
  const auto below = [&](std::size_t n) { return std::size_t{random() % n}; };
  for (int run = 0; run < 2000; ++run) {
    OutputQueue queue;
    std::uint64_t released = 0, newest = 0, appended = 0, consumed = 0;
    std::size_t offered = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> gates;  // bytes before it, its csn
    for (int step = 0; step < 60; ++step) {
      switch (below(6)) {
        case 0:
        case 1: {
          const std::size_t size = 1 + (below(4) == 0 ? below(2 * kMostKeptTogether) : below(300));
          for (std::size_t i = 0; i < size; ++i)
            queue.buffer().push_back(static_cast<char>((appended + i) % 251));
          appended += size;
          break;
        }
        case 2:
          newest += below(3);
          queue.gate(Csn(newest), Csn(released));
          if (newest > released) gates.emplace_back(appended, newest);
          break;
        case 3: queue.end_answer(); break;
        case 4: below(2) == 0 ? queue.flush() : void(); break;
        case 5: released = std::min(newest, released + below(3)); break;
      }
      const std::string_view now = queue.sendable(Csn(released));
      ASSERT_GE(now.size(), offered);
      for (std::size_t i = 0; i < now.size(); ++i) ASSERT_EQ(now[i], static_cast<char>((consumed + i) % 251));
      for (const auto& [at, csn] : gates) {
        if (csn > released) {
          ASSERT_LE(consumed + now.size(), at);
        }
      }
      offered = now.size();
      if (!now.empty() && below(3) == 0) {
        const std::size_t taken = 1 + below(now.size());
        queue.consume(taken);
        consumed += taken;
        offered -= taken;
      }
    }
    queue.gate(Csn(newest), Csn(newest));
    EXPECT_EQ(consumed + queue.sendable(Csn(newest)).size(), appended) << "released, all of it goes";
  }
}

}  // namespace
}  // namespace bop::wire::pg
