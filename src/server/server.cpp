#include "server/server.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/asio_executor.hpp"
#include "base/disk.hpp"
#include "base/log.hpp"
#include "base/memory_use.hpp"
#include "base/metrics.hpp"
#include "base/scram.hpp"
#include "base/trace.hpp"
#include "server/data_directory.hpp"
#include "server/descriptors.hpp"
#include "server/node_metrics.hpp"
#include "server/node_status.hpp"
#include "server/pg_listener.hpp"
#include "server/storage.hpp"
#include "server/tls_certificate.hpp"
#include "wire/http/http_listener.hpp"
#include "wire/pg/connection.hpp"

namespace bop::server {

namespace {

using std::chrono::milliseconds;

// After statements were cancelled, for their sessions to roll back.
constexpr milliseconds kAbortTime{5000};
// Of each reactor, with those of its statements that run for long: one a statement. `reader_pool` bounds how
// many read a database at one time; there may be many databases.
constexpr std::size_t kMostReactorThreads = 1024;

// Counts SIGTERM and SIGINT; the main thread waits for them. SIGHUP runs `reload` on the executor.
class Signals {
 public:
  Signals(AsioExecutor& executor, std::function<void()> reload)
      : set_(executor.io(), SIGTERM, SIGINT, SIGHUP), reload_(std::move(reload)) {
    arm();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return count_ > 0; });
  }
  [[nodiscard]] bool again() {
    const std::lock_guard lock(mutex_);
    return count_ > 1;
  }

 private:
  void arm() {
    set_.async_wait([this](const boost::system::error_code& failure, int signal) {
      if (failure) return;
      if (signal == SIGHUP) {
        reload_();
        return arm();
      }
      {
        const std::lock_guard lock(mutex_);
        ++count_;
      }
      changed_.notify_all();
      arm();
    });
  }
  boost::asio::signal_set set_;
  std::function<void()> reload_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

std::vector<std::unique_ptr<AsioExecutor>> make_reactors(const Settings& settings) {
  auto count = static_cast<unsigned>(settings.reactors());
  if (count == 0) count = std::max(1u, std::thread::hardware_concurrency() / 2);
  std::vector<std::unique_ptr<AsioExecutor>> reactors;
  for (unsigned i = 0; i < count; ++i) {
    reactors.push_back(std::make_unique<AsioExecutor>(
        AsioExecutor::Options{.name = fmt::format("reactor-{}", i), .most_threads = kMostReactorThreads}));
  }
  return reactors;
}

// The admin's password as long as it is the role's; somebody may have changed the role's since.
std::string known_password(const session::SessionFactory& factory, const std::string& password) {
  for (const session::Verifier& verifier : factory.verifiers("bop")) {
    const auto parsed = ScramVerifier::parse(verifier.text);
    if (parsed && scram_password_matches(*parsed, password)) return password;
  }
  return "";
}

void print_ready(const NodeAddress& address, const std::string& password, const std::string& page,
                 const std::string& data_dir) {
  const std::string host = host_for_clients(address.host);
  const std::string secret = password.empty() ? "" : ":" + password;
  const std::string url = fmt::format("postgresql://bop{}@{}:{}/bop", secret, host, address.pg_port);
  fmt::print("ready: {}\n", url);
  fmt::print("  psql:    psql '{}'\n", url);
  fmt::print("  bop sql: bop sql --data-dir {}\n", data_dir);
  fmt::print("  HTTP:    {}, /health and /metrics\n", page);
  if (password.empty()) {
    fmt::print("  The password of the role bop is not the one in {}/admin.password any more.\n", data_dir);
  }
  std::fflush(stdout);
}

// Ends what is open: politely until the deadline or a second signal, then by cancelling.
void drain(PgListener& listener, wire::pg::CancelKeys& cancel_keys, Signals& signals, milliseconds deadline) {
  constexpr milliseconds kLook{50};
  listener.stop();
  for (milliseconds waited{0}; waited < deadline && !signals.again(); waited += kLook) {
    if (listener.wait_until_empty(std::min(kLook, deadline - waited))) return;
  }
  cancel_keys.cancel_all();
  if (listener.wait_until_empty(milliseconds(500))) return;
  listener.abort();
  (void)listener.wait_until_empty(kAbortTime);
}

// Somebody still works inside the storage, so that nothing may be taken apart: what was acknowledged is
// durable, and the next start recovers from the log.
[[noreturn]] void end_at_once(std::string_view why, int code) {
  log_warning("stopped without closing the databases", {{"reason", why}});
  std::fflush(nullptr);
  ::_exit(code);
}

// What a reload may change: the log's level, the threshold of slow statements and the TLS certificate.
void reload(Settings& settings, const std::function<Result<Settings>()>& read_again,
            TlsCertificate* certificate) {
  if (certificate != nullptr) certificate->reload();
  const Result<Settings> newer = read_again();
  if (!newer) return log_error("the settings stay as they are", newer.error());
  const auto changed = settings.reload_from(*newer);
  if (const Status applied = configure_log(settings.log_format(), settings.log_level()); !applied) {
    log_error("the log stays as it is", applied.error());
  }
  set_slow_statement_threshold(milliseconds(settings.log_slow_statement_ms()));
  log_info("settings read again", {{"changed", static_cast<std::int64_t>(changed.size())}});
}

// Null when TLS is off.
Result<std::unique_ptr<TlsCertificate>> open_certificate(const Settings& settings, DataDirectory& directory) {
  if (settings.tls() == "off") return nullptr;
  if (settings.tls_cert_file().empty() != settings.tls_key_file().empty()) {
    return fail(ErrorCode::kConfigInvalid,
                "tls_cert_file and tls_key_file go together: set both, or neither for the node's own");
  }
  TlsOptions options{.certificate_file = settings.tls_cert_file(),
                     .key_file = settings.tls_key_file(),
                     .least_is_1_3 = settings.tls_min_version() == "TLSv1.3"};
  if (options.certificate_file.empty()) {
    BOP_TRY(make_tls_files(directory, system_clock(), system_random()));
    options.certificate_file = directory.path() + "/tls.crt";
    options.key_file = directory.path() + "/tls.key";
  }
  return TlsCertificate::open(std::move(options), system_clock());
}

wire::pg::Services::Tls tls_mode(const Settings& settings) {
  using Tls = wire::pg::Services::Tls;
  return settings.tls() == "off" ? Tls::kOff : settings.tls() == "on" ? Tls::kOn : Tls::kRequired;
}

Status check_connection_limits(const Settings& settings) {
  if (settings.superuser_reserved_connections() < settings.max_connections()) return {};
  return fail(ErrorCode::kConfigInvalid,
              "superuser_reserved_connections ({}) must be less than max_connections ({})",
              settings.superuser_reserved_connections(), settings.max_connections());
}

// Sockets that have not logged in count, too: as many as may log in, and never so few that a handful of
// silent ones keeps everybody out.
PgListener::Capacity capacity_of(const Settings& settings, const DescriptorBudget& descriptors) {
  constexpr std::int64_t kLeastUnknown = 64;
  const std::size_t most = descriptors.limit - descriptors.reserved;
  const auto wanted = static_cast<std::size_t>(settings.max_connections());
  if (most < wanted) {
    log_warning(
        "the limit of open files leaves room for fewer clients than max_connections; raise it (ulimit -n)",
        {{"open_files", static_cast<std::int64_t>(descriptors.limit)},
         {"clients", static_cast<std::int64_t>(most)},
         {"max_connections", settings.max_connections()}});
  }
  const std::int64_t unknown = std::max(settings.max_connections(), kLeastUnknown);
  return {.sockets = wanted + static_cast<std::size_t>(unknown), .descriptors = most};
}

}  // namespace

Status serve(Settings settings, std::function<Result<Settings>()> read_again) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of the write, as a full disk is
  BOP_TRY(configure_log(settings.log_format(), settings.log_level()));
  set_slow_statement_threshold(milliseconds(settings.log_slow_statement_ms()));
  BOP_TRY(check_connection_limits(settings));
  set_memory_limit(settings.memory_limit() > 0 ? static_cast<std::uint64_t>(settings.memory_limit())
                                               : memory_of_machine() / 4 * 3);
  const DescriptorBudget descriptors = claim_descriptors();
  BOP_LET(disk, open_system_disk(settings.disk()));
  BOP_LET(directory, DataDirectory::open(*disk, settings.data_dir()));

  auto reactors = make_reactors(settings);
  AsioExecutor background(AsioExecutor::Options{.name = "background"});
  AsioExecutor& first = *reactors.front();
  const std::string& host = settings.listen_address();
  BOP_LET(pg_socket, listen_on(first.io(), host, settings.pg_port(), "pg-port"));
  BOP_LET(http_socket, listen_on(first.io(), host, settings.http_port(), "http-port"));
  BOP_LET(certificate, open_certificate(settings, directory));
  std::atomic<Storage*> served{nullptr};
  Signals signals(first, [&settings, &served, read_again, raw = certificate.get()] {
    reload(settings, read_again, raw);
    if (Storage* const storage = served.load()) storage->reload_log_key();
  });

  BOP_LET(password, directory.admin_password(system_random()));
  BOP_LET(http_key, directory.http_key(system_random()));
  BOP_LET(storage, Storage::open(settings, *disk, directory.path(), directory.log_path(),
                                 directory.log_identity(), directory.scratch_path(), password, background));

  served = storage.get();

  wire::pg::CancelKeys cancel_keys(system_random());
  wire::pg::Services services{storage->node(),
                              cancel_keys,
                              system_random(),
                              "",
                              settings.trust_loopback(),
                              tls_mode(settings),
                              static_cast<std::size_t>(settings.max_message_bytes())};
  services.node_secret = "unknown roles of " + password;
  std::vector<AsioExecutor*> executors;
  for (const auto& reactor : reactors) executors.push_back(reactor.get());
  log_info("recovered", {{"log", storage->recovery_verdict()}});
  PgLimits limits;
  limits.write_timeout = milliseconds(settings.slow_client_timeout_ms());
  PgListener listener(std::move(pg_socket), executors, services, certificate.get(), limits,
                      capacity_of(settings, descriptors));
  NodeStatus status(*storage, settings, *disk, directory.path(),
                    DetailsAccess(settings.http_details(), http_key),
                    [&listener] { return listener.count(); });
  wire::http::Sources sources;
  sources.unavailable = [raw = storage.get()]() -> std::optional<std::string> {
    const auto why = raw->failure();
    return why ? std::optional(why->what()) : std::nullopt;
  };
  sources.metrics = [&listener, raw = storage.get()] { return node_metrics(*raw, listener.count()); };
  sources.status = [&status](const wire::http::Request& request) { return status.page(request); };
  wire::http::HttpListener http(std::move(http_socket), first, std::move(sources));

  background.start();
  first.attach(*disk);
  for (const auto& reactor : reactors) reactor->start();
  storage->start();
  listener.start();
  http.start();
  first.post([&status, &first] { status.start(first); });
  const NodeAddress address{host, listener.port(), http.port()};
  if (const Status written = directory.write_address(format_address(address)); !written) {
    log_error("clients will not find this node by its data directory", written.error());
  }
  metrics().start_time_seconds.set(system_clock().wall_us() / 1'000'000);
  log_info("serving", {{"address", host}, {"pg_port", address.pg_port}, {"http_port", address.http_port}});
  print_ready(address, known_password(storage->node(), password),
              page_link(address, settings.http_details() == "off" ? "" : http_key), directory.path());

  signals.wait();
  log_info("stopping", {{"connections", listener.count()}});
  const milliseconds deadline(settings.shutdown_deadline_ms());
  storage->node().stop_accepting();
  http.stop();
  drain(listener, cancel_keys, signals, deadline);
  directory.remove_address();
  if (listener.count() > 0) end_at_once("sessions did not end in time", 1);
  const Result<bool> closed = storage->close(deadline);
  if (closed && !*closed) end_at_once("the last checkpoint did not end in time", 0);
  for (const auto& reactor : reactors) reactor->stop();
  background.stop();
  if (!closed) return std::unexpected(closed.error());
  log_info("stopped");
  return {};
}

}  // namespace bop::server
