#include "sim/life.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace bop::sim {

using rowstore::testing::text_of;

namespace {

constexpr std::uint32_t kSystem = 1;
constexpr Oid kSequence = 16500;
constexpr std::size_t kMostHeld = 3;

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

void Totals::add(const Totals& other) {
  commits += other.commits, acknowledged += other.acknowledged, parts += other.parts;
  schema_changes += other.schema_changes, bases += other.bases, trims += other.trims;
  wal_restarts += other.wal_restarts, shrinks += other.shrinks, created += other.created;
  dropped += other.dropped, rewinds += other.rewinds, snapshots += other.snapshots;
  retreats += other.retreats, kills += other.kills, closes += other.closes, cuts += other.cuts;
  start_cuts += other.start_cuts, faults += other.faults, kills_after_faults += other.kills_after_faults;
  full += other.full, full_starts += other.full_starts;
}

Life::Life(std::uint64_t seed, SimNodeOptions options, SimDiskOptions disk_options, Totals& totals)
    : totals_(totals),
      random_(seed * 7919),
      world_(seed),
      disk_(seed, disk_options),
      options_(std::move(options)) {
  world_.attach(disk_);
  options_.rows.on_open = register_functions;
  // SQLite's own random numbers are in the salts of the WAL.
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(seed % 1'000'000'007 + 1),
                       static_cast<sqlite3*>(nullptr));
}

Life::~Life() {
  stop();
  world_.detach(disk_);
}

bool Life::refuse(const Error& why) {
  refusal_ = why;
  return false;
}

// --- life and death ---

void Life::stop() {
  if (!node_) return;
  totals_.faults += faults() != 0 ? 1 : 0;
  totals_.trims += node_->group().first() > first_ ? 1 : 0;
  held_.clear();
  prepared_.clear();
  node_.reset();
}

void Life::cut() {
  stop();
  ++totals_.cuts;
  disk_.power_cut();
}

void Life::kill() {
  ++totals_.kills;
  totals_.kills_after_faults += faults() != 0 ? 1 : 0;
  stop();
  disk_.process_kill();
}

void Life::close() {
  ++totals_.closes;
  held_.clear();
  static_cast<void>(node_->wait_durable());
  world_.run_until_idle();
  std::optional<Status> done;
  node_->databases().checkpoint_all(node_->executor(), [&](Status status) { done = std::move(status); });
  ASSERT_TRUE(world_.run_until([&] { return done.has_value(); })) << "the last checkpoint hangs";
  node_->databases().close();
  const Status closed = node_->group().close();
  if (!closed) refuse(closed.error());
  stop();
}

bool Life::start() {
  BOP_ASSERT(!node_);
  auto started = SimNode::start(world_, disk_, options_);
  if (!started) return refuse(started.error());
  node_ = std::move(*started);
  faults_before_ = disk_.faults_struck();
  first_ = node_->group().first();
  wal_frames_.clear();
  node_->group().stream().on_maintenance(
      [this] { node_->executor().post([this] { static_cast<void>(node_->group().stream().maintain()); }); });
  std::vector<database::DatabaseEntry> entries;
  auto tables = node_->read("SELECT count(*) FROM sqlite_schema WHERE name = 'listed'");
  if (!tables) return refuse(tables.error());
  if (*tables != "0") {
    auto ids = node_->read("SELECT group_concat(id) FROM listed");
    if (!ids) return refuse(ids.error());
    for (std::size_t at = 0; at < ids->size(); at = std::min(ids->find(',', at), ids->size() - 1) + 1) {
      entries.push_back(
          {DatabaseId(static_cast<std::uint32_t>(number_in(std::string_view(*ids).substr(at)))), "d"});
    }
  }
  const Status reconciled = node_->databases().reconcile(entries);
  return reconciled || refuse(reconciled.error());
}

void Life::start_and_check() {
  if (!start()) FAIL() << "the node does not start: " << text_of(*refusal_);
  check();
}

bool Life::is_listed(std::uint32_t id) const { return id == kSystem || node_->database(id) != nullptr; }

void Life::check() {
  for (auto at = models_.begin(); at != models_.end();) {
    auto& [id, model] = *at;
    SCOPED_TRACE("database " + std::to_string(id));
    if (!is_listed(id)) {
      ASSERT_TRUE(!model.row_acked || model.dropping) << "an acknowledged database is gone";
      at = models_.erase(at);
      continue;
    }
    ASSERT_FALSE(model.drop_acked) << "a dropped database is back";
    model.row_acked = true;
    model.dropping = false;
    ASSERT_NO_FATAL_FAILURE(check_database(id, model));
    ++at;
  }
  for (const auto& database : node_->databases().all()) {
    ASSERT_TRUE(models_.contains(database->id().value))
        << "database " << database->id().value << " was never made";
  }
}

void Life::check_database(std::uint32_t id, Model& model) {
  BOP_OK(node_->rows(id).verify());
  ASSERT_EQ(node_->read("PRAGMA integrity_check", id).value_or("cannot be read"), "ok");
  auto tables = node_->read("SELECT count(*) FROM sqlite_schema WHERE name = 'ledger'", id);
  BOP_OK(tables);
  if (*tables == "0") {
    ASSERT_FALSE(model.tables_acked) << "acknowledged tables are gone";
    model.tables = false;
    model.states.clear();
    return;
  }
  ASSERT_TRUE(model.tables);
  std::size_t n = 0;
  ASSERT_NO_FATAL_FAILURE(expect_state(id, model, n));
  model.states.resize(n + 1);
  model.acked = n;  // durable now, and shown
  model.tables_acked = true;
}

void Life::expect_state(std::uint32_t id, const Model& model, std::size_t& found) {
  auto reader = node_->rows(id).try_borrow_reader();
  BOP_OK(reader);
  BOP_OK((*reader)->begin_read());
  auto seen = look(**reader);
  BOP_OK(seen);
  auto statement = (*reader)->prepare("SELECT count(*) FROM ledger");
  BOP_OK(statement);
  ASSERT_EQ(sqlite3_step(statement->get()), SQLITE_ROW);
  found = static_cast<std::size_t>(sqlite3_column_int64(statement->get(), 0));
  ASSERT_GE(found, model.acked) << "acknowledged commits are lost";
  ASSERT_LT(found, model.states.size());
  ASSERT_EQ(*seen, model.states[found].text()) << "torn at transaction " << found;
}

// --- actions ---

void Life::when_released(Csn csn, std::move_only_function<void(Status)> then) {
  auto both = std::make_shared<std::move_only_function<void(Status)>>(std::move(then));
  const auto run = [both](Status status) { (*both)(std::move(status)); };
  if (node_->databases().gate().when(csn, node_->executor(), run)) (*both)({});
}

std::vector<std::uint32_t> Life::usable() const {
  std::vector<std::uint32_t> ids;
  for (const auto& [id, model] : models_) {
    if (model.tables && !model.dropping && is_listed(id)) ids.push_back(id);
  }
  return ids;
}

std::optional<std::uint32_t> Life::without_tables() const {
  for (const auto& [id, model] : models_) {
    if (!model.tables && !model.dropping && is_listed(id)) return id;
  }
  return std::nullopt;
}

bool Life::make_system_tables() {
  auto csn = commit(kSystem,
                    {"CREATE TABLE IF NOT EXISTS listed(id INTEGER PRIMARY KEY)",
                     "CREATE TABLE IF NOT EXISTS counter(next)",
                     "INSERT INTO counter SELECT 2 WHERE NOT EXISTS (SELECT 1 FROM counter)"},
                    0);
  return refuse(csn);
}

bool Life::make_tables(std::uint32_t id) {
  auto csn = commit(id, first_statements(), 0);
  if (csn || decided_) {
    models_[id].tables = true;
    models_[id].states.assign(1, first_state());
  }
  if (!csn) return refuse(csn.error());
  when_released(*csn, [this, id](Status status) {
    if (const auto known = models_.find(id); status && known != models_.end())
      known->second.tables_acked = true;
  });
  return true;
}

// As CREATE DATABASE: the files inside the transaction that writes the row, shown once the row is durable.
bool Life::create_database() {
  const auto made = [&]() -> Result<std::pair<std::uint32_t, Csn>> {
    BOP_LET(writer, node_->rows().writer());
    BOP_TRY(writer->begin_write());
    const auto prepare = [&]() -> Result<std::uint32_t> {
      std::uint32_t next = 0;
      {
        BOP_LET(statement, writer->prepare("SELECT next FROM counter"));
        const int code = sqlite3_step(statement.get());
        if (code != SQLITE_ROW) return std::unexpected(writer->sqlite_error(code));
        next = static_cast<std::uint32_t>(sqlite3_column_int64(statement.get(), 0));
      }
      BOP_TRY(writer->execute("UPDATE counter SET next = next + 1"));
      BOP_TRY(writer->execute(fmt::format("INSERT INTO listed VALUES({})", next)));
      BOP_LET(database, node_->databases().prepare_database(DatabaseId(next), "d"));
      prepared_[next] = std::move(database);
      return next;
    };
    auto id = prepare();
    if (!id) {
      writer->rollback();
      return std::unexpected(id.error());
    }
    const std::uint64_t commits = node_->rows().numbers().commits;
    auto csn = writer->commit();
    if (node_->rows().numbers().commits > commits) models_.emplace(*id, Model{});
    if (!csn) {
      node_->databases().discard(prepared_[*id]);
      prepared_.erase(*id);
      return std::unexpected(csn.error());
    }
    return std::pair(*id, *csn);
  }();
  if (!made) return refuse(made.error());
  when_released(made->second, [this, id = made->first](Status status) {
    if (!status) {
      node_->databases().discard(prepared_[id]);
    } else {
      node_->databases().list(prepared_[id]);
      models_[id].row_acked = true;
      ++totals_.created;
    }
    prepared_.erase(id);
  });
  return true;
}

// As DROP DATABASE: nobody uses it; once the deletion of its row is durable, the files go.
bool Life::drop_database(std::uint32_t id) {
  BOP_ASSERT(id != kSystem);
  std::erase_if(held_, [&](const Held& held) { return held.id == id; });
  models_[id].dropping = true;
  auto csn = commit(kSystem, {fmt::format("DELETE FROM listed WHERE id = {}", id)}, 0);
  if (!csn) {
    models_[id].dropping = decided_;
    return refuse(csn.error());
  }
  when_released(*csn, [this, id](Status status) {
    if (!status) return;
    models_[id].drop_acked = true;
    ++totals_.dropped;
    // What is left of the files goes later.
    static_cast<void>(node_->databases().drop_database(DatabaseId(id)));
  });
  return true;
}

Result<Csn> Life::commit(std::uint32_t id, const std::vector<std::string>& statements,
                         std::uint32_t vacuum_pages) {
  auto& rows = node_->rows(id);
  const auto before = rows.numbers();
  decided_ = false;
  BOP_LET(writer, rows.writer());
  BOP_TRY(writer->begin_write());
  Status done;
  for (const auto& sql : statements) {
    if (done) done = writer->execute(sql);
  }
  if (done && vacuum_pages > 0) {
    auto freed = rows.incremental_vacuum(*writer, vacuum_pages);
    if (!freed) done = std::unexpected(freed.error());
  }
  if (!done) {
    writer->rollback();
    return std::unexpected(done.error());
  }
  auto csn = writer->commit();
  const auto after = rows.numbers();
  decided_ = after.commits > before.commits;
  if (!csn) return csn;
  totals_.parts += after.record_bytes - before.record_bytes > node_->group().max_batch_bytes() / 2 ? 1 : 0;
  totals_.shrinks += after.database_pages < before.database_pages ? 1 : 0;
  note_wal(id);
  return csn;
}

void Life::note_wal(std::uint32_t id) {
  const std::uint64_t now = node_->rows(id).numbers().wal_frames;
  totals_.wal_restarts += now < wal_frames_[id] ? 1 : 0;
  wal_frames_[id] = now;
}

bool Life::change(std::uint32_t id, SimRandom& dice, bool large) {
  Model& model = models_[id];
  Change next = draw_change(dice, model.states.back(), large);
  auto csn = commit(id, next.statements, next.vacuum_pages);
  if (!csn) {
    if (decided_) model.states.push_back(std::move(next.after));
    return refuse(csn.error());
  }
  totals_.schema_changes += next.after.sides.size() != model.states.back().sides.size() ? 1 : 0;
  const std::size_t n = model.states.size();
  model.states.push_back(std::move(next.after));
  ++totals_.commits;
  when_released(*csn, [this, id, n](Status status) {
    const auto known = models_.find(id);
    if (!status || known == models_.end()) return;
    known->second.acked = std::max(known->second.acked, n);
    ++totals_.acknowledged;
  });
  return true;
}

bool Life::roll_back(std::uint32_t id, SimRandom& dice) {
  auto writer = node_->rows(id).writer();
  if (!writer) return refuse(writer.error());
  if (auto begun = (*writer)->begin_write(); !begun) return refuse(begun.error());
  Status done;
  for (const auto& sql : draw_noise(dice)) {
    if (done) done = (*writer)->execute(sql);
  }
  if (done && dice.chance(1, 2)) {
    auto freed = node_->rows(id).incremental_vacuum(**writer, 5);
    if (!freed) done = std::unexpected(freed.error());
  }
  (*writer)->rollback();
  return done || refuse(done.error());
}

bool Life::draw(std::uint32_t id, SimRandom& dice) {
  database::SequenceSpec spec;
  spec.block = static_cast<std::uint32_t>(1 + dice.below(5));
  auto value = node_->database(id)->sequences().nextval(kSequence, spec);
  if (!value) return refuse(value.error());
  EXPECT_GT(value->value, models_[id].acked_value) << "a value was handed out again";
  when_released(value->gate, [this, id, v = value->value](Status status) {
    const auto known = models_.find(id);
    if (status && known != models_.end()) known->second.acked_value = std::max(known->second.acked_value, v);
  });
  return true;
}

// Forward, so that the rule for values stays the same.
bool Life::restart_sequence(std::uint32_t id) {
  const database::SequenceSpec spec;
  auto& sequences = node_->database(id)->sequences();
  const auto at = sequences.position(kSequence);
  const std::int64_t value = (at ? at->value : 0) + 1000;
  auto set = sequences.setval(kSequence, spec, value, true);
  if (!set) return refuse(set.error());
  when_released(*set, [this, id, value](Status status) {
    const auto known = models_.find(id);
    if (status && known != models_.end())
      known->second.acked_value = std::max(known->second.acked_value, value);
  });
  return true;
}

void Life::begin_checkpoint(std::uint32_t id) {
  node_->rows(id).checkpoint(node_->executor(), [this](Result<Lsn> base) {
    if (!base) return;
    ++totals_.bases;
    static_cast<void>(node_->databases().trim());
  });
}

bool Life::checkpoint(std::uint32_t id) {
  auto base = node_->checkpoint(id);
  if (!base) return refuse(base.error());
  ++totals_.bases;
  const Status trimmed = node_->databases().trim();
  return trimmed || refuse(trimmed.error());
}

// As after a commit that the log has and SQLite could not finish.
bool Life::discard_and_rewind(std::uint32_t id) {
  if (const auto why = node_->rows(id).failure()) return refuse(*why);  // no commit there, so no such moment
  if (!wait_durable()) return false;
  const Error why = error(ErrorCode::kOutcomeUnknown, "simulated");
  node_->rows(id).discard(why);
  if (auto reader = node_->rows(id).try_borrow_reader(); reader) {
    ADD_FAILURE() << "a discarded instance lends readers";
  }
  const Status rewound = node_->rows(id).rewind();
  wal_frames_.erase(id);
  if (!rewound) return refuse(rewound.error());
  ++totals_.rewinds;
  return true;
}

bool Life::hold_snapshot(std::uint32_t id) {
  if (held_.size() >= kMostHeld) held_.erase(held_.begin());
  auto reader = node_->rows(id).try_borrow_reader();
  if (!reader) return refuse(reader.error());
  if (!*reader) return true;
  if (auto begun = (*reader)->begin_read(); !begun) return refuse(begun.error());
  held_.push_back({id, models_[id].states.back().text(), std::move(*reader)});
  return true;
}

void Life::look_at_snapshots() {
  for (auto held = held_.begin(); held != held_.end();) {
    auto seen = look(*held->lease);
    if (!seen) {
      // Its instance was discarded, or the disk failed; then it is over.
      const ErrorCode code = seen.error().code();
      EXPECT_TRUE(code == ErrorCode::kOutcomeUnknown || code == ErrorCode::kPoisoned || faults() != 0)
          << text_of(seen.error());
      held = held_.erase(held);
      continue;
    }
    EXPECT_EQ(*seen, held->text) << "a snapshot of database " << held->id << " changed";
    ++totals_.snapshots;
    ++held;
  }
}

bool Life::wait_durable() {
  const Status done = node_->wait_durable();
  return done || refuse(done.error());
}

void Life::tick() {
  static_cast<void>(node_->group().stream().maintain());
  node_->databases().tick(node_->executor());
}

void Life::run(std::uint64_t steps) {
  for (; steps > 0; --steps) world_.run_one();
}

// --- after a failure ---

void Life::go_on_reading() {
  disk_.clear_faults();
  held_.clear();
  const Error why = *node_->databases().gate().failure();
  node_->databases().retreat_all(why, node_->executor());
  run(1000);
  ++totals_.retreats;
  for (const std::uint32_t id : usable()) {
    Model& model = models_[id];
    if (!model.tables_acked) continue;
    SCOPED_TRACE("database " + std::to_string(id) + " after a failed log");
    if (node_->rows(id).discarded()) {
      // It had been behind its log before, or its file could not be written: told, never served.
      ASSERT_FALSE(node_->rows(id).try_borrow_reader().has_value());
      continue;
    }
    ASSERT_LE(node_->rows(id).tip(), node_->databases().gate().released());
    std::size_t n = 0;
    ASSERT_NO_FATAL_FAILURE(expect_state(id, model, n));
    ASSERT_FALSE(node_->commit("UPDATE account SET b = 0", id).has_value()) << "the log had failed";
  }
}

void Life::go_on() {
  disk_.clear_faults();
  held_.clear();
  world_.run_until_idle();  // a write that a fault has struck may still be in flight
  if (node_->databases().gate().has_failed()) return go_on_reading();
  for (int second = 0; second < 4; ++second) {
    tick();
    world_.run_until_idle();
  }
  ASSERT_FALSE(node_->databases().gate().has_failed());
  SimRandom dice(5);
  if (const auto bare = without_tables(); bare && !node_->rows(*bare).failure()) {
    ASSERT_TRUE(*bare != kSystem || make_system_tables()) << text_of(*refusal_);
    ASSERT_TRUE(make_tables(*bare)) << text_of(*refusal_);
  }
  for (const std::uint32_t id : usable()) {
    SCOPED_TRACE("database " + std::to_string(id) + " after the fault");
    if (const auto why = node_->rows(id).failure()) {
      EXPECT_EQ(why->code(), ErrorCode::kPoisoned);
      std::size_t n = 0;
      ASSERT_NO_FATAL_FAILURE(expect_state(id, models_[id], n));
      const auto refused = node_->commit("UPDATE account SET b = 0", id);
      ASSERT_FALSE(refused.has_value());
      ASSERT_EQ(refused.error().code(), ErrorCode::kPoisoned) << text_of(refused.error());
      continue;
    }
    ASSERT_TRUE(change(id, dice)) << text_of(*refusal_);
    ASSERT_TRUE(wait_durable()) << text_of(*refusal_);
    world_.run_until_idle();
    ASSERT_EQ(models_[id].acked, models_[id].states.size() - 1);
    std::size_t n = 0;
    ASSERT_NO_FATAL_FAILURE(expect_state(id, models_[id], n));
    const Lsn before = node_->rows(id).base();
    ASSERT_TRUE(checkpoint(id)) << text_of(*refusal_);
    ASSERT_GT(node_->rows(id).base(), before);
  }
}

}  // namespace bop::sim
