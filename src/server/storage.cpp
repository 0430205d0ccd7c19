#include "server/storage.hpp"

#include <algorithm>
#include <filesystem>
#include <future>
#include <thread>

#include "aof/commit_stream.hpp"
#include "base/log.hpp"
#include "base/memory_use.hpp"
#include "base/scram.hpp"
#include "rowstore/row_store.hpp"

namespace bop::server {

namespace {

constexpr auto kTick = std::chrono::seconds(1);

rowstore::RowStoreOptions row_store_options(const Settings& settings, Disk& disk,
                                            const std::string& scratch_dir) {
  rowstore::RowStoreOptions options;
  options.disk = &disk;
  options.scratch_dir = scratch_dir;
  options.max_readers = static_cast<std::size_t>(settings.reader_pool());
  const std::int64_t half_cache_kib = settings.page_cache() / 2048;
  options.writer_cache_kib = static_cast<int>(half_cache_kib);
  options.reader_cache_kib =
      static_cast<int>(std::max<std::int64_t>(half_cache_kib / settings.reader_pool(), 256));
  options.wal_memory = static_cast<std::uint64_t>(settings.wal_memory());
  options.wal_limit = static_cast<std::uint64_t>(settings.wal_limit());
  options.max_transaction_bytes = static_cast<std::uint64_t>(settings.max_transaction_bytes());
  options.temp_limit = static_cast<std::uint64_t>(settings.temp_limit());
  options.on_open = session::Node::on_open;
  options.on_close = session::Node::on_close;
  return options;
}

executor::EngineOptions engine_options(const Settings& settings, const std::string& scratch_dir) {
  executor::EngineOptions options;
  options.memory_limit = static_cast<std::uint64_t>(settings.engine_memory());
  if (options.memory_limit == 0) {
    options.memory_limit = memory_limit() / 3;
  }
  options.column_cache = memory_limit() / 100 * static_cast<std::uint64_t>(settings.engine_column_cache());
  options.threads = static_cast<std::size_t>(settings.engine_threads());
  if (options.threads == 0) options.threads = std::max(1U, std::thread::hardware_concurrency());
  options.niceness = static_cast<int>(settings.engine_nice());
  options.temp_limit = static_cast<std::uint64_t>(settings.engine_temp_limit());
  if (options.temp_limit > 0) options.temp_directory = scratch_dir + "/engine";
  if (const std::string& files = settings.files_directory(); !files.empty()) {
    std::error_code why;
    options.files_directory = std::filesystem::canonical(files, why).string();
    if (why) log_warning("files_directory cannot be used", {{"path", files}, {"why", why.message()}});
  }
  return options;
}

session::NodeOptions node_options(const Settings& settings, Disk& disk, Executor& background,
                                  const std::string& scratch_dir) {
  session::NodeOptions options;
  options.background = &background;
  options.engine = engine_options(settings, scratch_dir);
  options.files = &disk;
  options.clock = &system_clock();
  options.random = &system_random();
  options.max_connections = static_cast<std::uint32_t>(settings.max_connections());
  options.superuser_reserved_connections =
      static_cast<std::uint32_t>(settings.superuser_reserved_connections());
  options.tls = settings.tls() != "off";
  options.advisory_locks = static_cast<std::size_t>(settings.advisory_locks());
  options.advisory_waiters = static_cast<std::size_t>(std::max<std::int64_t>(settings.reader_pool() / 2, 1));
  options.notify_queue_bytes = static_cast<std::size_t>(settings.notify_queue());
  options.lock_timeout_ms = settings.lock_timeout_ms();
  options.writer_idle_ms = settings.idle_in_transaction_timeout_ms();
  options.statement_timeout_ms = settings.statement_timeout_ms();
  options.statement_budget_ms = settings.statement_budget_ms();
  // A text that is a verifier already is kept, as PostgreSQL keeps what pg_dumpall wrote.
  options.make_verifier = [](std::string_view password) -> Result<std::string> {
    if (ScramVerifier::looks_like(password)) return std::string(password);
    return make_scram_verifier(password, system_random()).text();
  };
  return options;
}

}  // namespace

Result<std::unique_ptr<Storage>> Storage::open(const Settings& settings, Disk& disk,
                                               const std::string& data_dir, const std::string& log_dir,
                                               const aof::StreamIdentity& log_identity,
                                               const std::string& scratch_dir,
                                               const std::string& admin_password, Executor& background) {
  std::unique_ptr<Storage> storage(new Storage(background));
  aof::Options log;
  log.directory = log_dir;
  log.identity = log_identity;
  log.segment_bytes = static_cast<std::uint64_t>(settings.segment_size());
  log.max_in_flight = static_cast<std::size_t>(settings.aof_max_in_flight());
  log.max_unacknowledged = static_cast<std::uint64_t>(settings.max_unacknowledged());
  log.ballast_bytes = static_cast<std::uint64_t>(settings.ballast_bytes());
  log.retain_bytes = static_cast<std::uint64_t>(settings.log_retain());
  log.reserved_bytes = [raw = storage.get(), segment = log.segment_bytes]() -> std::uint64_t {
    const database::DatabaseSet* databases = raw->open_databases_.load(std::memory_order_acquire);
    if (databases == nullptr) return 0;
    // The segment that stays free is the one that a start takes.
    return databases->growth_bytes() + (raw->is_fenced_.load(std::memory_order_acquire) ? segment : 0);
  };
  log.codec.compress = settings.log_compression() == "zstd";
  log.codec.key_directory = data_dir;
  constexpr std::int64_t kDayUs = 24LL * 3600 * 1'000'000;
  log.codec.key_lifetime_us = settings.log_encryption_key_days() * kDayUs;
  if (!settings.log_encryption_key_file().empty()) {
    storage->disk_ = &disk;
    storage->log_key_place_ = settings.log_encryption_key_file();
    BOP_LET(by, aof::load_key_encryption_keys(disk, storage->log_key_place_));
    log.codec.by = std::make_shared<const aof::KeyEncryptionKeys>(std::move(by));
  }
  BOP_LET(databases_exist, database::DatabaseSet::exist_in(disk, data_dir));
  log.must_exist = databases_exist;
  log.late_fence = true;
  BOP_LET(stream, aof::CommitStream::open(disk, system_clock(), system_random(), std::move(log)));
  storage->verdict_ = stream->recovered().verdict;
  if (stream->recovered().created && stream->is_full()) {
    return fail(ErrorCode::kDiskFull,
                "{} has no room for the first segment of a log, {} bytes (segment_size)", log_dir,
                settings.segment_size());
  }
  stream->on_maintenance([raw = storage.get()] { raw->maintain(); });
  stream->on_delay([raw = storage.get()](std::chrono::nanoseconds delay) {
    raw->background_.post_after(delay, [raw] {
      if (!raw->closing_) raw->group_->stream().flush_due();
    });
  });
  BOP_LET(group, raft::SingleNodeGroup::open(std::move(stream)));
  storage->group_ = std::move(group);

  database::DatabaseSetOptions databases;
  databases.disk = &disk;
  databases.clock = &system_clock();
  databases.data_dir = data_dir;
  databases.group = storage->group_.get();
  constexpr std::uint64_t kLeastSegments = 4;  // the newest, the next, and what a checkpoint takes to let go
  databases.log_limit = std::max(static_cast<std::uint64_t>(settings.log_limit()),
                                 kLeastSegments * static_cast<std::uint64_t>(settings.segment_size())) +
                        static_cast<std::uint64_t>(settings.log_retain());
  rowstore::RowStoreOptions rows = row_store_options(settings, disk, scratch_dir);
  rows.check_room = [raw = storage.get()](DatabaseId id, std::uint64_t growth) -> Status {
    const database::DatabaseSet* set = raw->open_databases_.load(std::memory_order_acquire);
    return set == nullptr ? Status{} : set->check_room(id, growth);
  };
  databases.make_rows = [options = std::move(rows)](
                            database::Database& database,
                            const std::string& directory) -> Result<std::unique_ptr<database::TableEngine>> {
    return rowstore::RowStore::open(options, database, directory);
  };
  databases.on_full = [raw = storage.get()] { raw->group_->stream().give_back_ballast(); };
  auto set = database::DatabaseSet::open(databases);
  if (!set && set.error().code() == ErrorCode::kDiskFull) {
    storage->group_->stream().give_back_ballast();
    set = database::DatabaseSet::open(std::move(databases));
  }
  if (!set) return std::unexpected(std::move(set).error());
  storage->databases_ = std::move(*set);
  storage->open_databases_ = storage->databases_.get();
  if (auto fenced = storage->group_->stream().maintain();
      !fenced && fenced.error().code() != ErrorCode::kDiskFull) {
    return std::unexpected(std::move(fenced).error());
  }
  storage->is_fenced_ = true;

  BOP_LET(node, session::Node::open(node_options(settings, disk, background, scratch_dir),
                                    *storage->databases_, *storage->group_, admin_password));
  storage->node_ = std::move(node);
  storage->group_->on_failure([raw = storage.get()](const Error& why) {
    log_error("nothing can be written any more", why);
    // What ran ahead of the log must not be read any more.
    if (!raw->closing_) raw->databases_->retreat_all(why, raw->background_);
  });
  return storage;
}

Storage::~Storage() {
  node_.reset();
  open_databases_ = nullptr;
  databases_.reset();
  group_.reset();
}

void Storage::start() {
  background_.post_after(kTick, [this] { tick(); });
}

void Storage::tick() {
  if (closing_) return;
  maintain();
  databases_->tick(background_);
  give_back_memory();
  background_.post_after(kTick, [this] { tick(); });
}

// Waits for the disk, so that it runs in the background and never twice at once.
void Storage::maintain() {
  if (maintenance_posted_.exchange(true)) return;
  background_.post([this] {
    maintenance_posted_ = false;
    // A full disk shows where it matters, in the answers to writers; the next tick tries again.
    if (!closing_) (void)group_->stream().maintain();
  });
}

// Waits for the disk, too.
void Storage::reload_log_key() {
  if (log_key_place_.empty()) return;
  background_.post([this] {
    if (closing_) return;
    auto by = aof::load_key_encryption_keys(*disk_, log_key_place_);
    if (!by) return log_error("the key of the log stays as it is", by.error());
    const auto& keys = group_->stream().keys();
    const std::uint64_t before = keys->wrapping_key();
    const Status wrapped = keys->rewrap(std::make_shared<const aof::KeyEncryptionKeys>(std::move(*by)));
    if (!wrapped) return log_error("the key of the log stays as it is", wrapped.error());
    if (keys->wrapping_key() == before) return;
    log_info("data keys of the log wrapped anew", {{"key", fmt::format("{:016x}", keys->wrapping_key())},
                                                   {"data_keys", static_cast<std::int64_t>(keys->size())}});
  });
}

Result<bool> Storage::close(std::chrono::milliseconds most) {
  closing_ = true;
  if (!node_->wait_for_shared_changes(most)) return false;
  node_.reset();
  if (!failure()) {
    auto done = std::make_shared<std::promise<void>>();
    std::future<void> finished = done->get_future();
    background_.post([this, done] {
      databases_->checkpoint_all(background_, [done](const Status&) { done->set_value(); });
    });
    if (finished.wait_for(most) != std::future_status::ready) return false;
  }
  databases_->close();
  BOP_TRY(group_->close());
  return true;
}

}  // namespace bop::server
