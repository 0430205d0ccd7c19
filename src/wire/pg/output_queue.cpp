#include "wire/pg/output_queue.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "wire/pg/protocol.hpp"

namespace bop::wire::pg {

void OutputQueue::gate(Csn csn, Csn released) {
  if (csn <= released) return;
  if (!gates_.empty()) {
    Gate& last = gates_.back();
    if (csn <= last.csn) return;
    if (last.at == buffer_.size()) {
      last.csn = csn;
      return;
    }
  }
  gates_.push_back({buffer_.size(), csn, answer_end_});
}

std::string_view OutputQueue::sendable(Csn released) {
  if (!gates_.empty()) {
    const auto closed = std::ranges::find_if(gates_, [&](const Gate& g) { return g.csn > released; });
    gates_.erase(gates_.begin(), closed);
  }
  std::size_t end = buffer_.size();
  if (!gates_.empty()) {
    const Gate& gate = gates_.front();
    end = gate.at - std::max(gate.answer_end, sent_) <= kMostKeptTogether ? std::max(gate.answer_end, sent_)
                                                                          : gate.at;
  }
  offered_ = std::max(offered_, end);
  return std::string_view(buffer_).substr(sent_, offered_ - sent_);
}

void OutputQueue::consume(std::size_t bytes) {
  sent_ += bytes;
  BOP_ASSERT(sent_ <= buffer_.size() && (gates_.empty() || sent_ <= gates_.front().at));
  if (sent_ == buffer_.size()) {
    if (buffer_.capacity() > kKeptBufferBytes) {
      std::string().swap(buffer_);
    } else {
      buffer_.clear();
    }
  } else if (sent_ >= kOutputFullBytes) {
    buffer_.erase(0, sent_);
  } else {
    return;
  }
  for (Gate& g : gates_) {
    g.at -= sent_;
    g.answer_end -= std::min(g.answer_end, sent_);
  }
  answer_end_ -= std::min(answer_end_, sent_);
  offered_ -= std::min(offered_, sent_);
  sent_ = 0;
}

std::optional<Csn> OutputQueue::held_by() const {
  if (gates_.empty()) return std::nullopt;
  return gates_.front().csn;
}

void OutputQueue::drop_held() {
  if (gates_.empty()) return;
  buffer_.resize(gates_.front().at);
  answer_end_ = std::min(answer_end_, buffer_.size());
  offered_ = std::min(offered_, buffer_.size());
  gates_.clear();
}

}  // namespace bop::wire::pg
