#include "rowstore/wal_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace bop::rowstore {

WalMemory::WalMemory(std::uint64_t memory_limit, OpenScratch open_scratch)
    : memory_chunks_(open_scratch ? std::clamp<std::size_t>(memory_limit / kChunkBytes, 1, kMaxChunks)
                                  : kMaxChunks),
      open_scratch_(std::move(open_scratch)),
      chunks_(new std::atomic<std::byte*>[memory_chunks_]()) {}

WalMemory::~WalMemory() {
  for (std::size_t i = 0; i < memory_chunks_; ++i) {
    if (std::byte* chunk = chunks_[i].load(std::memory_order_relaxed)) ::munmap(chunk, kChunkBytes);
  }
}

WalMemory::Place WalMemory::place_of(std::uint64_t at) noexcept {
  const std::uint64_t body = at - kWalHeaderBytes;
  const std::size_t offset = body % kChunkBytes;
  return {static_cast<std::size_t>(body / kChunkBytes), offset, kChunkBytes - offset};
}

ByteOffset WalMemory::scratch_offset(std::size_t chunk, std::size_t offset) noexcept {
  return ByteOffset(std::uint64_t{chunk} * kChunkBytes + offset);
}

Status WalMemory::make_chunk(std::size_t chunk) {
  if (!in_scratch(chunk)) {
    if (chunks_[chunk].load(std::memory_order_relaxed) != nullptr) return {};
    void* memory = ::mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return fail(ErrorCode::kOutOfMemory, "no memory for {} bytes of WAL", kChunkBytes);
    chunks_[chunk].store(static_cast<std::byte*>(memory), std::memory_order_release);
    return {};
  }
  if (chunk >= kMaxChunks) {
    return fail(ErrorCode::kInsufficientResources, "the WAL has reached {} bytes", kMaxChunks * kChunkBytes);
  }
  const std::size_t wanted = chunk - memory_chunks_ + 1;
  if (wanted <= scratch_chunks_) return {};
  if (!scratch_) {
    BOP_LET(file, open_scratch_());
    scratch_ = std::move(file);
  }
  BOP_TRY(scratch_->prewrite(scratch_chunks_ * kChunkBytes, wanted * kChunkBytes));
  scratch_chunks_ = wanted;
  return {};
}

Result<std::size_t> WalMemory::read(std::uint64_t at, std::span<std::byte> out) const {
  const std::uint64_t end = size();
  if (at >= end) return 0;
  out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), end - at)));
  const std::size_t all = out.size();
  if (at < kWalHeaderBytes) {
    const std::size_t n = std::min(out.size(), static_cast<std::size_t>(kWalHeaderBytes - at));
    std::memcpy(out.data(), header_.data() + at, n);
    out = out.subspan(n);
    at += n;
  }
  while (!out.empty()) {
    const Place place = place_of(at);
    const std::size_t n = std::min(out.size(), place.room);
    if (in_scratch(place.chunk)) {
      BOP_LET(got,
              scratch_->read_at(scratch_offset(place.chunk - memory_chunks_, place.offset), out.first(n)));
      if (got != n) return fail(ErrorCode::kIo, "the WAL's scratch file is shorter than written");
    } else {
      std::memcpy(out.data(), chunks_[place.chunk].load(std::memory_order_acquire) + place.offset, n);
    }
    out = out.subspan(n);
    at += n;
  }
  return all;
}

Status WalMemory::write(std::uint64_t at, std::span<const std::byte> bytes) {
  const std::uint64_t end = at + bytes.size();
  if (at < kWalHeaderBytes) {
    BOP_ASSERT(end <= kWalHeaderBytes);
    std::memcpy(header_.data() + at, bytes.data(), bytes.size());
  } else {
    while (!bytes.empty()) {
      const Place place = place_of(at);
      const std::size_t n = std::min(bytes.size(), place.room);
      BOP_TRY(make_chunk(place.chunk));
      if (in_scratch(place.chunk)) {
        BOP_TRY(
            scratch_->write_at(scratch_offset(place.chunk - memory_chunks_, place.offset), bytes.first(n)));
      } else {
        std::memcpy(chunks_[place.chunk].load(std::memory_order_relaxed) + place.offset, bytes.data(), n);
      }
      bytes = bytes.subspan(n);
      at += n;
    }
  }
  if (end > size()) size_.store(end, std::memory_order_release);
  return {};
}

void WalMemory::truncate(std::uint64_t size) noexcept {
  if (size < this->size()) size_.store(size, std::memory_order_release);
}

Result<const std::byte*> WalMemory::frame(std::uint32_t number, std::span<std::byte> buffer) const {
  BOP_ASSERT(number >= 1 && buffer.size() >= kFrameBytes);
  const std::size_t chunk = (number - 1) / kFramesPerChunk;
  const std::size_t offset = (number - 1) % kFramesPerChunk * kFrameBytes;
  if (!in_scratch(chunk)) return chunks_[chunk].load(std::memory_order_acquire) + offset;
  BOP_LET(got, scratch_->read_at(scratch_offset(chunk - memory_chunks_, offset), buffer.first(kFrameBytes)));
  if (got != kFrameBytes) return fail(ErrorCode::kIo, "the WAL's scratch file is shorter than written");
  return buffer.data();
}

}  // namespace bop::rowstore
