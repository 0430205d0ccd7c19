#include "aof/payload_codec.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "aof/commit_stream.hpp"
#include "base/assert.hpp"

namespace bop::aof {

namespace {

constexpr char kLabel[8] = {'B', 'O', 'P', ' ', 'R', 'E', 'C', '1'};
constexpr std::uint64_t kNoncesOfAPrefix = 1ULL << 32U;
constexpr std::size_t kKeptTools = 8;
// A buffer that was needed once for a large record is not kept for small ones.
constexpr std::size_t kKeptBufferBytes = 2U << 20U;

struct Bound {
  std::uint64_t key;
  DatabaseId database;
  RecordKind kind;
  std::uint8_t encoding;
  std::uint16_t flags;
  std::uint64_t producer;
  std::uint64_t sequence;
};

std::array<std::byte, 40> associated(const Bound& bound) {
  std::array<std::byte, 40> bytes;
  std::memcpy(bytes.data(), kLabel, 8);
  std::memcpy(bytes.data() + 8, &bound.key, 8);
  std::memcpy(bytes.data() + 16, &bound.database.value, 4);
  bytes[20] = static_cast<std::byte>(bound.kind);
  bytes[21] = static_cast<std::byte>(bound.encoding);
  std::memcpy(bytes.data() + 22, &bound.flags, 2);
  std::memcpy(bytes.data() + 24, &bound.producer, 8);
  std::memcpy(bytes.data() + 32, &bound.sequence, 8);
  return bytes;
}
static_assert(sizeof(DatabaseId::value) == 4);

std::size_t size_of(const RecordInput& record) {
  std::size_t bytes = 0;
  for (const auto& part : record.payload) bytes += part.size();
  return bytes;
}

void gather(const RecordInput& record, std::byte* to) {
  for (const auto& part : record.payload) {
    if (part.empty()) continue;
    std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
}

void limit(std::vector<std::byte>& buffer) {
  if (buffer.capacity() > kKeptBufferBytes) buffer = {};
}

}  // namespace

NonceSource::NonceSource(Random& random, std::uint64_t used)
    : random_(random), prefix_(random.u64()), used_(used) {}

Nonce NonceSource::next() {
  std::scoped_lock lock(mutex_);
  if (used_ == kNoncesOfAPrefix) {
    prefix_ = random_.u64();
    used_ = 0;
  }
  const auto counter = static_cast<std::uint32_t>(used_++);
  Nonce nonce;
  std::memcpy(nonce.data(), &prefix_, 8);
  std::memcpy(nonce.data() + 8, &counter, 4);
  return nonce;
}

PayloadEncoder::PayloadEncoder(const CodecOptions& options, std::shared_ptr<KeyRing> keys, Random& random)
    : compresses_(options.compress),
      level_(options.level),
      least_bytes_(options.least_bytes),
      keys_(std::move(keys)),
      nonces_(random),
      tools_(kKeptTools) {}

// Bytes of the compressed payload, 0 when it is not worth it.
std::size_t PayloadEncoder::compress(Tools& tools, const RecordInput& record, std::size_t bytes,
                                     std::span<std::byte> out) const {
  if (!compresses_ || bytes == 0 || bytes < least_bytes_ || bytes > kMostPlainBytes) return 0;
  if (!tools.compressor) {
    tools.compressor.reset(ZSTD_createCCtx());
    if (!tools.compressor) return 0;
    ZSTD_CCtx_setParameter(tools.compressor.get(), ZSTD_c_compressionLevel, level_);
    ZSTD_CCtx_setParameter(tools.compressor.get(), ZSTD_c_contentSizeFlag, 1);
    ZSTD_CCtx_setParameter(tools.compressor.get(), ZSTD_c_checksumFlag, 0);
  }
  const std::byte* from = record.payload[0].data();
  if (record.payload.size() > 1) {
    tools.gathered.resize(std::max(tools.gathered.size(), bytes));
    gather(record, tools.gathered.data());
    from = tools.gathered.data();
  }
  // zstd gives up where it would not save an eighth.
  const std::size_t most = bytes - (bytes + 7) / 8;
  const std::size_t got =
      ZSTD_compress2(tools.compressor.get(), out.data(), std::min(most, out.size()), from, bytes);
  return ZSTD_isError(got) != 0 ? 0 : got;
}

Status PayloadEncoder::encode_one(Tools& tools, const DataKey* key, RecordInput& record,
                                  std::span<const std::byte>& part, std::byte*& at) {
  const std::size_t bytes = size_of(record);
  const std::size_t head = key != nullptr ? kSealHeadBytes : 0;
  std::byte* const text = at + head;
  std::size_t size = compress(tools, record, bytes, std::span(text, bytes));
  std::uint8_t encoding = size != 0 ? kPayloadCompressed : 0;
  if (key == nullptr && size == 0) return {};
  if (size == 0) {
    gather(record, text);
    size = bytes;
  }
  std::size_t stored = size;
  if (key != nullptr) {
    if (!tools.aead.has_value() || tools.aead_key != key->id) {
      BOP_LET(aead, Aead::make(key->key));
      tools.aead = std::move(aead);
      tools.aead_key = key->id;
    }
    encoding |= kPayloadEncrypted;
    const Nonce nonce = nonces_.next();
    std::memcpy(at, &key->id, 8);
    std::memcpy(at + 8, nonce.data(), nonce.size());
    tools.aead->seal(nonce,
                     associated({key->id, record.database, record.kind, encoding, record.flags,
                                 record.producer, record.sequence}),
                     std::span(text, size), std::span<std::byte, kTagBytes>(text + size, kTagBytes));
    stored += kSealBytes;
  }
  part = std::span<const std::byte>(at, stored);
  record.payload = std::span(&part, 1);
  record.encoding = encoding;
  at += stored;
  return {};
}

Result<EncodedBatch> PayloadEncoder::encode(std::span<const RecordInput> batch) {
  EncodedBatch encoded;
  encoded.records.assign(batch.begin(), batch.end());
  std::size_t most = 0;
  for (const RecordInput& record : batch) {
    const std::size_t bytes = size_of(record);
    const bool changes = record.encoding == 0 && (keys_ || (compresses_ && bytes >= least_bytes_));
    if (changes) most += bytes + kSealBytes;
  }
  if (most == 0) return encoded;
  encoded.storage = std::make_unique_for_overwrite<std::byte[]>(most);
  encoded.parts.resize(batch.size());
  const std::shared_ptr<const DataKey> key = keys_ ? keys_->in_use() : nullptr;
  std::unique_ptr<Tools> tools = tools_.take();
  if (!tools) tools = std::make_unique<Tools>();
  std::byte* at = encoded.storage.get();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    RecordInput& record = encoded.records[i];
    if (record.encoding != 0 || (!key && size_of(record) < least_bytes_)) continue;
    BOP_TRY(encode_one(*tools, key.get(), record, encoded.parts[i], at));
  }
  BOP_ASSERT(at <= encoded.storage.get() + most);
  limit(tools->gathered);
  tools_.give_back(std::move(tools));
  return encoded;
}

Result<std::span<const std::byte>> PayloadDecoder::decode(const RecordView& record) {
  if (record.encoding == 0) return record.payload;
  limit(opened_);
  limit(plain_);
  std::span<const std::byte> bytes = record.payload;
  if ((record.encoding & kPayloadEncrypted) != 0) {
    BOP_LET(opened, decrypt(record));
    bytes = opened;
  }
  if ((record.encoding & kPayloadCompressed) == 0) return bytes;
  return decompress(record, bytes);
}

Result<std::span<const std::byte>> PayloadDecoder::decrypt(const RecordView& record) {
  if (record.payload.size() < kSealBytes) {
    return fail(ErrorCode::kCorrupt, "the record with LSN {} is too short for an encrypted one",
                record.lsn.value);
  }
  std::uint64_t id = 0;
  std::memcpy(&id, record.payload.data(), sizeof id);
  const std::shared_ptr<const DataKey> key = keys_ ? keys_->find(id) : nullptr;
  if (!key) {
    return std::unexpected(
        error(
            ErrorCode::kEncryptionKeyMissing,
            "the record with LSN {} of database {} is encrypted with the data key {:016x}, which is not there",
            record.lsn.value, record.database.value, id)
            .hint(keys_ ? "Put back the file keys.0 or keys.1 that held it, of this directory or of a backup."
                        : "Set log_encryption_key_file to the key-encryption key of this log."));
  }
  if (!aead_.has_value() || aead_key_ != id) {
    BOP_LET(aead, Aead::make(key->key));
    aead_ = std::move(aead);
    aead_key_ = id;
  }
  Nonce nonce;
  std::memcpy(nonce.data(), record.payload.data() + 8, nonce.size());
  const auto text = record.payload.subspan(kSealHeadBytes, record.payload.size() - kSealBytes);
  opened_.resize(text.size());
  if (!aead_->open(nonce,
                   associated({id, record.database, record.kind, record.encoding, record.flags,
                               record.producer, record.sequence}),
                   text, record.payload.last<kTagBytes>(), opened_)) {
    return fail(ErrorCode::kCorrupt,
                "the record with LSN {} of database {} is not what was encrypted with the data key {:016x}",
                record.lsn.value, record.database.value, id);
  }
  return opened_;
}

Result<std::span<const std::byte>> PayloadDecoder::decompress(const RecordView& record,
                                                              std::span<const std::byte> stored) {
  const auto damaged = [&](std::string_view what) {
    return fail(ErrorCode::kCorrupt, "the record with LSN {} of database {} does not decompress: {}",
                record.lsn.value, record.database.value, what);
  };
  std::uint32_t magic = 0;
  std::memcpy(&magic, stored.data(), std::min(sizeof magic, stored.size()));
  if (magic != ZSTD_MAGICNUMBER ||
      ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) {
    return damaged("it is not one frame of zstd");
  }
  const unsigned long long size = ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (size > kMostPlainBytes) return damaged("it does not say its size, or more than 64 MiB");  // errors, too
  if (!decompressor_) decompressor_.reset(ZSTD_createDCtx());
  if (!decompressor_) return fail(ErrorCode::kOutOfMemory, "zstd has no memory to decompress a record");
  plain_.resize(static_cast<std::size_t>(size));
  const std::size_t got =
      ZSTD_decompressDCtx(decompressor_.get(), plain_.data(), plain_.size(), stored.data(), stored.size());
  if (ZSTD_isError(got) != 0) return damaged(ZSTD_getErrorName(got));
  if (got != plain_.size()) return damaged("it is shorter than it says");
  return plain_;
}

}  // namespace bop::aof
