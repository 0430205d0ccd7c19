// Everything of a node below its wires: disk, commit stream, group, databases, sessions' node; opened in this
// order, closed in the reverse one. The one place that knows how they fit together.
//
// Open it before the reactors run: recovery drives the disk itself. Then the first reactor does (attach).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/asio_executor.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/settings.hpp"
#include "database/database_set.hpp"
#include "raft/single_node_group.hpp"
#include "session/node.hpp"

namespace bop::server {

class Storage {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Storage>> open(
      const Settings& settings, Disk& disk, const std::string& data_dir, const std::string& log_dir,
      const aof::StreamIdentity& log_identity, const std::string& scratch_dir,
      const std::string& admin_password, Executor& background);
  ~Storage();

  // Starts the work that comes back every second: preparing segments, checkpoints, trimming.
  void start();
  // Reads the key that wraps the log's data keys again and, when it has changed, wraps them anew (SIGHUP).
  void reload_log_key();
  // A checkpoint of everything, then closes databases and log. No session may be left. False: the checkpoint
  // did not end within `most` and nothing was closed; the process may end as it is, the next start replays
  // more of the log.
  [[nodiscard]] Result<bool> close(std::chrono::milliseconds most);

  [[nodiscard]] session::Node& node() noexcept { return *node_; }
  [[nodiscard]] database::DatabaseSet& databases() noexcept { return *databases_; }
  [[nodiscard]] raft::SingleNodeGroup& group() noexcept { return *group_; }
  // Why the node cannot write any more.
  [[nodiscard]] std::optional<Error> failure() const { return databases_->failure(); }
  [[nodiscard]] const std::string& recovery_verdict() const noexcept { return verdict_; }

 private:
  explicit Storage(Executor& background) : background_(background) {}
  void tick();
  void maintain();

  Executor& background_;
  Disk* disk_ = nullptr;       // where log_key_place_ is set
  std::string log_key_place_;  // log_encryption_key_file
  std::unique_ptr<raft::SingleNodeGroup> group_;
  std::unique_ptr<database::DatabaseSet> databases_;
  std::atomic<const database::DatabaseSet*> open_databases_{nullptr};  // for the log, which opens before them
  // The log has been given the segment that it begins with, if there is room.
  std::atomic<bool> is_fenced_ = false;
  std::unique_ptr<session::Node> node_;
  std::string verdict_;
  std::atomic<bool> closing_ = false;
  std::atomic<bool> maintenance_posted_ = false;
};

}  // namespace bop::server
