#include "raft/single_node_group.hpp"

#include <array>
#include <utility>

namespace bop::raft {

SingleNodeGroup::SingleNodeGroup(std::unique_ptr<aof::CommitStream> stream) : stream_(std::move(stream)) {}

Result<std::unique_ptr<SingleNodeGroup>> SingleNodeGroup::open(std::unique_ptr<aof::CommitStream> stream) {
  stream->set_term(Term(stream->recovered().last_term.value + 1));
  const std::array noop{aof::RecordInput{.database = DatabaseId(0), .kind = aof::RecordKind::kNoop}};
  if (auto lsn = stream->append(noop); !lsn.has_value() && lsn.error().code() != ErrorCode::kDiskFull) {
    return std::unexpected(std::move(lsn).error());
  }
  return std::unique_ptr<SingleNodeGroup>(new SingleNodeGroup(std::move(stream)));
}

Result<Lsn> SingleNodeGroup::propose(std::span<const aof::RecordInput> batch) {
  return stream_->append(batch);
}
bool SingleNodeGroup::must_wait() const noexcept { return stream_->must_wait(); }
void SingleNodeGroup::on_room(std::move_only_function<void()> callback) {
  stream_->on_room(std::move(callback));
}

Lsn SingleNodeGroup::committed() const noexcept { return stream_->durable(); }
Lsn SingleNodeGroup::durable() const noexcept { return stream_->durable(); }
Lsn SingleNodeGroup::appended() const noexcept { return stream_->appended(); }
Lsn SingleNodeGroup::first() const noexcept { return stream_->first(); }
Lsn SingleNodeGroup::newest_of(DatabaseId database) const { return stream_->newest_of(database); }
std::uint64_t SingleNodeGroup::retained_bytes() const { return stream_->retained_bytes(); }
std::uint64_t SingleNodeGroup::appended_bytes() const {
  return stream_->metrics().record_bytes.load(std::memory_order_relaxed);
}
bool SingleNodeGroup::is_full() const { return stream_->is_full(); }
void SingleNodeGroup::want_committed(Lsn lsn) { stream_->want_durable(lsn); }
std::uint64_t SingleNodeGroup::max_batch_bytes() const noexcept { return stream_->max_batch_bytes(); }
void SingleNodeGroup::subscribe(std::move_only_function<void(Lsn)> callback) {
  stream_->subscribe(std::move(callback));
}

Term SingleNodeGroup::term() const noexcept { return stream_->term(); }
Timeline SingleNodeGroup::timeline() const noexcept { return stream_->timeline(); }
bool SingleNodeGroup::is_leader() const noexcept { return true; }
// Leadership never changes in a group of one: there is nothing to call back for.
void SingleNodeGroup::on_leadership(std::move_only_function<void(const Leadership&)>) {}

void SingleNodeGroup::on_failure(std::move_only_function<void(const Error&)> callback) {
  stream_->on_failure(std::move(callback));
}
std::optional<Error> SingleNodeGroup::failure() const { return stream_->failure(); }

void SingleNodeGroup::read_index(std::move_only_function<void(Result<Lsn>)> callback) {
  callback(committed());
}

Result<std::unique_ptr<aof::Reader>> SingleNodeGroup::read_from(Lsn from,
                                                                std::optional<DatabaseId> database) {
  return stream_->read_from(from, database);
}
Status SingleNodeGroup::trim(Lsn below, bool is_short) { return stream_->trim(below, is_short); }
Status SingleNodeGroup::wait_committed(Lsn lsn) { return stream_->wait_durable(lsn); }
Status SingleNodeGroup::close() { return stream_->close(); }

}  // namespace bop::raft
