// A node without wires in one thread: log, databases and row stores over a simulated disk.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aof/commit_stream.hpp"
#include "base/assert.hpp"
#include "base/sim.hpp"
#include "base/sim_disk.hpp"
#include "database/database_set.hpp"
#include "raft/single_node_group.hpp"
#include "rowstore/row_store.hpp"

namespace bop::rowstore::testing {

inline std::string text_of(const Error& error) {
  return std::string(info(error.code()).name) + ": " + error.what();
}

struct SimNodeOptions {
  std::string data_dir = "/data";
  std::uint64_t segment_bytes = 1U << 20U;
  std::uint64_t max_unacknowledged = 64U << 20U;
  std::uint64_t log_limit = 512U << 20U;
  RowStoreOptions rows;
  aof::CodecOptions codec;
};

// The disk outlives the node: destroy the node, cut the power, make the next one.
class SimNode {
 public:
  static Result<std::unique_ptr<SimNode>> start(SimScheduler& world, SimDisk& disk,
                                                SimNodeOptions options = {}) {
    auto node = std::unique_ptr<SimNode>(new SimNode(world, disk));
    BOP_TRY(disk.create_directories(options.data_dir + "/log"));
    aof::Options log;
    log.directory = options.data_dir + "/log";
    log.segment_bytes = options.segment_bytes;
    log.max_unacknowledged = options.max_unacknowledged;
    log.write_bytes = 64U << 10U;
    log.max_batch_bytes = 2U << 20U;
    log.late_fence = true;
    log.codec = options.codec;
    log.codec.key_directory = options.data_dir;
    log.reserved_bytes = [raw = node.get(), segment = log.segment_bytes]() -> std::uint64_t {
      return raw->databases_ ? raw->databases_->growth_bytes() + (raw->is_fenced_ ? segment : 0) : 0;
    };
    BOP_LET(stream, aof::CommitStream::open(disk, world.clock(), world.random(), log));
    stream->on_delay([raw = node.get()](std::chrono::nanoseconds delay) {
      raw->executor_->post_after(delay, [raw] { raw->group_->stream().flush_due(); });
    });
    if (stream->recovered().created && stream->is_full())
      return fail(ErrorCode::kDiskFull, "no room for the first segment of a log");
    BOP_LET(group, raft::SingleNodeGroup::open(std::move(stream)));
    node->group_ = std::move(group);
    database::DatabaseSetOptions set;
    set.disk = &disk;
    set.clock = &world.clock();
    set.data_dir = options.data_dir;
    set.group = node->group_.get();
    set.log_limit = options.log_limit;
    options.rows.disk = &disk;
    options.rows.check_room = [raw = node.get()](DatabaseId id, std::uint64_t growth) {
      return raw->databases_ ? raw->databases_->check_room(id, growth) : Status{};
    };
    set.make_rows = [rows = options.rows](
                        database::Database& database,
                        const std::string& directory) -> Result<std::unique_ptr<database::TableEngine>> {
      return RowStore::open(rows, database, directory);
    };
    BOP_LET(databases, database::DatabaseSet::open(std::move(set)));
    node->databases_ = std::move(databases);
    if (auto fenced = node->group_->stream().maintain();
        !fenced && fenced.error().code() != ErrorCode::kDiskFull) {
      return std::unexpected(std::move(fenced).error());
    }
    node->is_fenced_ = true;
    return node;
  }

  ~SimNode() {
    if (databases_) databases_->close();
  }

  [[nodiscard]] database::DatabaseSet& databases() { return *databases_; }
  [[nodiscard]] raft::SingleNodeGroup& group() { return *group_; }
  [[nodiscard]] SimExecutor& executor() { return *executor_; }
  [[nodiscard]] std::shared_ptr<database::Database> database(std::uint32_t id = 1) {
    return databases_->find(DatabaseId(id));
  }
  [[nodiscard]] RowStore& rows(std::uint32_t id = 1) { return static_cast<RowStore&>(database(id)->rows()); }

  // One transaction of statements; the Csn is decided, not durable.
  Result<Csn> transact(const std::vector<std::string>& statements, std::uint32_t id = 1,
                       const aof::FlushPolicy& flush = {}) {
    BOP_LET(writer, rows(id).writer());
    BOP_TRY(writer->begin_write());
    for (const auto& sql : statements) {
      if (auto done = writer->execute(sql); !done) {
        writer->rollback();
        return std::unexpected(done.error());
      }
    }
    writer->set_flush(flush);
    return writer->commit();
  }
  Result<Csn> commit(const std::string& sql, std::uint32_t id = 1) { return transact({sql}, id); }

  // The first column of the first row, by a reader's newest snapshot.
  Result<std::string> read(const std::string& sql, std::uint32_t id = 1) {
    BOP_LET(reader, rows(id).try_borrow_reader());
    BOP_TRY(reader->begin_read());
    BOP_LET(statement, reader->prepare(sql));
    const int code = sqlite3_step(statement.get());
    if (code == SQLITE_DONE) return std::string();
    if (code != SQLITE_ROW) return std::unexpected(reader->sqlite_error(code));
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), 0));
    return std::string(text == nullptr ? "" : text);
  }

  Status wait_durable() { return group_->wait_committed(group_->appended()); }

  Result<Lsn> checkpoint(std::uint32_t id = 1) {
    std::optional<Result<Lsn>> outcome;
    rows(id).checkpoint(*executor_, [&](Result<Lsn> base) { outcome = std::move(base); });
    if (!world_.run_until([&] { return outcome.has_value(); }))
      return fail(ErrorCode::kInternal, "checkpoint hangs");
    return *outcome;
  }
  Status checkpoint_all() {
    std::optional<Status> outcome;
    databases_->checkpoint_all(*executor_, [&](Status status) { outcome = std::move(status); });
    if (!world_.run_until([&] { return outcome.has_value(); }))
      return fail(ErrorCode::kInternal, "checkpoint hangs");
    return *outcome;
  }

 private:
  SimNode(SimScheduler& world, SimDisk& disk)
      : world_(world), disk_(disk), executor_(std::make_unique<SimExecutor>(world)) {}
  SimScheduler& world_;
  SimDisk& disk_;
  std::unique_ptr<SimExecutor> executor_;
  std::unique_ptr<raft::SingleNodeGroup> group_;
  std::unique_ptr<database::DatabaseSet> databases_;
  bool is_fenced_ = false;
};

}  // namespace bop::rowstore::testing

#define BOP_OK(expression)                                                                \
  do {                                                                                    \
    auto&& bop_ok = (expression);                                                         \
    ASSERT_TRUE(bop_ok.has_value()) << ::bop::rowstore::testing::text_of(bop_ok.error()); \
  } while (false)
