// What must be true of the databases of a simulated node, kept outside of it, and the statements that lead
// there. Everything is drawn from a seed; the bytes of a note can be computed again, so that a stale or torn
// page that is sound in itself is found, too.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/sim.hpp"
#include "rowstore/connection.hpp"

namespace bop::sim {

inline constexpr std::uint64_t kAccounts = 12;

// Tables that come and go: a number of columns and rows each.
struct Side {
  std::uint64_t columns = 2;
  std::uint64_t rows = 0;
};

// One state of a database.
struct State {
  std::array<std::int64_t, kAccounts> balances{};
  std::uint64_t entries = 0;  // of the ledger, one a transaction, numbered from 1
  std::uint64_t tags = 0;     // their sum: one more for every entry that was rewritten
  std::map<int, Side> sides;

  [[nodiscard]] std::string text() const;
};

// The statements of a transaction, and the state after them.
struct Change {
  std::vector<std::string> statements;
  State after;
  std::uint32_t vacuum_pages = 0;  // 0: no step of a vacuum
};

// Functions that the statements call; for RowStoreOptions::on_open.
[[nodiscard]] Status register_functions(rowstore::Connection& connection);

// The tables, in their first state.
[[nodiscard]] std::vector<std::string> first_statements();
[[nodiscard]] State first_state();
// `large`: travels in parts.
[[nodiscard]] Change draw_change(SimRandom& random, const State& before, bool large = false);
// Statements whose pages move and grow, for a transaction that is rolled back.
[[nodiscard]] std::vector<std::string> draw_noise(SimRandom& random);

// The state that a connection sees in its transaction: State::text of it, or what is wrong with it.
[[nodiscard]] Result<std::string> look(rowstore::Connection& connection);

}  // namespace bop::sim
