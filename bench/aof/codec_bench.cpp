// Measures what compression and encryption of payloads cost (src/aof/payload_codec.hpp), without a disk:
// encoding a record, and decoding it again, by one thread.
//
//   codec_bench [--seconds S] [--file F]
//
// Payloads are pieces of the file (default: this program), at places that change. Printed for each coding and
// size: microseconds a record (medians of rounds of at least 20 ms), MB (10^6 bytes of payload) a second, and
// stored bytes for each byte given.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "aof/commit_stream.hpp"
#include "aof/payload_codec.hpp"
#include "base/disk.hpp"

namespace {

using Steady = std::chrono::steady_clock;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "codec_bench: %s\n", why.c_str());
  std::exit(1);
}
template <class T>
T must(bop::Result<T> result) {
  if (!result.has_value()) stop(result.error().what());
  return std::move(*result);
}

struct Source {
  std::vector<std::byte> bytes;
  std::uint64_t state = 1;
  std::span<const std::byte> next(std::size_t size) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return std::span<const std::byte>(bytes).subspan((state >> 20U) % (bytes.size() - size + 1), size);
  }
};

double median_of_rounds(double seconds, const std::function<void()>& work) {
  std::vector<double> times;
  for (double sum = 0; times.size() < 3 || sum < seconds;) {
    const auto start = Steady::now();
    std::uint64_t count = 0;
    double elapsed = 0;
    do {
      work();
      ++count;
      elapsed = std::chrono::duration<double>(Steady::now() - start).count();
    } while (elapsed < 0.02);
    times.push_back(elapsed / static_cast<double>(count));
    sum += elapsed;
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

void measure(Source& source, const bop::aof::CodecOptions& options,
             const std::shared_ptr<bop::aof::KeyRing>& keys, const char* name, std::size_t size,
             double seconds) {
  bop::aof::PayloadEncoder encoder(options, keys, bop::system_random());
  bop::aof::PayloadDecoder decoder(keys);
  std::uint64_t given = 0, stored = 0;
  std::span<const std::byte> part;
  const auto encode = [&] {
    part = source.next(size);
    const bop::aof::RecordInput record{.database = bop::DatabaseId(1),
                                       .kind = bop::aof::RecordKind::kRowCommit,
                                       .payload = std::span(&part, 1)};
    auto batch = must(encoder.encode(std::span(&record, 1)));
    given += size;
    stored += batch.records[0].payload[0].size();
    return batch;
  };
  const double encoding = median_of_rounds(seconds, [&] { static_cast<void>(encode()); });
  struct Stored {
    std::uint8_t encoding = 0;
    std::vector<std::byte> bytes;
  };
  std::vector<Stored> records;
  while (records.size() < 64) {
    const auto batch = encode();
    const auto payload = batch.records[0].payload[0];
    records.push_back({batch.records[0].encoding, {payload.begin(), payload.end()}});
  }
  std::size_t at = 0;
  const double decoding = median_of_rounds(seconds, [&] {
    const Stored& record = records[at++ % records.size()];
    const bop::aof::RecordView view{.database = bop::DatabaseId(1),
                                    .kind = bop::aof::RecordKind::kRowCommit,
                                    .encoding = record.encoding,
                                    .payload = record.bytes};
    if (must(decoder.decode(view)).size() != size) stop("a payload does not come back");
  });
  const double mb = static_cast<double>(size) / 1e6;
  std::printf(
      "%-8s bytes=%-8zu encode_us=%-8.2f encode_mb_s=%-6.0f decode_us=%-8.2f decode_mb_s=%-6.0f stored=%.2f\n",
      name, size, encoding * 1e6, mb / encoding, decoding * 1e6, mb / decoding,
      static_cast<double>(stored) / static_cast<double>(given));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Compression and encryption of payloads, without a disk."};
  double seconds = 0.5;
  std::string path = "/proc/self/exe";
  app.add_option("--seconds", seconds);
  app.add_option("--file", path);
  CLI11_PARSE(app, argc, argv);
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> text{std::istreambuf_iterator<char>(in), {}};
  Source source;
  const auto bytes = std::as_bytes(std::span(text));
  source.bytes.assign(bytes.begin(), bytes.end());
  if (source.bytes.size() < 1U << 20U) stop(path + " has less than 1 MiB");

  const auto folder = std::filesystem::temp_directory_path() /
                      ("bop-codec-bench-" + std::to_string(bop::system_random().u64()));
  std::filesystem::create_directories(folder);
  auto disk = must(bop::open_system_disk("pwritev"));
  bop::aof::KeyEncryptionKeys by{.source = "bench", .keys = {}};
  by.keys.push_back(bop::aof::make_key_encryption_key(bop::aof::SecretKey(bop::system_random())));
  const auto keys = must(bop::aof::KeyRing::open(
      *disk, bop::system_clock(), bop::system_random(), folder.string(),
      std::make_shared<const bop::aof::KeyEncryptionKeys>(std::move(by)), bop::aof::KeyRing::Mode::kWrite));
  std::filesystem::remove_all(folder);
  for (const std::size_t size : {256UL, 1024UL, 16UL << 10U, 256UL << 10U}) {
    measure(source, {.compress = true}, nullptr, "zstd", size, seconds);
    measure(source, {}, keys, "aes", size, seconds);
    measure(source, {.compress = true}, keys, "both", size, seconds);
  }
  return 0;
}
