// A disk in memory that loses, keeps, tears and reorders what a power cut may, by a seed.
//
// Every file has two states: what reads see now, and what would still be there after a power cut.
//   * `write_at` and `prewrite` change the first; each 512-byte sector written since the last successful sync
//     becomes, at a power cut, any of its versions since then, independently of its neighbours. The size of
//     the file likewise; a truncation that does not survive takes later writes behind it with it.
//   * `write_durable` changes both when it completes, some steps after it was submitted and in any order with
//     others. In flight at a power cut, each of its sectors independently has happened or not.
//   * A name (create, rename, remove) changed since `sync_directory` of its folder survives or not, each
//   change
//     by itself; a rename is one change, of the folder of its target. Folders are durable when made, as on
//     SystemDisk.
// Beyond power cuts: a call can be made to fail, durable writes can stall, space can run out, bits can flip
// and sectors become unreadable. Every random choice comes from the seed given to the constructor, so the
// same calls give the same disk.
//
// A stall (kStall) is measured by the clock of the world that the disk is attached to: a call that waits for
// the disk moves the clock, as nothing else of one thread can happen meanwhile; a durable write completes
// when somebody else has moved it far enough, or when all that is left is to wait for the write.
//
// Completions run from poll() and wait() only; one poll is one step. All calls are thread-safe; a simulation
// that wants repeatable results makes them from one thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.hpp"
#include "base/sim.hpp"
#include "base/sim_file.hpp"

namespace bop {

enum class SimFault : std::uint8_t {
  kNone,
  kIo,          // EIO; a write may have happened in part
  kDiskFull,    // ENOSPC; nothing happened
  kShort,       // part of the write happened, then ENOSPC
  kFailedSync,  // what was to be synced is unknown and later syncs do not repair it
  kStall,  // nothing fails: the call, or the completion of a durable write, comes SimDiskOptions::stall late
};

struct SimDiskOptions {
  std::uint64_t capacity_bytes =
      0;  // of all file sizes in blocks of 4096, one of which a new name takes; 0 = unlimited
  std::uint32_t longest_delay = 4;  // a durable write completes 1 to this many steps after its submission
  std::size_t trace_length = 64;    // operations remembered; 0 turns tracing off
  std::chrono::nanoseconds stall = std::chrono::seconds(30);  // of kStall, in simulated time
};

class SimDisk final : public Disk {
 public:
  explicit SimDisk(std::uint64_t seed, SimDiskOptions options = {});
  // Every File and DiskLock may outlive the disk; they answer kIo then.
  ~SimDisk() override;

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Status remove(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status create_directories(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
  Result<std::unique_ptr<DiskLock>> lock(const std::string& path) override;
  std::size_t poll() override;
  std::size_t wait() override;
  int event_fd() const noexcept override { return -1; }
  std::string_view kind() const noexcept override { return "simulated"; }

  // The power goes and comes back. Files, locks and handles of before are dead (kIo), completions in flight
  // are dropped without running.
  void power_cut();
  // The process is killed and starts again: as above, but the machine stays up, so nothing written is lost
  // and durable writes in flight happen.
  void process_kill();
  [[nodiscard]] std::uint64_t power_cuts() const noexcept { return power_cuts_; }

  // Calls are counted from 1: every call of File and Disk that reaches the disk (not poll, wait, event_fd).
  [[nodiscard]] std::uint64_t io_calls() const;
  // The k-th call from now (1 = the next) fails so; kFailedSync counts syncs only, kShort and kDiskFull
  // strike the next write from there. `sticky`: so do all like it after it, until clear_faults.
  void fail_call(std::uint64_t k, SimFault fault, bool sticky = false);
  void fail_path(const std::string& path, SimFault fault);  // every call on this file, until clear_faults
  void clear_faults();
  // Until `false` calls are neither counted nor struck: a test looks.
  void exempt(bool calls);
  // Faults that really struck.
  [[nodiscard]] std::uint64_t faults_struck() const;
  // Durable writes submitted from now on take this many steps longer; those in flight too.
  void stall(std::uint32_t steps);
  void set_capacity(std::uint64_t bytes);
  // The time in which stalls are measured, or null: then they take no time. The clock outlives the disk, or
  // is taken away first.
  void use_clock(SimClock* clock);
  // Rot: flips a bit of what is stored and of what reads see. False if the file does not reach there.
  bool flip_bit(const std::string& path, std::uint64_t offset, unsigned bit);
  // Reads that touch the sector of `offset` fail with kIo until it is written again.
  bool break_sector(const std::string& path, std::uint64_t offset);

  [[nodiscard]] std::size_t in_flight() const;
  // By the clock: before it no durable write in flight completes. The end of time when there is none.
  [[nodiscard]] std::int64_t next_completion_ns() const;
  [[nodiscard]] std::uint64_t used_bytes() const;
  // The newest operations, oldest first, one line each.
  [[nodiscard]] std::vector<std::string> trace() const;

 private:
  friend class SimFile;
  friend class SimLock;
  struct Core;
  std::shared_ptr<Core> core_;
  std::uint64_t power_cuts_ = 0;
};

}  // namespace bop
