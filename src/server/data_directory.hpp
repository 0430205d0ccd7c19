// The folder of a node's data.
//
//   DATA/lock             held by the running process
//   DATA/format           which format it has and which log is its own (data_format.hpp)
//   DATA/before-format-*  what an upgrade of the format has rewritten (data_upgrade.hpp)
//   DATA/admin.password   the password of the role bop in one line, mode 0600
//   DATA/http.key         shows details on the page of the HTTP port, in one line, mode 0600 (details_access.hpp)
//   DATA/tls.crt, tls.key the certificate for TLS and its key, mode 0600 (tls_certificate.hpp)
//   DATA/address          "<listen address> <PostgreSQL port> <HTTP port>\n" while the node serves
//   DATA/log/             the commit stream (aof)
//   DATA/db/              the databases (database)
//   DATA/tmp/             scratch files ("<database>-<number>"), removed at the start
//   DATA/bop.toml         settings, if the user wrote some (base)
//
// A folder without `format` is taken only if it is empty but for bop.toml and what a first start leaves that
// was interrupted before it wrote `format`.
//
// admin.password is durable before the role's verifier is committed, so that a crash between the two leaves a
// pair that fits: the next start reads the file and makes the verifier from it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/time.hpp"
#include "server/data_format.hpp"

namespace bop::server {

class DataDirectory {
 public:
  // Makes what is missing, takes the lock and upgrades an older format. Errors, each one sentence with what
  // to do: not writable, in use, of a newer format, or a folder of something else, in which nothing is
  // changed then.
  [[nodiscard]] static Result<DataDirectory> open(Disk& disk, const std::string& path,
                                                  Random& random = system_random());

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // The identity of the log that belongs to it, also of one that is not made yet.
  [[nodiscard]] const aof::StreamIdentity& log_identity() const noexcept { return *format_.log; }
  [[nodiscard]] std::string log_path() const { return path_ + "/log"; }
  [[nodiscard]] std::string scratch_path() const { return path_ + "/tmp"; }

  // The password of admin.password, made at the first call ever.
  [[nodiscard]] Result<std::string> admin_password(Random& random);
  // The key of http.key, made at the first call ever. It lasts as long as the process if there is no room for
  // the file.
  [[nodiscard]] Result<std::string> http_key(Random& random);
  // A small file of the folder (whole_file.hpp).
  [[nodiscard]] Status write_file(const std::string& name, std::string_view text);
  [[nodiscard]] Status write_address(const std::string& text);
  void remove_address();

 private:
  DataDirectory(Disk& disk, std::string path, std::unique_ptr<DiskLock> lock)
      : disk_(&disk), path_(std::move(path)), lock_(std::move(lock)) {}
  Disk* disk_;
  std::string path_;
  std::unique_ptr<DiskLock> lock_;
  DataFormat format_;
};

// For clients on the same machine; kFileNotFound when no node has served there.
[[nodiscard]] Result<std::string> read_admin_password(const std::string& data_dir);
[[nodiscard]] Result<std::string> read_http_key(const std::string& data_dir);

struct NodeAddress {
  std::string host;
  std::uint16_t pg_port = 0;
  std::uint16_t http_port = 0;
};
// By which clients on the same machine reach `listen_address`, in a URL.
[[nodiscard]] std::string host_for_clients(const std::string& listen_address);
// The address of the node's page; with a key, behind '#', it shows details (details_access.hpp).
[[nodiscard]] std::string page_link(const NodeAddress& address, const std::string& key);
[[nodiscard]] std::string format_address(const NodeAddress& address);
[[nodiscard]] Result<NodeAddress> read_address(const std::string& data_dir);

}  // namespace bop::server
