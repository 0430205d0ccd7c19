// An unconditional put of a large body in parts, several at a time; private to RetryingStore.
//
//   begin -> parts (each a call of its own, made again by itself) -> complete -> done
//
// A lost answer to the completion shows as an upload that does not exist any more: then all is sent anew, as
// an unconditional put may be. An upload that ends otherwise is dropped, as well as that is possible: what a
// process leaves behind when it ends, a rule of the bucket's has to remove (docs/objstore.md).
#pragma once

#include "objstore/operation.hpp"

namespace bop::objstore {

class PartsOperation final : public Operation {
 public:
  PartsOperation(std::string key, Body body, CallOptions options, std::string stamp, Status good,
                 Completion<ObjectMeta> done);

 private:
  Status check() const override { return good_; }
  std::uint64_t claim_bytes() const override { return 0; }  // its parts claim
  void send() override {}
  void start() override { begin_upload(); }
  void tell(Error error) override { done_(std::unexpected(std::move(error))); }
  void at_end() override;

  void begin_upload();
  void send_parts();
  void send_part(std::size_t number);
  void complete();
  // Makes a call that is a step of this one; `then` is told its answer unless this has ended.
  template <class T, class Issue, class Then>
  void step(std::uint64_t bytes, Issue issue, Then then);
  [[nodiscard]] Body part_of(std::size_t number) const;

  const Body body_;
  const std::string stamp_;
  const Status good_;
  Completion<ObjectMeta> done_;
  std::string upload_;
  bool has_upload_ = false;
  std::vector<PartTag> tags_;
  std::size_t next_ = 0, sending_ = 0, sent_ = 0;
  std::vector<std::weak_ptr<Operation>> steps_;
};

}  // namespace bop::objstore
