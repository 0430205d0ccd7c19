// The group of one node: what is durable here is committed.
#pragma once

#include <memory>

#include "aof/commit_stream.hpp"
#include "raft/group.hpp"

namespace bop::raft {

// Leader from the start, in a term one above the newest record's. Owns the stream. Appends the no-op of its
// term (database 0), which becomes durable with the first write.
class SingleNodeGroup final : public Group {
 public:
  [[nodiscard]] static Result<std::unique_ptr<SingleNodeGroup>> open(
      std::unique_ptr<aof::CommitStream> stream);

  [[nodiscard]] Result<Lsn> propose(std::span<const aof::RecordInput> batch) override;
  [[nodiscard]] bool must_wait() const noexcept override;
  void on_room(std::move_only_function<void()> callback) override;
  [[nodiscard]] Lsn committed() const noexcept override;
  [[nodiscard]] Lsn durable() const noexcept override;
  [[nodiscard]] Lsn appended() const noexcept override;
  [[nodiscard]] Lsn first() const noexcept override;
  [[nodiscard]] Lsn newest_of(DatabaseId database) const override;
  [[nodiscard]] std::uint64_t retained_bytes() const override;
  [[nodiscard]] std::uint64_t appended_bytes() const override;
  [[nodiscard]] bool is_full() const override;
  void want_committed(Lsn lsn) override;
  [[nodiscard]] std::uint64_t max_batch_bytes() const noexcept override;
  void subscribe(std::move_only_function<void(Lsn)> callback) override;
  [[nodiscard]] Term term() const noexcept override;
  [[nodiscard]] Timeline timeline() const noexcept override;
  [[nodiscard]] bool is_leader() const noexcept override;
  void on_leadership(std::move_only_function<void(const Leadership&)> callback) override;
  void on_failure(std::move_only_function<void(const Error&)> callback) override;
  [[nodiscard]] std::optional<Error> failure() const override;
  void read_index(std::move_only_function<void(Result<Lsn>)> callback) override;
  [[nodiscard]] Result<std::unique_ptr<aof::Reader>> read_from(Lsn from,
                                                               std::optional<DatabaseId> database) override;
  [[nodiscard]] Status trim(Lsn below, bool is_short) override;
  [[nodiscard]] Status wait_committed(Lsn lsn) override;
  [[nodiscard]] Status close() override;

  // The stream itself, for maintain(), on_maintenance() and metrics.
  [[nodiscard]] aof::CommitStream& stream() noexcept { return *stream_; }

 private:
  explicit SingleNodeGroup(std::unique_ptr<aof::CommitStream> stream);
  std::unique_ptr<aof::CommitStream> stream_;
};

}  // namespace bop::raft
