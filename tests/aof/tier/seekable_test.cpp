// The seekable form of segments: what is written is read, by us and by zstd; whatever was changed is noticed.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "aof/tier/seekable_fixture.hpp"
#include "base/crc64.hpp"

namespace bop::aof::test {
namespace {

std::vector<std::byte> file_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(Seekable, AnImageOfAnySizeComesBackWholeAndInParts) {
  for (const std::size_t bytes : {0U, 1U, 4096U, 65535U, 65536U, 65537U, 131072U, 700001U}) {
    SCOPED_TRACE(bytes);
    const auto image = image_of(bytes + 1, bytes);
    const auto packed = pack(image).value();
    EXPECT_EQ(packed.facts.image_bytes, bytes);
    EXPECT_EQ(packed.facts.frames, frames_of(bytes, kDefaultFrameBytes));
    EXPECT_EQ(packed.facts.image_checksum, crc64(0, image));
    EXPECT_EQ(packed.facts.file_bytes, packed.bytes.size());
    EXPECT_EQ(packed.facts.file_checksum, crc64(0, packed.bytes));
    EXPECT_LE(packed.bytes.size(), most_seekable_bytes(bytes, kDefaultFrameBytes));
    const auto reader = SeekableReader::open(range_of(packed.bytes), packed.bytes.size(), "f").value();
    EXPECT_EQ(reader.image_bytes(), bytes);
    EXPECT_EQ(reader.image_checksum(), packed.facts.image_checksum);
    EXPECT_TRUE(ok(reader.verify()));
    EXPECT_EQ(unpack(packed.bytes).value(), image);
    SimRandom dice(bytes);
    for (int i = 0; i < 200; ++i) {
      const std::size_t at = dice.below(bytes + 1);
      std::vector<std::byte> part(dice.below(std::min<std::size_t>(bytes - at, 150000) + 1));
      ASSERT_TRUE(ok(reader.read(at, part)));
      ASSERT_TRUE(std::ranges::equal(part, std::span(image).subspan(at, part.size())));
    }
    std::vector<std::byte> beyond(1);
    EXPECT_EQ(reader.read(bytes, beyond).error().code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(reader.read(UINT64_MAX, beyond).error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Seekable, TheBytesDependOnImageAndLevelAlone) {
  const auto image = image_of(3, 900000);
  const auto once = pack(image).value();
  const RunAll threads = [](std::span<const std::function<void()>> jobs) {
    std::vector<std::jthread> running;
    for (const auto& job : jobs) running.emplace_back(job);
  };
  for (const std::size_t at_once : {1U, 3U, 4U, 64U}) {
    for (const std::size_t piece : {0U, 1000U, 65536U}) {
      const auto again = pack(image, {.frames_at_once = at_once, .run_all = threads}, piece).value();
      EXPECT_EQ(again.bytes, once.bytes) << at_once << " " << piece;
      EXPECT_EQ(again.facts.file_checksum, once.facts.file_checksum);
    }
  }
  EXPECT_NE(pack(image, {.level = 9}).value().bytes, once.bytes);
}

TEST(Seekable, TheStandardToolRestoresTheImageBitForBit) {
  if (std::system("command -v zstd > /dev/null") != 0) GTEST_SKIP() << "zstd is not installed";
  const auto folder =
      std::filesystem::temp_directory_path() / ("bop-seekable-" + std::to_string(system_random().u64()));
  std::filesystem::create_directories(folder);
  for (const std::size_t bytes : {0U, 4096U, 1000000U}) {
    const auto image = image_of(bytes, bytes);
    const auto packed = pack(image).value();
    std::ofstream(folder / "image.zst", std::ios::binary)
        .write(reinterpret_cast<const char*>(packed.bytes.data()),
               static_cast<std::streamsize>(packed.bytes.size()));
    const std::string command = "zstd -q -t '" + (folder / "image.zst").string() + "' && zstd -q -d -f '" +
                                (folder / "image.zst").string() + "' -o '" + (folder / "image").string() +
                                "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
    EXPECT_EQ(file_bytes(folder / "image"), image);
  }
  std::filesystem::remove_all(folder);
}

// Made by github.com/SaveTheRbtz/zstd-seekable-format-go 0.7.1 (frames of 100, 1, 700 and 50 lines, with
// checksums) and by pyzstd 0.20.0 (frames of 3000 bytes, without).
TEST(Seekable, FilesOfOtherWritersOpenWhereTheyAreWelcome) {
  std::string text;
  for (int i = 0; i <= 850; ++i) text += "line " + std::to_string(i) + "\n";
  const auto wanted = std::as_bytes(std::span(text));
  const std::filesystem::path golden = std::filesystem::path(std::getenv("BOP_SOURCE_DIR")) / "tests/golden";
  for (const auto& [name, has_checksums] :
       std::map<std::string, bool>{{"lines-go.zst", true}, {"lines-pyzstd.zst", false}}) {
    SCOPED_TRACE(name);
    const auto file = file_bytes(golden / "seekable" / name);
    ASSERT_FALSE(file.empty());
    EXPECT_EQ(SeekableReader::open(range_of(file), file.size(), name).error().code(), ErrorCode::kCorrupt);
    const auto reader = SeekableReader::open(range_of(file), file.size(), name, {.foreign = true}).value();
    EXPECT_TRUE(reader.tables().is_foreign);
    EXPECT_EQ(reader.tables().has_xxh64, has_checksums);
    EXPECT_GT(reader.tables().frames.size(), 2U);
    ASSERT_EQ(reader.image_bytes(), wanted.size());
    EXPECT_TRUE(ok(reader.verify()));
    for (std::size_t at = 0; at < wanted.size(); at += 97) {
      std::vector<std::byte> part(std::min<std::size_t>(1500, wanted.size() - at));
      ASSERT_TRUE(ok(reader.read(at, part)));
      ASSERT_TRUE(std::ranges::equal(part, wanted.subspan(at, part.size())));
    }
    if (!has_checksums) continue;
    auto damaged = file;
    const std::size_t entry = file.size() - kSeekFooterBytes - kSeekEntryBytes;  // of the last frame
    damaged[entry + 8] ^= std::byte{1};
    EXPECT_EQ(unpack(damaged, {.foreign = true}).error().code(), ErrorCode::kCorrupt);
  }
}

TEST(Seekable, OneRecordIsOneRangeAndNeighboursTravelTogether) {
  const auto image = image_of(11, 3U << 20U);
  const auto packed = pack(image).value();
  Reads reads;
  const auto reader = SeekableReader::open(reads.range(packed.bytes), packed.bytes.size(), "f").value();
  ASSERT_EQ(reads.sizes.size(), 1U) << "the tables are one range";
  reads.sizes.clear();
  std::vector<std::byte> record(1000);
  for (std::uint64_t frame = 0; frame < reader.tables().frames.size(); ++frame) {
    ASSERT_TRUE(ok(reader.read(frame * kDefaultFrameBytes + 500, record)));
  }
  EXPECT_EQ(reads.sizes.size(), reader.tables().frames.size());
  reads.sizes.clear();
  std::vector<std::byte> all(image.size());
  ASSERT_TRUE(ok(reader.read(0, all)));
  EXPECT_EQ(all, image);
  std::size_t bytes = 0;
  for (const std::size_t size : reads.sizes) {
    EXPECT_LE(size, kMostRangeBytes);
    bytes += size;
  }
  // No two neighbouring ranges would have fitted into one.
  for (std::size_t i = 1; i < reads.sizes.size(); ++i) {
    EXPECT_GT(reads.sizes[i - 1] + reads.sizes[i], kMostRangeBytes) << i;
  }
  EXPECT_EQ(bytes, packed.bytes.size() - table_bytes(packed.facts.frames)) << "nothing is read twice";
}

TEST(Seekable, TablesBeyondTheFirstReadTakeASecondOne) {
  const auto image = image_of(2, 16U << 20U);
  const auto packed = pack(image, {.level = 1, .frame_bytes = kLeastFrameBytes}).value();
  ASSERT_GT(table_bytes(packed.facts.frames), 64U << 10U);
  Reads reads;
  const auto reader = SeekableReader::open(reads.range(packed.bytes), packed.bytes.size(), "f").value();
  EXPECT_EQ(reads.sizes.size(), 2U);
  EXPECT_EQ(reads.sizes.back(), table_bytes(packed.facts.frames));
  EXPECT_TRUE(ok(reader.verify()));
}

TEST(Seekable, EveryFlippedBitIsNoticedAndNoWrongByteComesOut) {
  const auto image = image_of(5, 10000);
  const auto packed = pack(image, {.frame_bytes = kLeastFrameBytes}).value();
  ASSERT_EQ(packed.facts.frames, 3U);
  std::vector<std::byte> file = packed.bytes;
  std::vector<std::byte> part(4096);
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    auto opened = SeekableReader::open(range_of(file), file.size(), "f");
    bool noticed = !opened.has_value();
    for (std::size_t at = 0; opened.has_value() && at < image.size(); at += part.size()) {
      const auto into = std::span(part).first(std::min(part.size(), image.size() - at));
      if (!opened->read(at, into).has_value()) {
        noticed = true;
      } else {
        ASSERT_TRUE(std::ranges::equal(into, std::span(image).subspan(at, into.size()))) << "bit " << bit;
      }
    }
    EXPECT_TRUE(noticed) << "bit " << bit;
    file[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
}

TEST(Seekable, AFileCutAnywhereOrWithBytesBehindItIsNotOpened) {
  const auto packed = pack(image_of(6, 9000), {.frame_bytes = kLeastFrameBytes}).value();
  for (std::size_t bytes = 0; bytes < packed.bytes.size(); ++bytes) {
    const auto cut = std::span(packed.bytes).first(bytes);
    EXPECT_FALSE(SeekableReader::open(range_of(cut), bytes, "f").has_value()) << bytes;
    const auto rest = std::span(packed.bytes).subspan(bytes + 1);
    EXPECT_FALSE(SeekableReader::open(range_of(rest), rest.size(), "f").has_value()) << bytes;
  }
  auto longer = packed.bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(SeekableReader::open(range_of(longer), longer.size(), "f").has_value());
}

// Tables that are sound by their checksums and lie about sizes.
TEST(Seekable, TablesThatPromiseTooMuchAreRefusedBeforeAnythingIsTaken) {
  const auto packed = pack(image_of(7, 200000)).value();
  const auto reader = SeekableReader::open(range_of(packed.bytes), packed.bytes.size(), "f").value();
  const auto with = [&](const SeekableTables& tables) {
    std::vector<std::byte> file(
        packed.bytes.begin(),
        packed.bytes.end() - static_cast<std::ptrdiff_t>(table_bytes(packed.facts.frames)));
    const auto tail = encode_tables(tables);
    file.insert(file.end(), tail.begin(), tail.end());
    return unpack(file);
  };
  ASSERT_TRUE(ok(with(reader.tables())));
  SeekableTables tables = reader.tables();
  tables.frames[1].image_bytes = UINT32_MAX;
  EXPECT_EQ(with(tables).error().code(), ErrorCode::kProgramLimitExceeded);
  tables.frames[1].image_bytes = kMostFrameBytes + 1;
  EXPECT_EQ(with(tables).error().code(), ErrorCode::kProgramLimitExceeded);
  tables = reader.tables();
  tables.frames.back().image_bytes += 1;  // another frame says less than it holds
  tables.image_bytes += 1;
  EXPECT_EQ(with(tables).error().code(), ErrorCode::kCorrupt);
  tables = reader.tables();
  tables.frame_bytes = 65537;
  EXPECT_EQ(with(tables).error().code(), ErrorCode::kCorrupt);
  tables = reader.tables();
  tables.frames[0].bytes -= 1;
  tables.frames[1].bytes += 1;
  EXPECT_EQ(with(tables).error().code(), ErrorCode::kCorrupt);
  tables = reader.tables();
  tables.frames[2].xxh64_low ^= 1U;
  EXPECT_EQ(with(tables).error().code(), ErrorCode::kCorrupt);
  // Many frames of nothing.
  SeekableTables many = reader.tables();
  many.frames.resize((1U << 17U) + 1, {.bytes = 1, .image_bytes = 65536});
  EXPECT_EQ(with(many).error().code(), ErrorCode::kProgramLimitExceeded);
  EXPECT_EQ(unpack(packed.bytes, {.image_bytes = 199999}).error().code(), ErrorCode::kProgramLimitExceeded);
}

TEST(Seekable, AFrameFromAnotherFileIsNoticed) {
  const auto one = pack(image_of(8, 130000)).value();
  const auto other = pack(image_of(9, 130000)).value();
  auto mixed = one.bytes;
  const auto frame =
      SeekableReader::open(range_of(one.bytes), one.bytes.size(), "f").value().tables().frames[0];
  std::copy_n(other.bytes.begin(), frame.bytes, mixed.begin());
  EXPECT_EQ(unpack(mixed).error().code(), ErrorCode::kCorrupt);
}

TEST(Seekable, OptionsOutsideTheirRangeAndFailedSinksAreAnswered) {
  const auto image = image_of(1, 200000);
  EXPECT_EQ(pack(image, {.level = 0}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(pack(image, {.level = 20}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(pack(image, {.frame_bytes = 5000}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(pack(image, {.frames_at_once = 0}).error().code(), ErrorCode::kInvalidArgument);
  int calls = 0;
  auto writer = SeekableWriter::open(
                    [&](std::span<const std::byte>) -> Status {
                      if (++calls == 2) return fail(ErrorCode::kDiskFull, "full");
                      return {};
                    },
                    {})
                    .value();
  EXPECT_EQ(writer.write(image).error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(writer.write(image).error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(writer.finish().error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(calls, 2);
}

TEST(Seekable, ManyThreadsReadAtTheSameTime) {
  const auto image = image_of(21, 1U << 20U);
  const auto packed = pack(image).value();
  const auto reader = SeekableReader::open(range_of(packed.bytes), packed.bytes.size(), "f").value();
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        SimRandom dice(t);
        for (int i = 0; i < 100; ++i) {
          const std::size_t at = dice.below(image.size() - 5000);
          std::vector<std::byte> part(dice.below(5000));
          if (!reader.read(at, part).has_value() ||
              !std::ranges::equal(part, std::span(image).subspan(at, part.size()))) {
            ++wrong;
          }
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

// Mutations of a corpus, ours and others': never a crash, never more than the limits, and whatever of ours is
// read is right.
TEST(Seekable, SeededMutationsOfFilesNeverHarm) {
  const auto image = image_of(31, 20000);
  const std::filesystem::path golden = std::filesystem::path(std::getenv("BOP_SOURCE_DIR")) / "tests/golden";
  const std::vector<std::vector<std::byte>> corpus = {
      pack(image, {.frame_bytes = kLeastFrameBytes}).value().bytes, pack(image).value().bytes,
      pack({}).value().bytes, file_bytes(golden / "seekable/lines-go.zst"),
      file_bytes(golden / "seekable/lines-pyzstd.zst")};
  std::size_t opened = 0, read = 0;
  for (std::uint64_t seed = 1; seed <= 40000; ++seed) {
    SimRandom dice(seed);
    auto file = corpus[dice.below(corpus.size())];
    const std::size_t tail = std::min<std::size_t>(file.size(), 300);
    for (std::uint64_t i = 1 + dice.below(3); i > 0 && !file.empty(); --i) {
      // Mostly in the tables, where the promises stand.
      const std::size_t at = dice.chance(2, 3) ? file.size() - 1 - dice.below(std::min(tail, file.size()))
                                               : dice.below(file.size());
      switch (dice.below(5)) {
        case 0: file[at] ^= static_cast<std::byte>(1U << dice.below(8)); break;
        case 1: file[at] = static_cast<std::byte>(dice.below(256)); break;
        case 2: file.resize(at); break;
        case 3:
          file.insert(file.begin() + static_cast<std::ptrdiff_t>(at), dice.below(20), std::byte{0xff});
          break;
        default: {
          const std::uint32_t odd[] = {0, 1, 0x7fffffff, 0xffffffff, kSeekTableMagic, 65536};
          const std::uint32_t value = odd[dice.below(std::size(odd))];
          std::memcpy(file.data() + at, &value, std::min<std::size_t>(4, file.size() - at));
        }
      }
    }
    const SeekableLimits limits{.image_bytes = 1U << 20U, .foreign = dice.chance(1, 2)};
    auto reader = SeekableReader::open(range_of(file), file.size(), "f", limits);
    if (!reader.has_value()) continue;
    ++opened;
    ASSERT_LE(reader->image_bytes(), 1U << 20U);
    std::vector<std::byte> bytes(static_cast<std::size_t>(reader->image_bytes()));
    if (!reader->read(0, bytes).has_value()) continue;
    ++read;
    if (!reader->tables().is_foreign) {
      ASSERT_TRUE(bytes.empty() || bytes == image) << seed;
    }
  }
  EXPECT_GT(opened, 400U);
  EXPECT_GT(read, 200U);
}

}  // namespace
}  // namespace bop::aof::test
