// A simulated node, what is done to it, and what must be true of it afterwards: DESIGN's promises.
//
//   * Every commit that was acknowledged (its Csn released by the output gate) is there after a start.
//   * What is there is a state that was executed, whole: balances, ledger, tables that came and went.
//   * Pages match their checksums and SQLite's integrity check passes.
//   * No sequence hands out an acknowledged value again.
//   * A database whose creation was acknowledged is there, one whose removal was acknowledged is not; of one
//     whose row is there everything else holds, whatever became of its files.
//   * A snapshot shows its own state for as long as it is held, or says why it cannot.
//   * A log that failed leaves what is committed readable, and shows nothing else.
//
// An action answers false when the node refused it; `refusal` says why. Nothing here draws a random number
// but from the life's own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rowstore/sim_node.hpp"
#include "sim/model.hpp"

namespace bop::sim {

using rowstore::testing::SimNode;
using rowstore::testing::SimNodeOptions;

// What happened, so that a test can prove that it does what it says.
struct Totals {
  std::uint64_t commits = 0, acknowledged = 0, parts = 0, schema_changes = 0, bases = 0, trims = 0;
  std::uint64_t wal_restarts = 0, shrinks = 0, created = 0, dropped = 0, rewinds = 0, snapshots = 0;
  std::uint64_t retreats = 0, kills = 0, closes = 0, cuts = 0, start_cuts = 0, faults = 0;
  std::uint64_t kills_after_faults = 0, full = 0, full_starts = 0;

  void add(const Totals& other);
};

class Life {
 public:
  Life(std::uint64_t seed, SimNodeOptions options, SimDiskOptions disk_options, Totals& totals);
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  [[nodiscard]] SimDisk& disk() noexcept { return disk_; }
  [[nodiscard]] SimScheduler& world() noexcept { return world_; }
  [[nodiscard]] SimRandom& random() noexcept { return random_; }
  [[nodiscard]] SimNode* node() noexcept { return node_.get(); }
  // The newest refusal of an action.
  [[nodiscard]] const std::optional<Error>& refusal() const noexcept { return refusal_; }
  void forget_refusal() { refusal_.reset(); }
  // Faults that struck since the last start.
  [[nodiscard]] std::uint64_t faults() const { return disk_.faults_struck() - faults_before_; }

  // A start, with the databases that the system's list names. False: it was refused.
  bool start();
  // A start that must succeed, on a disk without faults, and all that must be true then.
  void start_and_check();
  void check();

  // The node is gone; faults of the disk stay. A cut takes the power; a kill only the process, so what it had
  // in flight happens.
  void cut();
  void kill();
  // In order, as far as that goes.
  void close();

  // Databases that are listed, their tables made, and not on their way out.
  [[nodiscard]] std::vector<std::uint32_t> usable() const;
  // One that is listed and has no tables.
  [[nodiscard]] std::optional<std::uint32_t> without_tables() const;
  [[nodiscard]] std::size_t listed() const { return models_.size(); }

  bool make_system_tables();
  bool create_database();
  bool drop_database(std::uint32_t id);
  bool make_tables(std::uint32_t id);
  bool change(std::uint32_t id, SimRandom& dice, bool large = false);
  bool roll_back(std::uint32_t id, SimRandom& dice);
  bool draw(std::uint32_t id, SimRandom& dice);
  bool restart_sequence(std::uint32_t id);
  void begin_checkpoint(std::uint32_t id);
  bool checkpoint(std::uint32_t id);
  bool discard_and_rewind(std::uint32_t id);
  // A snapshot that is held and looked at later; the oldest is let go when there are three.
  bool hold_snapshot(std::uint32_t id);
  void look_at_snapshots();
  void let_snapshots_go() { held_.clear(); }
  bool wait_durable();
  // What a node does every second.
  void tick();
  void run(std::uint64_t steps);

  // Nothing can be written: what is committed is there, what ran ahead of the log is not.
  void go_on_reading();
  // On a disk without faults: whatever the design says goes on by itself does.
  void go_on();

 private:
  struct Model {
    bool tables = false;        // were committed, perhaps not acknowledged
    bool tables_acked = false;  // ... and acknowledged
    bool row_acked = false;     // of the system's list
    bool dropping = false;      // its row was deleted, perhaps not durably
    bool drop_acked = false;
    std::vector<State> states;  // after transaction n; [0] = after the tables were made
    std::size_t acked = 0;      // newest acknowledged transaction
    std::int64_t acked_value = 0;
  };
  struct Held {
    std::uint32_t id;
    std::string text;
    rowstore::ReaderLease lease;
  };

  bool refuse(const Error& why);
  template <class T>
  bool refuse(const Result<T>& result) {
    return result.has_value() || refuse(result.error());
  }
  void stop();
  [[nodiscard]] bool is_listed(std::uint32_t id) const;
  // `then` runs when the gate has reached `csn`, with the gate's error when it never will.
  void when_released(Csn csn, std::move_only_function<void(Status)> then);
  // `decided_`: the log has it, also when this fails.
  Result<Csn> commit(std::uint32_t id, const std::vector<std::string>& statements,
                     std::uint32_t vacuum_pages);
  void check_database(std::uint32_t id, Model& model);
  // The state that new readers see is one that was executed, not older than `least`: its number.
  void expect_state(std::uint32_t id, const Model& model, std::size_t& found);
  void note_wal(std::uint32_t id);

  Totals& totals_;
  SimRandom random_;
  SimScheduler world_;
  SimDisk disk_;
  SimNodeOptions options_;
  std::unique_ptr<SimNode> node_;
  std::map<std::uint32_t, Model> models_{{1, {}}};
  std::map<std::uint32_t, std::shared_ptr<database::Database>> prepared_;
  std::vector<Held> held_;
  std::map<std::uint32_t, std::uint64_t> wal_frames_;
  std::optional<Error> refusal_;
  bool decided_ = false;
  std::uint64_t faults_before_ = 0;
  Lsn first_;
};

}  // namespace bop::sim
