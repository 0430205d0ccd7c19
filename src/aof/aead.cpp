#include "aof/aead.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "base/assert.hpp"

namespace bop::aof {

namespace {

const unsigned char* bytes_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* bytes_of(std::span<std::byte> bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
int length_of(std::span<const std::byte> bytes) {
  BOP_ASSERT(bytes.size() <= INT_MAX);
  return static_cast<int>(bytes.size());
}

}  // namespace

SecretKey::SecretKey(std::span<const std::byte, kKeyBytes> bytes) {
  std::ranges::copy(bytes, bytes_.begin());
}
SecretKey::~SecretKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_(other.bytes_) {
  OPENSSL_cleanse(other.bytes_.data(), other.bytes_.size());
}
SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  if (this == &other) return *this;
  bytes_ = other.bytes_;
  OPENSSL_cleanse(other.bytes_.data(), other.bytes_.size());
  return *this;
}

Result<Aead> Aead::make(const SecretKey& key) {
  Context sealing(EVP_CIPHER_CTX_new());
  Context opening(EVP_CIPHER_CTX_new());
  const auto* bytes = bytes_of(key.bytes());
  if (!sealing || !opening ||
      EVP_EncryptInit_ex(sealing.get(), EVP_aes_256_gcm(), nullptr, bytes, nullptr) != 1 ||
      EVP_DecryptInit_ex(opening.get(), EVP_aes_256_gcm(), nullptr, bytes, nullptr) != 1) {
    return fail(ErrorCode::kOutOfMemory, "AES-256-GCM could not be set up");
  }
  return Aead(std::move(sealing), std::move(opening));
}

// With a key that is set and lengths that are allowed none of these calls has a reason to fail.
void Aead::seal(const Nonce& nonce, std::span<const std::byte> associated, std::span<std::byte> text,
                std::span<std::byte, kTagBytes> tag) {
  EVP_CIPHER_CTX* context = sealing_.get();
  int length = 0;
  bool done = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, bytes_of(nonce)) == 1;
  done =
      done && EVP_EncryptUpdate(context, nullptr, &length, bytes_of(associated), length_of(associated)) == 1;
  if (!text.empty()) {
    done = done && EVP_EncryptUpdate(context, bytes_of(text), &length, bytes_of(text), length_of(text)) == 1;
  }
  unsigned char rest[EVP_MAX_BLOCK_LENGTH];
  done = done && EVP_EncryptFinal_ex(context, rest, &length) == 1;
  done = done && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()) == 1;
  BOP_ASSERT(done);
}

bool Aead::open(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> sealed,
                std::span<const std::byte, kTagBytes> tag, std::span<std::byte> text) {
  BOP_ASSERT(text.size() == sealed.size());
  EVP_CIPHER_CTX* context = opening_.get();
  int length = 0;
  Tag expected;
  std::ranges::copy(tag, expected.begin());
  bool done = EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, bytes_of(nonce)) == 1;
  done =
      done && EVP_DecryptUpdate(context, nullptr, &length, bytes_of(associated), length_of(associated)) == 1;
  if (!text.empty()) {
    done =
        done && EVP_DecryptUpdate(context, bytes_of(text), &length, bytes_of(sealed), length_of(sealed)) == 1;
  }
  done = done && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, expected.data()) == 1;
  BOP_ASSERT(done);
  unsigned char rest[EVP_MAX_BLOCK_LENGTH];
  return EVP_DecryptFinal_ex(context, rest, &length) == 1;
}

}  // namespace bop::aof
