#include "server/data_directory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <sstream>

#include "base/log.hpp"
#include "base/whole_file.hpp"
#include "server/data_upgrade.hpp"

namespace bop::server {

namespace {

constexpr std::size_t kMostFileBytes = 4096;
constexpr std::size_t kPasswordBytes = 18;  // 24 characters

std::unexpected<Error> not_writable(const std::string& path, const std::string& why) {
  return fail(
      ErrorCode::kConfigInvalid,
      "cannot use the data directory {}: {}; give this user write access or choose another with --data-dir",
      path, why);
}

Result<std::string> read_small(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(errno == ENOENT ? ErrorCode::kFileNotFound : ErrorCode::kIo, "cannot read {}: {}", path,
                std::strerror(errno));
  }
  std::array<char, kMostFileBytes> bytes;
  const ssize_t got = ::read(fd, bytes.data(), bytes.size());
  const int failure = errno;
  ::close(fd);
  if (got < 0) return fail(ErrorCode::kIo, "cannot read {}: {}", path, std::strerror(failure));
  return std::string(bytes.data(), static_cast<std::size_t>(got));
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// 144 bits in letters that need no quoting in a URL.
std::string new_secret(Random& random) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string secret;
  for (std::size_t i = 0; i < kPasswordBytes / 3 * 4; ++i)
    secret += kAlphabet[random.u64() % kAlphabet.size()];
  return secret;
}

// A folder without `format` becomes a data directory only if nothing of anybody else is in it: a start makes
// and removes files there. What may be: the configuration, and what a first start leaves that ended before it
// wrote `format`.
Status refuse_foreign_folder(Disk& disk, const std::string& path) {
  constexpr std::array<std::string_view, 3> kOurs{"bop.toml", "lock", "format.new"};
  BOP_LET(names, disk.list(path));
  const auto foreign = std::ranges::find_if(
      names, [&](const std::string& name) { return std::ranges::find(kOurs, name) == kOurs.end(); });
  if (foreign == names.end()) return {};
  return fail(
      ErrorCode::kConfigInvalid,
      "the directory {} is not empty (\"{}\") and has no file \"format\", so it is no data directory of BOP; "
      "choose an empty or a new one with --data-dir",
      path, *foreign);
}

// Nothing: the folder is new and may be used. Changes nothing.
Result<std::optional<DataFormat>> check_format(Disk& disk, const std::string& path) {
  const Result<std::string> text = read_small(path + "/format");
  if (!text) {
    if (text.error().code() != ErrorCode::kFileNotFound) return std::unexpected(text.error());
    BOP_TRY(refuse_foreign_folder(disk, path));
    return std::nullopt;
  }
  return parse_data_format(*text, path);
}

// "<database id>-<number>", as the row store names them; others are not ours to remove.
bool is_scratch_name(std::string_view name) {
  const std::size_t dash = name.find('-');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  };
  return dash != name.npos && is_number(name.substr(0, dash)) && is_number(name.substr(dash + 1));
}

}  // namespace

Result<DataDirectory> DataDirectory::open(Disk& disk, const std::string& given, Random& random) {
  std::string path = given;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path.empty())
    return fail(ErrorCode::kConfigInvalid, "data_dir is empty; name a folder with --data-dir");
  if (Status made = disk.create_directories(path); !made) return not_writable(path, made.error().what());
  if (::access(path.c_str(), W_OK | X_OK) != 0) return not_writable(path, std::strerror(errno));
  BOP_TRY(check_format(disk, path));  // before the lock, which is a file
  auto lock = disk.lock(path + "/lock");
  if (!lock) {
    if (lock.error().code() != ErrorCode::kLocked) return not_writable(path, lock.error().what());
    return fail(
        ErrorCode::kLocked,
        "the data directory {} is in use ({}); stop that node or choose another directory with --data-dir",
        path, lock.error().what());
  }
  DataDirectory directory(disk, path, std::move(*lock));
  BOP_LET(format, check_format(disk, path));
  if (format) {
    BOP_LET(upgraded, upgrade_data_directory(disk, random, path, *format));
    directory.format_ = upgraded;
  } else {
    random.fill(std::as_writable_bytes(std::span(directory.format_.log.emplace())));
    BOP_TRY(write_whole_file(disk, path, "format", text_of(directory.format_)));
  }
  for (const std::string& name : {directory.log_path(), directory.scratch_path()}) {
    if (Status made = disk.create_directories(name); !made) return not_writable(path, made.error().what());
  }
  BOP_LET(left_over, disk.list(directory.scratch_path()));
  for (const std::string& name : left_over) {
    if (is_scratch_name(name)) BOP_TRY(disk.remove(directory.scratch_path() + "/" + name));
  }
  return directory;
}

Result<std::string> DataDirectory::admin_password(Random& random) {
  Result<std::string> known = read_admin_password(path_);
  if (known || known.error().code() != ErrorCode::kFileNotFound) return known;
  const std::string password = new_secret(random);
  BOP_TRY(write_whole_file(*disk_, path_, "admin.password", password + "\n"));
  return password;
}

Result<std::string> DataDirectory::http_key(Random& random) {
  Result<std::string> known = read_http_key(path_);
  if (known || known.error().code() != ErrorCode::kFileNotFound) return known;
  const std::string key = new_secret(random);
  if (const Status written = write_whole_file(*disk_, path_, "http.key", key + "\n"); !written) {
    log_error("the key of the HTTP port is good until the next start only", written.error());
  }
  return key;
}

Status DataDirectory::write_file(const std::string& name, std::string_view text) {
  return write_whole_file(*disk_, path_, name, text);
}

Status DataDirectory::write_address(const std::string& text) {
  return write_whole_file(*disk_, path_, "address", text);
}
void DataDirectory::remove_address() { ::unlink((path_ + "/address").c_str()); }

Result<std::string> read_admin_password(const std::string& data_dir) {
  BOP_LET(text, read_small(data_dir + "/admin.password"));
  std::string password = first_line(text);
  if (password.empty()) {
    return fail(ErrorCode::kCorrupt, "{}/admin.password is empty; write the password of the role bop into it",
                data_dir);
  }
  return password;
}

Result<std::string> read_http_key(const std::string& data_dir) {
  BOP_LET(text, read_small(data_dir + "/http.key"));
  std::string key = first_line(text);
  if (key.empty()) {
    return fail(ErrorCode::kCorrupt, "{}/http.key is empty; remove it, and the next start makes another",
                data_dir);
  }
  return key;
}

std::string host_for_clients(const std::string& listen_address) {
  if (listen_address == "0.0.0.0") return "127.0.0.1";
  if (listen_address == "::") return "[::1]";
  return listen_address.find(':') == listen_address.npos ? listen_address : "[" + listen_address + "]";
}

std::string page_link(const NodeAddress& address, const std::string& key) {
  return fmt::format("http://{}:{}/{}{}", host_for_clients(address.host), address.http_port,
                     key.empty() ? "" : "#key=", key);
}

std::string format_address(const NodeAddress& address) {
  return fmt::format("{} {} {}\n", address.host, address.pg_port, address.http_port);
}

Result<NodeAddress> read_address(const std::string& data_dir) {
  BOP_LET(text, read_small(data_dir + "/address"));
  std::istringstream words(text);
  NodeAddress address;
  if (!(words >> address.host >> address.pg_port >> address.http_port)) {
    return fail(ErrorCode::kCorrupt, "{}/address does not name an address", data_dir);
  }
  return address;
}

}  // namespace bop::server
