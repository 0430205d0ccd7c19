// A checkpoint (rules 5 and 6), as tasks of a background executor:
//
//   begin     when the WAL is full: enter the writer lane first
//   pin       append a marker M, open a reader (the pin) at or after the last commit before M
//   (gate)    wait until M and the pin's snapshot are committed and durable
//   backfill  PASSIVE checkpoint: it cannot pass the pin, so nothing uncommitted reaches the file;
//             if it reached the last commit before M: sync the file
//   (gate)    wait until everything is committed and durable that was in the log after the backfill
//   publish   write the manifest with base M
//
// The second wait: SQLite leaves out a page that has a newer frame behind the pin. Its image in the file is
// older than M, and is made good by the full image in the newer commit's record, if that commit is not lost.
//
// Other readers may hold it back: then the base stays and the next run tries again. A cut anywhere leaves the
// old base valid: every page that was written since has a full image in the log above it.
#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "raft/group.hpp"
#include "rowstore/row_store.hpp"
#include "rowstore/state.hpp"

namespace bop::rowstore {

namespace {

// Ends the wait for the lane of a run that then goes on without it.
Error beside_writer() { return {ErrorCode::kCancelled, "the holder of the lane waits for the checkpoint"}; }

}  // namespace

void RowStore::checkpoint(Executor& background, std::move_only_function<void(Result<Lsn>)> done) {
  auto run = std::make_shared<Run>();
  {
    std::lock_guard lock(state_->mutex);
    if (state_->running) {
      state_->running->done.push_back(std::move(done));
      return;
    }
    run->background = &background;
    run->done.push_back(std::move(done));
    state_->running = run;
  }
  background.post([state = state_, run] { checkpoint_begin(state, run); });
}

void RowStore::checkpoint_begin(const StatePtr& state, const std::shared_ptr<Run>& run) {
  {
    std::lock_guard files(state->files_mutex);
    if (!state->closed && wal_full(*state)) {
      database::LaneRequest request{.session = 0, .description = "emptying the WAL (wal_limit)"};
      auto& lane = state->database.lane();
      const auto entered = lane.enter(std::move(request), *run->background, [state, run](Status granted) {
        checkpoint_lane(state, run, std::move(granted));
      });
      if (!entered.granted) {
        std::lock_guard lock(state->mutex);
        run->lane_wait = entered.ticket;
        if (run->beside_writer) (void)lane.cancel(entered.ticket, beside_writer());
        return;
      }
      run->lane = entered.ticket;
    }
  }
  checkpoint_pin(state, run);
}

void RowStore::checkpoint_beside_writer() {
  std::lock_guard lock(state_->mutex);
  if (!state_->running) return;
  state_->running->beside_writer = true;
  const auto ticket = state_->running->lane_wait;
  if (ticket != 0) (void)state_->database.lane().cancel(ticket, beside_writer());
}

// The wait for the lane is over.
void RowStore::checkpoint_lane(const StatePtr& state, const std::shared_ptr<Run>& run, Status granted) {
  {
    std::lock_guard files(state->files_mutex);
    std::lock_guard lock(state->mutex);
    const auto ticket = std::exchange(run->lane_wait, 0);
    if (granted) run->lane = ticket;
    if (run->beside_writer) granted = {};
  }
  if (!granted) return checkpoint_end(state, run, std::unexpected(std::move(granted).error()));
  checkpoint_pin(state, run);
}

void RowStore::checkpoint_pin(const StatePtr& state, const std::shared_ptr<Run>& run) {
  Csn wait_for;
  Status pinned;
  {
    std::lock_guard files(state->files_mutex);
    pinned = pin_and_wait(*state, *run, wait_for);
    if (!pinned && state->pin) state->pin->rollback();
  }
  if (!pinned) return checkpoint_end(state, run, std::unexpected(std::move(pinned).error()));
  auto go_on = [state, run](Status committed) { checkpoint_backfill(state, run, std::move(committed)); };
  if (state->database.gate().when(wait_for, *run->background, go_on)) go_on({});
}

Status RowStore::pin_and_wait(State& state, Run& run, Csn& wait_for) {
  if (state.closed) return fail(ErrorCode::kAdminShutdown, "the database is closed");
  {
    std::lock_guard lock(state.mutex);
    if (state.sync_failure) return std::unexpected(*state.sync_failure);
  }
  run.instance = state.current();
  if (!run.instance) return fail(ErrorCode::kCannotConnectNow, "the database is not open");
  if (auto why = run.instance->discarded()) return std::unexpected(std::move(*why));
  for (auto* connection : {&state.pin, &state.backfill}) {
    if (*connection && (*connection)->instance_ == run.instance) continue;
    // Without the SQL layer's functions: they run no statements.
    std::unique_ptr<Connection> fresh(new Connection(run.instance, Connection::Role::kReader));
    BOP_TRY(fresh->open({}, {}, 0, 64));
    *connection = std::move(fresh);
  }
  BOP_LET(marker, run.instance->capture().append_marker());
  run.marker = marker;
  // The commit before the marker may be decided and not yet published by the thread that executes it.
  constexpr int kAttempts = 10'000;
  for (int attempt = 0;; ++attempt) {
    BOP_LET(csn, state.pin->begin_read());
    run.pinned = csn;
    if (csn >= marker.last_commit) break;
    state.pin->rollback();
    if (attempt == kAttempts)
      return fail(ErrorCode::kObjectInUse, "commit {} is not published", marker.last_commit.value);
    sqlite3_sleep(1);
  }
  run.sequences = state.database.sequences().save();
  // What is saved may hold sequence records newer than the marker: they have to be durable, too.
  wait_for = std::max({marker.lsn, run.pinned, state.database.port().group().appended()});
  return {};
}

void RowStore::checkpoint_backfill(const StatePtr& state, const std::shared_ptr<Run>& run, Status committed) {
  Result<bool> reached = false;
  Csn wait_for;
  {
    std::lock_guard files(state->files_mutex);
    if (state->closed) {
      reached = fail(ErrorCode::kAdminShutdown, "the database is closed");
    } else if (!committed) {
      reached = std::unexpected(std::move(committed).error());
    } else {
      reached = backfill(*state, *run);
      wait_for = state->database.port().group().appended();
    }
    if (state->pin) state->pin->rollback();
  }
  if (!reached) return checkpoint_end(state, run, std::unexpected(std::move(reached).error()));
  if (!*reached) return checkpoint_end(state, run, Lsn(state->base.load()));
  auto go_on = [state, run](Status released) { checkpoint_publish(state, run, std::move(released)); };
  if (state->database.gate().when(wait_for, *run->background, go_on)) go_on({});
}

void RowStore::checkpoint_publish(const StatePtr& state, const std::shared_ptr<Run>& run, Status committed) {
  Result<Lsn> outcome = Lsn();
  {
    std::lock_guard files(state->files_mutex);
    if (state->closed) {
      outcome = fail(ErrorCode::kAdminShutdown, "the database is closed");
    } else if (!committed) {
      outcome = std::unexpected(std::move(committed).error());
    } else {
      outcome = publish(*state, *run);
    }
  }
  checkpoint_end(state, run, std::move(outcome));
}

// True when the file holds what a base at the marker needs, durably.
Result<bool> RowStore::backfill(State& state, Run& run) {
  if (auto why = run.instance->discarded()) return std::unexpected(std::move(*why));
  int in_wal = 0;
  int done = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(state.backfill->handle(), "main", SQLITE_CHECKPOINT_PASSIVE, &in_wal, &done);
  if (code != SQLITE_OK && code != SQLITE_BUSY) return std::unexpected(state.backfill->sqlite_error(code));
  const std::uint64_t generation = run.instance->capture().generation();
  const bool restarted = generation != run.marker.generation;
  {
    std::lock_guard lock(state.mutex);
    state.backfilled_generation = generation;
    state.backfilled_frames = static_cast<std::uint32_t>(std::max(done, 0));
  }
  // Also when the base stays: the pin still keeps the WAL from being restarted over frames that only the file
  // would hold then.
  if (auto synced = run.instance->file().sync(); !synced) {
    return std::unexpected(stop_writing(state, synced.error()));
  }
  // A WAL that was restarted since the marker had been brought into the file whole.
  if (!restarted && static_cast<std::uint32_t>(std::max(done, 0)) < run.marker.frame) return false;
  if (run.marker.lsn <= state.manifest.base) return false;

  return true;
}

Result<Lsn> RowStore::publish(State& state, Run& run) {
  if (auto why = run.instance->discarded()) return std::unexpected(std::move(*why));
  Manifest next = state.manifest;
  ++next.generation;
  next.timeline = state.database.port().group().timeline();
  next.pages = run.marker.pages;
  next.base = run.marker.lsn;
  next.last_commit = run.marker.last_commit;
  next.sequences = run.sequences;
  if (auto written = write_manifest(*state.options.disk, state.directory, state.database.id(), next);
      !written) {
    if (written.error().code() == ErrorCode::kDiskFull) return std::unexpected(std::move(written).error());
    return std::unexpected(stop_writing(state, written.error()));
  }
  keep_room_for_manifests(*state.options.disk, state.directory, next);
  state.manifest = std::move(next);
  state.base = state.manifest.base.value;
  std::lock_guard lock(state.mutex);
  ++state.checkpoints;
  return state.manifest.base;
}

// A sync failed, or a write of the manifest. Final: a later sync that succeeds would say nothing about the
// bytes of this one, nor would a read. The old base stays true, and readers take the pages of this run from
// the WAL, which the pin has kept.
Error RowStore::stop_writing(State& state, const Error& cause) {
  const Error why =
      error(ErrorCode::kPoisoned, "database {} cannot be written since its files could not be: {}",
            state.database.id().value, cause.what())
          .hint("Reads of committed data go on. Check the disk, then restart the node.");
  {
    std::lock_guard lock(state.mutex);
    state.sync_failure = why;
    state.retreating = true;
  }
  log_error("a database takes no more writes", why);
  const Status done = retreat_to(state, std::nullopt, why);
  {
    std::lock_guard lock(state.mutex);
    state.retreating = false;
  }
  serve_waiting(state);
  return done ? why : done.error();
}

void RowStore::checkpoint_end(const StatePtr& state, const std::shared_ptr<Run>& run, Result<Lsn> outcome) {
  if (run->lane != 0) {
    std::lock_guard files(state->files_mutex);
    if (!state->closed) state->database.lane().leave(std::exchange(run->lane, 0));
  }
  std::vector<Done> done;
  {
    std::lock_guard lock(state->mutex);
    if (state->running == run) state->running.reset();
    done.swap(run->done);
  }
  for (auto& each : done) each(outcome);
}

}  // namespace bop::rowstore
