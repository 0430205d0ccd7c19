// A simulated node with something in it, and what its tables held at each of its commits.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "backup/back_up.hpp"
#include "backup/restore.hpp"
#include "base/whole_file.hpp"
#include "rowstore/sim_node.hpp"

namespace bop::backup::testing {

using rowstore::testing::SimNode;
using rowstore::testing::SimNodeOptions;
using rowstore::testing::text_of;

class SimBackup : public ::testing::Test {
 protected:
  SimBackup() : disk(11), world(11) { world.attach(disk); }
  ~SimBackup() override {
    node.reset();
    world.detach(disk);
  }

  void start(SimNodeOptions options = {}) {
    node.reset();
    options.codec = codec;
    auto started = SimNode::start(world, disk, options);
    ASSERT_TRUE(started.has_value()) << text_of(started.error());
    node = std::move(*started);
    if (options.data_dir == "/data") BOP_OK(write_whole_file(disk, "/data", "format", "bop 1\n"));
  }
  // Two databases, the first with about `pages` pages.
  void fill(int pages) {
    for (const std::uint32_t id : {1U, 2U}) {
      if (!node->database(id)) BOP_OK(node->databases().create_database(DatabaseId(id), "d"));
      BOP_OK(node->commit("CREATE TABLE t(a INTEGER PRIMARY KEY, b)", id));
    }
    for (int i = 0; i < pages; ++i)
      BOP_OK(node->commit("INSERT INTO t VALUES(" + std::to_string(i) + ", randomblob(3500))"));
    note();
    BOP_OK(node->wait_durable());
    BOP_OK(node->checkpoint(1));
    BOP_OK(node->checkpoint(2));
  }
  std::string state(SimNode& of) {
    const std::string sql =
        "SELECT count(*) || ' ' || coalesce(sum(a), 0) || ' ' || coalesce(sum(length(b) + unicode(hex(b))), 0) FROM t";
    const auto one = of.read(sql, 1);
    const auto two = of.read(sql, 2);
    return one && two ? *one + " / " + *two : "?";
  }
  // The state of this moment is that of every CSN from now on.
  void note() { states[node->group().appended()] = state(*node); }
  // A little of everything in both databases.
  void work() {
    ++round;
    const std::string n = std::to_string(round);
    BOP_OK(
        node->commit("UPDATE t SET b = randomblob(3000 + " + n + " % 700) WHERE a % 17 = " + n + " % 17", 1));
    note();
    BOP_OK(node->commit("INSERT INTO t VALUES(100000 + " + n + ", randomblob(900))", 2));
    note();
    if (round % 5 == 0) BOP_OK(node->commit("DELETE FROM t WHERE a IN (SELECT max(a) FROM t)", 1));
    note();
    BOP_OK(node->wait_durable());
    if (round % 3 == 0) {
      BOP_OK(node->checkpoint(1 + round % 2));
      BOP_OK(node->databases().trim());
    }
  }
  [[nodiscard]] std::string state_at(Lsn csn) const {
    const auto after = states.upper_bound(csn);
    return after == states.begin() ? "none" : std::prev(after)->second;
  }

  BackupOptions options() {
    return {.disk = &disk,
            .clock = &world.clock(),
            .data_dir = "/data",
            .directory = directory,
            .label_bytes = 1U << 20U,
            .progress = {},
            .log_key = codec.by};
  }
  Result<RestoreReport> restore_to(const std::string& data_dir, std::optional<Lsn> to = {}) {
    return restore({.disk = &disk,
                    .clock = &world.clock(),
                    .random = &world.random(),
                    .directory = directory,
                    .data_dir = data_dir,
                    .to = to});
  }
  // Restores, starts a node there twice and compares.
  void expect_restored(const std::string& data_dir, std::optional<Lsn> to = {}) {
    const auto done = restore_to(data_dir, to);
    ASSERT_TRUE(done.has_value()) << text_of(done.error());
    EXPECT_LE(done->csn, to.value_or(done->csn));
    for (int start = 0; start < 2; ++start) {
      auto copy = SimNode::start(world, disk, {.data_dir = data_dir, .rows = {}, .codec = codec});
      ASSERT_TRUE(copy.has_value()) << text_of(copy.error());
      EXPECT_EQ(state(**copy), state_at(done->csn)) << "CSN " << done->csn.value;
      EXPECT_EQ((*copy)->read("PRAGMA integrity_check", 1), "ok");
      EXPECT_EQ((*copy)->read("PRAGMA integrity_check", 2), "ok");
      BOP_OK((*copy)->rows(1).verify());
      EXPECT_GT((*copy)->group().timeline().value, done->timeline.value);
    }
  }

  aof::CodecOptions codec;  // of all nodes
  std::string directory = "/backup";
  SimDisk disk;
  SimScheduler world;
  std::unique_ptr<SimNode> node;
  std::map<Lsn, std::string> states;
  int round = 0;
};

}  // namespace bop::backup::testing
