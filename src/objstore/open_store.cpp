#include "objstore/open_store.hpp"

#include <cstdlib>
#include <utility>
#include <vector>

#include "base/asio_executor.hpp"
#include "objstore/aws_profile.hpp"
#include "objstore/directory_store.hpp"
#include "objstore/remote_store.hpp"
#include "objstore/store_url.hpp"

namespace bop::objstore {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// A store and everything that it runs on, taken down in the order that their comments ask for.
class OpenedStore final : public ObjectStore {
 public:
  OpenedStore(std::unique_ptr<Disk> disk, std::vector<std::unique_ptr<AsioExecutor>> workers,
              std::shared_ptr<RawStore> raw, const RetryOptions& options)
      : disk_(std::move(disk)), workers_(std::move(workers)), loop_({.name = "objstore", .most_threads = 1}) {
    store_ = std::make_unique<RetryingStore>(std::move(raw), loop_, system_clock(), system_random(), options);
    for (auto& worker : workers_) worker->start();
    loop_.start();
  }
  ~OpenedStore() override {
    for (auto& worker : workers_) worker->stop_soon();
    for (auto& worker : workers_) worker->stop();
    loop_.stop();
    store_.reset();
  }

  CallPtr put(std::string key, Body body, PutCondition condition, CallOptions options,
              Completion<ObjectMeta> done) override {
    return store_->put(std::move(key), std::move(body), std::move(condition), options, std::move(done));
  }
  CallPtr get(std::string key, std::optional<Range> range, CallOptions options,
              Completion<std::vector<std::byte>> done) override {
    return store_->get(std::move(key), range, options, std::move(done));
  }
  CallPtr head(std::string key, CallOptions options, Completion<ObjectMeta> done) override {
    return store_->head(std::move(key), options, std::move(done));
  }
  CallPtr list(std::string prefix, std::string start_after, CallOptions options,
               Completion<ListPage> done) override {
    return store_->list(std::move(prefix), std::move(start_after), options, std::move(done));
  }
  CallPtr remove(std::string key, CallOptions options, Completion<std::monostate> done) override {
    return store_->remove(std::move(key), options, std::move(done));
  }
  bool verifies_puts() const noexcept override { return store_->verifies_puts(); }
  const std::string& name() const noexcept override { return store_->name(); }

 private:
  std::unique_ptr<Disk> disk_;
  std::vector<std::unique_ptr<AsioExecutor>> workers_;
  AsioExecutor loop_;
  std::unique_ptr<RetryingStore> store_;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets variables
  return value == nullptr ? "" : value;
}

// Empty when there is no such file.
Result<std::string> read_file(Disk& disk, const std::string& path) {
  auto file = disk.open(path, OpenMode::kRead);
  if (!file && file.error().code() == ErrorCode::kFileNotFound) return std::string();
  if (!file) return std::unexpected(std::move(file).error());
  std::string text(kMostProfileBytes + 1, '\0');
  BOP_LET(got, (*file)->read_at(ByteOffset(0), std::as_writable_bytes(std::span(text))));
  text.resize(got);
  return text;
}

Status add_profile(Pairs& pairs, const StoreUrl& url, Disk& disk) {
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"}) {
    if (url.profile.empty() && !environment(name).empty()) return {};
  }
  const bool is_named = !url.profile.empty() || !environment("AWS_PROFILE").empty();
  const std::string name = !url.profile.empty() ? url.profile
                           : is_named           ? environment("AWS_PROFILE")
                                                : "default";
  const std::string folder = environment("HOME") + "/.aws/";
  const auto path = [&](const char* variable, const char* standard) {
    const std::string given = environment(variable);
    return given.empty() ? folder + standard : given;
  };
  const std::string credentials_path = path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
  const std::string config_path = path("AWS_CONFIG_FILE", "config");
  BOP_LET(credentials, read_file(disk, credentials_path));
  BOP_LET(config, read_file(disk, config_path));
  auto found = find_aws_profile(credentials, config, name);
  if (!found) {
    return fail(ErrorCode::kConfigInvalid, "profile \"{}\" of {}: {}", name, credentials_path,
                found.error().what());
  }
  if (!*found) {
    if (!is_named) return {};
    return fail(ErrorCode::kConfigInvalid, "there is no AWS profile \"{}\" in {} and {}", name,
                credentials_path, config_path);
  }
  const AwsProfile& profile = **found;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) pairs.emplace_back(key, value);
  };
  add("aws_access_key_id", profile.access_key_id);
  add("aws_secret_access_key", profile.secret_access_key);
  add("aws_session_token", profile.session_token);
  if (environment("AWS_REGION").empty()) add("aws_region", profile.region);
  if (environment("AWS_ENDPOINT_URL").empty()) add("aws_endpoint", profile.endpoint);
  return {};
}

Result<RemoteConfig> remote_config(const StoreUrl& url, const ObjectStoreOptions& options, Disk& disk) {
  RemoteConfig config{.name = url.name(), .prefix = url.prefix, .part_bytes = options.part_bytes};
  Pairs& pairs = config.options;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) pairs.emplace_back(key, value);
  };
  if (options.access_key_id.empty() != options.secret_access_key.empty()) {
    return fail(ErrorCode::kConfigInvalid, "{}: of access key and secret one is missing", config.name);
  }
  // Times are the retrying store's; a name or host that does not answer is given up earlier.
  pairs.emplace_back("timeout", "1 day");
  pairs.emplace_back("connect_timeout", "5 seconds");
  if (url.allow_http) pairs.emplace_back("allow_http", "true");
  switch (url.kind) {
    case StoreKind::kDirectory: break;
    case StoreKind::kS3:
      config.service = Service::kS3;
      config.verifies_puts = url.checksum;
      if (options.access_key_id.empty()) BOP_TRY(add_profile(pairs, url, disk));
      add("aws_access_key_id", options.access_key_id);
      add("aws_secret_access_key", options.secret_access_key);
      add("aws_bucket", url.place);
      add("aws_region", url.region);
      add("aws_endpoint", url.endpoint);
      if (url.checksum) pairs.emplace_back("aws_checksum_algorithm", "sha256");
      pairs.emplace_back("aws_conditional_put", "etag");
      pairs.emplace_back("aws_virtual_hosted_style_request", url.path_style ? "false" : "true");
      break;
    case StoreKind::kGcs:
      config.service = Service::kGcs;
      add("google_bucket", url.place);
      break;
    case StoreKind::kAzure:
      config.service = Service::kAzure;
      add("azure_container_name", url.place);
      add("azure_storage_account_name", url.account);
      add("azure_endpoint", url.endpoint);
      break;
  }
  return config;
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_object_store(std::string_view text, ObjectStoreOptions options) {
  BOP_LET(url, parse_store_url(text));
  std::unique_ptr<Disk> own;
  if (options.disk == nullptr) {
    auto opened = open_system_disk("auto");
    if (!opened) return std::unexpected(std::move(opened).error());
    own = std::move(*opened);
    options.disk = own.get();
  }
  std::vector<std::unique_ptr<AsioExecutor>> workers;
  std::shared_ptr<RawStore> raw;
  if (url.kind == StoreKind::kDirectory) {
    BOP_LET(files, ObjectDirectory::open(*options.disk, url.place, system_random()));
    std::vector<Executor*> threads;
    for (std::size_t i = 0; i < std::max<std::size_t>(options.directory_threads, 1); ++i) {
      workers.push_back(
          std::make_unique<AsioExecutor>(AsioExecutor::Options{.name = "objstore-disk", .most_threads = 1}));
      threads.push_back(workers.back().get());
    }
    raw = std::make_shared<DirectoryStore>(std::move(files), std::move(threads));
  } else {
    BOP_LET(config, remote_config(url, options, *options.disk));
    BOP_LET(remote, RemoteStore::open(config));
    raw = std::move(remote);
  }
  return std::make_unique<OpenedStore>(std::move(own), std::move(workers), std::move(raw), options.retry);
}

}  // namespace bop::objstore
