// Bytes on their way to the client, some of them behind the output gate (rule 3 of the commit path).
//
// One buffer and a short list of gates: everything appended after `gate(csn)` is held until the log is
// committed up to csn. The usual gate is released already and costs a compare. A gate stands between two
// messages, so that the bytes before it are a whole number of messages.
//
// What little of an answer stands before a gate (the rows of a statement whose commit is under way) waits for
// the rest: one packet, for which the client wakes once. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace bop::wire::pg {

class OutputQueue {
 public:
  [[nodiscard]] std::string& buffer() noexcept { return buffer_; }

  void gate(Csn csn, Csn released);
  void end_answer() noexcept { answer_end_ = buffer_.size(); }
  // The client asks for what there is.
  void flush() noexcept {
    end_answer();
    for (Gate& gate : gates_) gate.answer_end = gate.at;
  }
  // What may be sent now. Valid until the next append.
  [[nodiscard]] std::string_view sendable(Csn released);
  void consume(std::size_t bytes);
  // The commit that the oldest held bytes wait for.
  [[nodiscard]] std::optional<Csn> held_by() const;
  // Forgets what is held back: the log will never commit it.
  void drop_held();
  [[nodiscard]] std::size_t unsent() const noexcept { return buffer_.size() - sent_; }
  [[nodiscard]] std::size_t capacity() const noexcept {
    return buffer_.capacity() + gates_.capacity() * sizeof(Gate);
  }

 private:
  struct Gate {
    std::size_t at;  // in buffer_
    Csn csn;
    std::size_t answer_end;  // the last one before it
  };
  std::string buffer_;
  std::size_t sent_ = 0;
  std::size_t answer_end_ = 0;
  std::size_t offered_ = 0;  // the furthest end of what was sendable: a TLS record is never offered less
  std::vector<Gate> gates_;  // `at` and `csn` both grow
};

}  // namespace bop::wire::pg
