#pragma once

#include <string_view>

namespace bop::sql {

// Shows where all sequences stand; only the text that a sequence becomes in FROM may read it.
inline constexpr std::string_view kSequenceStates = "bop_sequence_state";

}  // namespace bop::sql
