// What every Disk promises, run against each implementation.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/disk.hpp"

namespace bop {

// Memory at a multiple of kDiskBlockBytes.
class Aligned {
 public:
  Aligned(std::size_t size, unsigned char fill)
      : data_(static_cast<std::byte*>(std::aligned_alloc(kDiskBlockBytes, size))), size_(size) {
    std::fill_n(data_, size, std::byte{fill});
  }
  ~Aligned() { std::free(data_); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  [[nodiscard]] std::span<std::byte> span() const { return {data_, size_}; }

 private:
  std::byte* data_;
  std::size_t size_;
};

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

inline std::string text_of(File& file, std::uint64_t at = 0, std::size_t most = 1 << 20) {
  std::string out(most, '\0');
  const auto got = file.read_at(ByteOffset(at), std::as_writable_bytes(std::span(out)));
  EXPECT_TRUE(got.has_value()) << got.error().what();
  out.resize(got.value_or(0));
  return out;
}

inline void check_disk_contract(Disk& disk, const std::string& top) {
  ASSERT_TRUE(disk.create_directories(top + "/a/b"));
  ASSERT_TRUE(disk.create_directories(top + "/a/b"));
  EXPECT_TRUE(disk.exists(top + "/a/b").value());
  const std::string path = top + "/a/b/file";
  EXPECT_FALSE(disk.open(top + "/a/b", OpenMode::kOpenOrCreate));
  EXPECT_EQ(disk.open(path, OpenMode::kRead).error().code(), ErrorCode::kFileNotFound);
  EXPECT_EQ(disk.open(path, OpenMode::kReadWrite).error().code(), ErrorCode::kFileNotFound);
  auto file = std::move(*disk.open(path, OpenMode::kCreate));
  EXPECT_EQ(disk.open(path, OpenMode::kCreate).error().code(), ErrorCode::kFileExists);
  EXPECT_EQ(disk.create_directories(path).error().code(), ErrorCode::kFileExists);
  EXPECT_EQ(file->path(), path);
  EXPECT_EQ(file->size().value(), 0u);
  EXPECT_EQ(text_of(*file), "");

  ASSERT_TRUE(file->write_at(ByteOffset(3), bytes_of("hello")));
  EXPECT_EQ(text_of(*file), std::string("\0\0\0hello", 8));
  EXPECT_EQ(text_of(*file, 5, 2), "ll");
  EXPECT_EQ(text_of(*file, 100), "");
  ASSERT_TRUE(file->truncate(4));
  EXPECT_EQ(text_of(*file), std::string("\0\0\0h", 4));
  ASSERT_TRUE(file->truncate(6));
  EXPECT_EQ(text_of(*file), std::string("\0\0\0h\0\0", 6));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.sync_directory(top + "/a/b"));

  ASSERT_TRUE(file->reserve(0, 8 * kDiskBlockBytes));
  EXPECT_EQ(text_of(*file), std::string("\0\0\0h\0\0", 6));
  ASSERT_TRUE(file->prewrite(2, 3 * kDiskBlockBytes));
  EXPECT_EQ(text_of(*file), std::string(3 * kDiskBlockBytes, '\0'));
  ASSERT_TRUE(file->sync());
  std::vector<std::unique_ptr<Aligned>> buffers;
  std::size_t ran = 0;
  for (unsigned i = 0; i < 3; ++i) {
    buffers.push_back(std::make_unique<Aligned>(kDiskBlockBytes, static_cast<unsigned char>('a' + i)));
    file->write_durable(ByteOffset(i * kDiskBlockBytes), buffers.back()->span(), [&](Status status) {
      EXPECT_TRUE(status.has_value()) << status.error().what();
      ++ran;
    });
  }
  EXPECT_EQ(ran, 0u);
  std::size_t reported = 0;
  while (ran < 3) {
    const std::size_t now = disk.wait();
    ASSERT_GT(now, 0u);
    reported += now;
  }
  EXPECT_EQ(reported, 3u);
  EXPECT_EQ(disk.wait(), 0u);
  EXPECT_EQ(disk.poll(), 0u);
  EXPECT_EQ(text_of(*file), std::string(kDiskBlockBytes, 'a') + std::string(kDiskBlockBytes, 'b') +
                                std::string(kDiskBlockBytes, 'c'));

  // The open file follows its name; a rename replaces.
  ASSERT_TRUE(disk.open(top + "/a/other", OpenMode::kOpenOrCreate));
  ASSERT_TRUE(disk.rename(path, top + "/a/other"));
  EXPECT_EQ(disk.rename(path, top + "/a/other").error().code(), ErrorCode::kFileNotFound);
  EXPECT_FALSE(disk.exists(path).value());
  EXPECT_EQ(disk.list(top + "/a").value(), (std::vector<std::string>{"b", "other"}));
  EXPECT_EQ(disk.list(top + "/none").error().code(), ErrorCode::kFileNotFound);
  EXPECT_EQ(text_of(*file, 0, 1), "a");
  auto reopened = std::move(*disk.open(top + "/a/other", OpenMode::kRead));
  EXPECT_EQ(text_of(*reopened, kDiskBlockBytes, 1), "b");
  EXPECT_FALSE(reopened->write_at(ByteOffset(0), bytes_of("x")));

  EXPECT_FALSE(disk.remove(top + "/a"));  // not empty
  ASSERT_TRUE(disk.remove(top + "/a/other"));
  EXPECT_EQ(disk.remove(top + "/a/other").error().code(), ErrorCode::kFileNotFound);
  EXPECT_EQ(text_of(*file, 0, 1), "a");
  ASSERT_TRUE(disk.remove(top + "/a/b"));
  EXPECT_FALSE(disk.exists(top + "/a/b").value());
  EXPECT_GT(disk.free_bytes(top).value(), 0u);

  auto lock = disk.lock(top + "/lock");
  ASSERT_TRUE(lock) << lock.error().what();
  EXPECT_EQ(disk.lock(top + "/lock").error().code(), ErrorCode::kLocked);
  lock->reset();
  EXPECT_TRUE(disk.lock(top + "/lock"));
}

}  // namespace bop
