#include "rowstore/wal_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace bop::rowstore {

WalMemory::Frames::~Frames() {
  for (std::size_t i = 0; i < memory_chunks; ++i) {
    if (std::byte* chunk = chunks[i].load(std::memory_order_relaxed)) ::munmap(chunk, kChunkBytes);
  }
}

WalMemory::WalMemory(std::uint64_t memory_limit, OpenScratch open_scratch)
    : frames_(std::make_shared<Frames>(
          open_scratch ? std::clamp<std::size_t>(memory_limit / kChunkBytes, 1, kMaxChunks) : kMaxChunks,
          std::move(open_scratch))) {}

WalMemory::WalMemory(const WalMemory& other, std::uint32_t frames) : frames_(other.frames_) {
  if (frames == 0) return;
  header_ = other.header_;
  size_ = kWalHeaderBytes + frames * std::uint64_t{kFrameBytes};
  BOP_ASSERT(size() <= other.size());
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
    if (frames_->chunks[chunk].load(std::memory_order_relaxed) != nullptr) return {};
    void* memory = ::mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return fail(ErrorCode::kOutOfMemory, "no memory for {} bytes of WAL", kChunkBytes);
    frames_->chunks[chunk].store(static_cast<std::byte*>(memory), std::memory_order_release);
    return {};
  }
  if (chunk >= kMaxChunks) {
    return fail(ErrorCode::kInsufficientResources, "the WAL has reached {} bytes", kMaxChunks * kChunkBytes);
  }
  const std::size_t wanted = chunk - frames_->memory_chunks + 1;
  if (wanted <= frames_->scratch_chunks) return {};
  if (!frames_->scratch) {
    BOP_LET(file, frames_->open_scratch());
    frames_->scratch = std::move(file);
  }
  BOP_TRY(frames_->scratch->prewrite(frames_->scratch_chunks * kChunkBytes, wanted * kChunkBytes));
  frames_->scratch_chunks = wanted;
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
      BOP_LET(got, frames_->scratch->read_at(
                       scratch_offset(place.chunk - frames_->memory_chunks, place.offset), out.first(n)));
      if (got != n) return fail(ErrorCode::kIo, "the WAL's scratch file is shorter than written");
    } else {
      std::memcpy(out.data(), frames_->chunks[place.chunk].load(std::memory_order_acquire) + place.offset, n);
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
        BOP_TRY(frames_->scratch->write_at(scratch_offset(place.chunk - frames_->memory_chunks, place.offset),
                                           bytes.first(n)));
      } else {
        std::memcpy(frames_->chunks[place.chunk].load(std::memory_order_relaxed) + place.offset, bytes.data(),
                    n);
      }
      bytes = bytes.subspan(n);
      at += n;
    }
  }
  // Stored also when a WAL that began anew overwrites its old bytes: a reader's acquire of the size is what
  // orders its reads after this write.
  size_.store(std::max(end, size()), std::memory_order_release);
  return {};
}

void WalMemory::truncate(std::uint64_t size) noexcept {
  if (size < this->size()) size_.store(size, std::memory_order_release);
}

Result<const std::byte*> WalMemory::frame(std::uint32_t number, std::span<std::byte> buffer) const {
  BOP_ASSERT(number >= 1 && buffer.size() >= kFrameBytes);
  const std::size_t chunk = (number - 1) / kFramesPerChunk;
  const std::size_t offset = (number - 1) % kFramesPerChunk * kFrameBytes;
  if (!in_scratch(chunk)) return frames_->chunks[chunk].load(std::memory_order_acquire) + offset;
  BOP_LET(got, frames_->scratch->read_at(scratch_offset(chunk - frames_->memory_chunks, offset),
                                         buffer.first(kFrameBytes)));
  if (got != kFrameBytes) return fail(ErrorCode::kIo, "the WAL's scratch file is shorter than written");
  return buffer.data();
}

}  // namespace bop::rowstore
