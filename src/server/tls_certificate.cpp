#include "server/tls_certificate.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.hpp"

namespace bop::server {

namespace {

constexpr std::int64_t kLookEveryNs = 1'000'000'000;
constexpr int kDays = 3650;
constexpr int kWarnDays = 30;
constexpr std::string_view kCertificateName = "tls.crt";
constexpr std::string_view kKeyName = "tls.key";

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;

// The oldest error of this thread in OpenSSL's words; forgets all of them.
std::string openssl_words() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* words = code == 0 ? nullptr : ERR_reason_error_string(code);
  return words == nullptr ? "unknown error" : words;
}

std::unexpected<Error> not_made(std::string_view what) {
  return fail(ErrorCode::kInternal, "cannot make {} for TLS: {}", what, openssl_words());
}

std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

bool add_extension(X509* certificate, int id, const std::string& value) {
  const Extension extension(X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// For the names by which a node is reached on its own machine and by its host name.
Certificate make_certificate(EVP_PKEY* key, Clock& clock, Random& random) {
  Certificate certificate(X509_new());
  if (!certificate) return nullptr;
  X509* x = certificate.get();
  const std::string host = host_name();
  std::array<unsigned char, 16> serial;
  random.fill(std::as_writable_bytes(std::span(serial)));
  serial[0] = static_cast<unsigned char>(serial[0] & 0x7F);  // a positive number
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial.data(), serial.size(), nullptr));
  time_t now = static_cast<time_t>(clock.wall_us() / 1'000'000);
  // A common name has at most 64 characters.
  const std::string common = host.size() <= 64 ? host : "localhost";
  X509_NAME* name = X509_get_subject_name(x);
  const bool made =
      number && X509_set_version(x, X509_VERSION_3) == 1 &&
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x)) != nullptr &&
      X509_time_adj_ex(X509_getm_notBefore(x), -1, 0, &now) != nullptr &&
      X509_time_adj_ex(X509_getm_notAfter(x), kDays, 0, &now) != nullptr &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1, 0) == 1 &&
      X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
      add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(x, NID_key_usage, "critical,digitalSignature") &&
      add_extension(x, NID_ext_key_usage, "serverAuth") &&
      add_extension(x, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1,DNS:" + host) &&
      X509_sign(x, key, EVP_sha256()) > 0;
  return made ? std::move(certificate) : nullptr;
}

Result<Key> read_key(const std::string& path) {
  const Bio file(BIO_new_file(path.c_str(), "r"));
  Key key(file ? PEM_read_bio_PrivateKey(
                     file.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr)
               : nullptr);
  if (key) return key;
  return fail(ErrorCode::kConfigInvalid, "cannot read the private key {}: {}", path, openssl_words());
}

// PostgreSQL's rule: of the user and for nobody else, or of root and readable by its group.
Status check_key_file(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return fail(ErrorCode::kConfigInvalid, "cannot read the private key {}: {}", path, std::strerror(errno));
  }
  const mode_t forbidden = info.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
  if ((info.st_mode & forbidden) == 0) return {};
  return fail(
      ErrorCode::kConfigInvalid,
      "private key file \"{}\" has group or world access; its permissions must be u=rw (0600) or less, "
      "or u=rw,g=r (0640) or less if root owns it",
      path);
}

void warn_of_expiry(X509* certificate, const std::string& path, Clock& clock) {
  time_t soon = static_cast<time_t>(clock.wall_us() / 1'000'000) + kWarnDays * 86'400;
  if (X509_cmp_time(X509_get0_notAfter(certificate), &soon) >= 0) return;
  log_warning(
      "the TLS certificate expires within 30 days, or has expired; one that the node made is made anew "
      "at the next start when its file is removed",
      {{"file", path}});
}

}  // namespace

Status make_tls_files(DataDirectory& directory, Clock& clock, Random& random) {
  const std::string key_path = fmt::format("{}/{}", directory.path(), kKeyName);
  if (is_there(fmt::format("{}/{}", directory.path(), kCertificateName))) return {};
  Key key;
  if (is_there(key_path)) {
    BOP_LET(known, read_key(key_path));
    key = std::move(known);
  } else {
    key.reset(EVP_EC_gen("P-256"));
    const Bio text(BIO_new(BIO_s_mem()));
    if (!key || !text ||
        PEM_write_bio_PKCS8PrivateKey(text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
      return not_made("a key");
    }
    BOP_TRY(directory.write_file(std::string(kKeyName), text_of(text.get())));
  }
  const Certificate certificate = make_certificate(key.get(), clock, random);
  const Bio text(BIO_new(BIO_s_mem()));
  if (!certificate || !text || PEM_write_bio_X509(text.get(), certificate.get()) != 1)
    return not_made("a certificate");
  return directory.write_file(std::string(kCertificateName), text_of(text.get()));
}

std::optional<std::string> tls_server_end_point(X509* certificate) {
  int digest = NID_undef;
  if (X509_get_signature_info(certificate, &digest, nullptr, nullptr, nullptr) != 1) return std::nullopt;
  if (digest == NID_md5 || digest == NID_sha1) digest = NID_sha256;
  const EVP_MD* kind = EVP_get_digestbynid(digest);
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
  unsigned int length = 0;
  if (kind == nullptr || X509_digest(certificate, kind, hash.data(), &length) != 1) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(hash.data()), length);
}

Result<std::unique_ptr<TlsCertificate>> TlsCertificate::open(TlsOptions options, Clock& clock) {
  std::unique_ptr<TlsCertificate> certificate(new TlsCertificate(std::move(options), clock));
  certificate->certificate_stamp_ = stamp_of(certificate->options_.certificate_file);
  certificate->key_stamp_ = stamp_of(certificate->options_.key_file);
  BOP_LET(context, certificate->load());
  certificate->context_ = std::move(context);
  certificate->looked_ns_ = clock.steady_ns();
  return certificate;
}

TlsCertificate::Context TlsCertificate::current() {
  const std::lock_guard lock(mutex_);
  if (clock_.steady_ns() - looked_ns_ >= kLookEveryNs &&
      (stamp_of(options_.certificate_file) != certificate_stamp_ ||
       stamp_of(options_.key_file) != key_stamp_)) {
    take();
  }
  return context_;
}

void TlsCertificate::reload() {
  const std::lock_guard lock(mutex_);
  take();
}

// The stamps are taken before the files are read: what changes meanwhile is seen at the next look.
void TlsCertificate::take() {
  looked_ns_ = clock_.steady_ns();
  certificate_stamp_ = stamp_of(options_.certificate_file);
  key_stamp_ = stamp_of(options_.key_file);
  Result<Context> fresh = load();
  if (!fresh) return log_error("the TLS certificate stays as it is", fresh.error());
  context_ = std::move(*fresh);
  log_info("the TLS certificate was read", {{"file", options_.certificate_file}});
}

TlsCertificate::Stamp TlsCertificate::stamp_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {.seconds = info.st_mtim.tv_sec,
          .nanoseconds = info.st_mtim.tv_nsec,
          .size = info.st_size,
          .inode = info.st_ino};
}

Result<TlsCertificate::Context> TlsCertificate::load() const {
  ERR_clear_error();
  BOP_TRY(check_key_file(options_.key_file));
  Context context;
  context.ssl.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX* ssl = context.ssl.get();
  if (ssl == nullptr) return not_made("a context");
  SSL_CTX_set_min_proto_version(ssl, options_.least_is_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  // No resumption: a session's state would outlive what its certificate and role were.
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ssl, 0);
  SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  // An idle connection holds no record buffers; the output may have moved between two tries to write it.
  SSL_CTX_set_mode(
      ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(ssl, options_.certificate_file.c_str()) != 1) {
    return fail(ErrorCode::kConfigInvalid, "cannot read the TLS certificate {}: {}",
                options_.certificate_file, openssl_words());
  }
  BOP_LET(key, read_key(options_.key_file));
  if (SSL_CTX_use_PrivateKey(ssl, key.get()) != 1 || SSL_CTX_check_private_key(ssl) != 1) {
    return fail(ErrorCode::kConfigInvalid, "the private key {} does not belong to the certificate {}: {}",
                options_.key_file, options_.certificate_file, openssl_words());
  }
  X509* certificate = SSL_CTX_get0_certificate(ssl);
  warn_of_expiry(certificate, options_.certificate_file, clock_);
  context.end_point = tls_server_end_point(certificate);
  return context;
}

}  // namespace bop::server
