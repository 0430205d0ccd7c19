// AES-256-GCM: encrypts and authenticates. A pair of key and nonce must never be used for two messages: that
// gives both away. Who draws the nonces says why it is not (payload_codec.hpp, key_file.hpp).
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "base/error.hpp"
#include "base/time.hpp"

namespace bop::aof {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;
using Nonce = std::array<std::byte, kNonceBytes>;
using Tag = std::array<std::byte, kTagBytes>;

// 32 secret bytes that are overwritten when they are no longer needed.
class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(Random& random) { random.fill(bytes_); }
  explicit SecretKey(std::span<const std::byte, kKeyBytes> bytes);
  ~SecretKey();
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;

  [[nodiscard]] std::span<const std::byte, kKeyBytes> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::span<std::byte, kKeyBytes> writable() noexcept { return bytes_; }

 private:
  std::array<std::byte, kKeyBytes> bytes_{};
};

// A key ready for use. One thread at a time.
class Aead {
 public:
  // kOutOfMemory.
  [[nodiscard]] static Result<Aead> make(const SecretKey& key);

  // Encrypts `text` in place; the tag covers it and `associated`.
  void seal(const Nonce& nonce, std::span<const std::byte> associated, std::span<std::byte> text,
            std::span<std::byte, kTagBytes> tag);
  // Decrypts `sealed` into `text` (as long; may be the same place). False when the tag does not fit: then
  // `text` means nothing.
  [[nodiscard]] bool open(const Nonce& nonce, std::span<const std::byte> associated,
                          std::span<const std::byte> sealed, std::span<const std::byte, kTagBytes> tag,
                          std::span<std::byte> text);

 private:
  struct Deleter {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_CIPHER_CTX, Deleter>;
  Aead(Context sealing, Context opening) : sealing_(std::move(sealing)), opening_(std::move(opening)) {}

  Context sealing_;
  Context opening_;
};

}  // namespace bop::aof
