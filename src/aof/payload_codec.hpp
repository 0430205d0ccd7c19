// Payloads as they are stored: compressed, encrypted, both or neither, as two bits of the record's header say
// (record.hpp). Everything else of a record stays readable without a key, and checksums cover the stored
// bytes: a log is checked, copied, cut into logs of single databases and archived by those who cannot read
// it.
//
// Format of a stored payload, little-endian:
//
//   compressed (bit 0): one zstd frame (RFC 8878) that says the size of its content, which is at most
//   kMostPlainBytes, without a dictionary. It is at least an eighth smaller than the payload.
//
//   encrypted (bit 1), of the payload or of its compressed form:
//   offset  size  field
//        0     8  data key       id (key_file.hpp)
//        8     8  nonce prefix   random, drawn when the log was opened
//       16     4  nonce counter  of the records that were encrypted since then
//       20     n  text           AES-256-GCM with the nonce of bytes [8, 20)
//     20+n    16  tag
//
// Associated data of the encryption, 40 bytes: "BOP REC1", data key u64, database u32, kind u8, bits of the
// header u8, kind flags u16, producer u64, sequence u64. These are all fields that are known before the log
// decides on a record's place, and that a record keeps when it moves into another stream or is sealed anew.
// Each closes a mix-up, or an attack of somebody who can write the files (and make checksums) but has no key:
//   * database: a payload of one database served to the readers of another one;
//   * kind and kind flags: the bytes of a commit taken for a marker, a part for the commit that closes it;
//   * bits of the header: bytes that decompress although they were not compressed, or the reverse;
//   * producer and sequence: an append ascribed to another producer, or taken for the repetition of another;
//   * data key: a record that is said to be of another key than it is.
// Not covered, since append() decides it later or another stream decides it anew: id, term, timeline, time,
// batch and the two chains. So whoever writes the files can still drop, repeat or reorder whole records,
// which checksums and chains tell from accidents only, not from intent; nobody can read or invent one.
//
// Why no nonce is used twice under a data key. A nonce is the prefix of one opened log and a number that only
// grows while it is open; neither is ever stored to be used again, and when the number has reached 2^32 a new
// prefix is drawn. So
//   * a crash, a restart, a recovery: whatever was encrypted before, written or not, has the prefix of
//   before;
//   * a fork or a restored backup has the same data keys, and each opening of each copy has its own prefix;
//   * a recycled or new segment, a fence, a record void and its place taken anew: places are no part of it;
//   * archiving, cutting streams apart, compaction: stored payloads move as they are, nothing is encrypted
//   anew.
// Two openings draw the same 64 bits by chance: with 2^16 openings under one key, 1 to 2^33. What is not
// covered is a copy of a running process's memory that goes on twice (a snapshot of a virtual machine).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aof/aead.hpp"
#include "aof/key_ring.hpp"
#include "aof/reader.hpp"
#include "aof/record.hpp"
#include "aof/zstd_context.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct RecordInput;

inline constexpr std::uint64_t kMostPlainBytes = 64U << 20U;  // of a compressed payload
inline constexpr std::size_t kSealHeadBytes = 20;
inline constexpr std::size_t kSealBytes = kSealHeadBytes + kTagBytes;

// How a log encodes what is appended. What is there already is read whatever is set here, given the keys.
struct CodecOptions {
  bool compress = false;
  int level = 1;                                // of zstd, 1 to 19
  std::size_t least_bytes = 256;                // smaller payloads are not compressed
  std::shared_ptr<const KeyEncryptionKeys> by;  // encrypts, with data keys that these wrap
  std::string key_directory;                    // of keys.0 and keys.1; empty: that of the log
  // Age at which a data key is replaced by a new one, by maintain(); 0: never. By the wall clock: a clock
  // that steps costs a key.
  std::int64_t key_lifetime_us = 0;
};

// Nonces that are never used twice under one key, see above. Thread-safe.
class NonceSource {
 public:
  explicit NonceSource(Random& random, std::uint64_t used = 0);  // `used` of the first prefix, for tests
  [[nodiscard]] Nonce next();

 private:
  Random& random_;
  std::mutex mutex_;
  std::uint64_t prefix_;
  std::uint64_t used_;
};

// A batch as it is to be stored. The records' payloads lie in the batch or, where nothing was changed, where
// they were.
struct EncodedBatch {
  std::vector<RecordInput> records;
  std::unique_ptr<std::byte[]> storage;
  std::vector<std::span<const std::byte>> parts;
};

// Thread-safe; makes no difference to the log's order, so it is used before the log's lock is taken. Keeps a
// few contexts, 1 to 2 MB each, for its next callers.
class PayloadEncoder {
 public:
  PayloadEncoder(const CodecOptions& options, std::shared_ptr<KeyRing> keys, Random& random);

  // Records that are encoded already are left as they are. kOutOfMemory.
  [[nodiscard]] Result<EncodedBatch> encode(std::span<const RecordInput> batch);

 private:
  struct Tools {
    Compressor compressor;
    std::vector<std::byte> gathered;
    std::optional<Aead> aead;
    std::uint64_t aead_key = 0;
  };
  [[nodiscard]] Status encode_one(Tools& tools, const DataKey* key, RecordInput& record,
                                  std::span<const std::byte>& part, std::byte*& at);
  [[nodiscard]] std::size_t compress(Tools& tools, const RecordInput& record, std::size_t bytes,
                                     std::span<std::byte> out) const;

  const bool compresses_;
  const int level_;
  const std::size_t least_bytes_;
  const std::shared_ptr<KeyRing> keys_;  // null: does not encrypt
  NonceSource nonces_;
  Spares<std::unique_ptr<Tools>> tools_;
};

// One thread at a time.
class PayloadDecoder {
 public:
  // `keys` may be null where nothing is encrypted, or nobody wants to read it.
  explicit PayloadDecoder(std::shared_ptr<const KeyRing> keys) : keys_(std::move(keys)) {}

  [[nodiscard]] bool has_keys() const noexcept { return keys_ != nullptr; }
  // The payload as it was appended, valid until the next call and as long as that of the record. Errors name
  // the record: kEncryptionKeyMissing, kCorrupt, kOutOfMemory.
  [[nodiscard]] Result<std::span<const std::byte>> decode(const RecordView& record);

 private:
  [[nodiscard]] Result<std::span<const std::byte>> decrypt(const RecordView& record);
  [[nodiscard]] Result<std::span<const std::byte>> decompress(const RecordView& record,
                                                              std::span<const std::byte> stored);

  std::shared_ptr<const KeyRing> keys_;
  std::vector<std::byte> opened_;
  std::vector<std::byte> plain_;
  Decompressor decompressor_;
  std::optional<Aead> aead_;
  std::uint64_t aead_key_ = 0;
};

}  // namespace bop::aof
