// When a session is told that something is done: once it is durable, or, if it has chosen so, before.
//
// The choice is the variable bop.durability, or synchronous_commit = off, which is the same in PostgreSQL's
// words (Variables keeps the two together). A session that is `volatile`
//   * hears every answer at once: it may be told, and shown, what a power cut or the end of the process
//     takes back, its own commits and those of others;
//   * appends its commits, and the blocks of values of sequences that it draws, with the flush strategy
//     that it has chosen (bop.flush_strategy, bop/flush.hpp). They are taken back whole or not at
//     all, and never from under something that is durable: the log is a prefix.
// Nobody else notices: an answer of any other session waits at the gate for all that it was computed from,
// also for commits of volatile sessions, and who waits there makes the log write at once what it has held
// back. The session is told so: a NOTICE in the first answer, and bop.durability is a parameter that the
// protocol reports.
#pragma once

#include <optional>

#include <bop/flush.hpp>
#include "base/error.hpp"
#include "session/variables.hpp"

namespace bop::session {

class Durability {
 public:
  // After every change of the variables.
  void read(const Variables& variables);
  // What held for the commit before does not hold for the next statement's answer.
  void begin_statement() noexcept { early_commit_ = false; }
  // A transaction was committed, whose own choice (SET LOCAL) may end with it and holds for its answer.
  void committed() noexcept { early_commit_ = flush_.strategy != aof::FlushStrategy::kSync; }

  // Answers do not wait for the log.
  [[nodiscard]] bool is_early() const noexcept {
    return early_commit_ || flush_.strategy != aof::FlushStrategy::kSync;
  }
  [[nodiscard]] const aof::FlushPolicy& flush() const noexcept { return flush_; }
  // Once after each time that the session became volatile.
  [[nodiscard]] std::optional<Error> take_notice();

 private:
  aof::FlushPolicy flush_;
  bool early_commit_ = false;
  bool told_ = false;
};

}  // namespace bop::session
