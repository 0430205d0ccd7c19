// The node's TLS certificate: made at the first start, read again when its files change.
//
// The files are PEM: a certificate, which others may follow up to a root, and its private key without a
// passphrase. When neither has been named and DATA/tls.crt is missing, a certificate signed by itself is made
// for DATA/tls.key, which is made before it if it is missing, too: a crash between the two leaves a pair that
// fits. A key that others than its owner may read is refused.
//
// Every new connection looks at the files' times, at most once a second, and takes a changed pair if it is
// whole; a pair that is not leaves the old one in place and is told in the log once. Connections that are
// open keep what they began with.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/time.hpp"
#include "server/data_directory.hpp"

extern "C" {
struct ssl_ctx_st;
struct x509_st;
}

namespace bop::server {

struct TlsOptions {
  std::string certificate_file;
  std::string key_file;
  bool least_is_1_3 = false;  // else TLS 1.2
};

// Makes DATA/tls.key and DATA/tls.crt when they are missing.
[[nodiscard]] Status make_tls_files(DataDirectory& directory, Clock& clock, Random& random);

// RFC 5929, 4.1: the hash of the certificate, of the kind that its signature uses, MD5 and SHA-1 replaced by
// SHA-256. nullopt when the signature has no single hash (Ed25519).
[[nodiscard]] std::optional<std::string> tls_server_end_point(x509_st* certificate);

class TlsCertificate {
 public:
  // What new connections use.
  struct Context {
    std::shared_ptr<ssl_ctx_st> ssl;
    std::optional<std::string> end_point;
  };

  // Reads the files. Errors name the file and say what to do.
  [[nodiscard]] static Result<std::unique_ptr<TlsCertificate>> open(TlsOptions options, Clock& clock);

  // Takes a changed pair first.
  [[nodiscard]] Context current();
  // Reads the files even if they look as before (SIGHUP).
  void reload();

 private:
  // What says that a file has changed: a time alone does not when it is put in place by a rename.
  struct Stamp {
    std::int64_t seconds = 0, nanoseconds = 0, size = -1;
    std::uint64_t inode = 0;
    bool operator==(const Stamp&) const = default;
  };
  TlsCertificate(TlsOptions options, Clock& clock) : options_(std::move(options)), clock_(clock) {}
  [[nodiscard]] static Stamp stamp_of(const std::string& path);
  [[nodiscard]] Result<Context> load() const;
  void take();

  const TlsOptions options_;
  Clock& clock_;
  std::mutex mutex_;
  Context context_;
  Stamp certificate_stamp_, key_stamp_;
  std::int64_t looked_ns_ = 0;
};

}  // namespace bop::server
