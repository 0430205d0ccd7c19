#include "session/durability.hpp"

namespace bop::session {

namespace {

aof::FlushStrategy strategy_of(std::string_view name) {
  using enum aof::FlushStrategy;
  return name == "batched"    ? kBatched
         : name == "periodic" ? kPeriodic
         : name == "async"    ? kAsync
                              : kBatchedOrPeriodic;
}

}  // namespace

void Durability::read(const Variables& variables) {
  if (variables.get("bop.durability") != "volatile") {
    flush_ = {};
    told_ = false;
    return;
  }
  flush_.strategy = strategy_of(variables.get("bop.flush_strategy"));
  flush_.records = static_cast<std::uint32_t>(variables.get_int("bop.flush_records"));
  flush_.interval = std::chrono::milliseconds(variables.get_int("bop.flush_interval"));
}

std::optional<Error> Durability::take_notice() {
  if (told_ || flush_.strategy == aof::FlushStrategy::kSync) return std::nullopt;
  told_ = true;
  return error(ErrorCode::kNotice,
               "this session is volatile: it is told that a commit is done before the commit is durable")
      .detail(
          "What it was told and shown may be lost when the node, or its machine, ends suddenly; each transaction is "
          "lost whole or not at all.")
      .hint("SET bop.durability = durable ends that.");
}

}  // namespace bop::session
