// Measures the seekable form of segments (src/aof/tier/seekable_format.hpp) in memory, on files that are
// given: compression, decompression of the whole and of single records, and what it saves.
//
//   seekable_bench FILE... [--level 1,3,9] [--threads N] [--seconds S] [--frame-bytes 65536]
//
// A file is cut behind its last byte that is not zero, in blocks of 4096, as the image of a segment is.
// Figures are of the image: MB (10^6 bytes) of it a second, medians of the repetitions that fit into the
// seconds.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "aof/record.hpp"
#include "aof/tier/seekable_reader.hpp"
#include "aof/tier/seekable_writer.hpp"

namespace {

using Steady = std::chrono::steady_clock;

struct Settings {
  std::vector<std::string> files;
  std::vector<int> levels = {1, 3, 9};
  unsigned threads = 1;
  double seconds = 2;
  std::uint32_t frame_bytes = bop::aof::kDefaultFrameBytes;
};

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "seekable_bench: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T must(bop::Result<T> result) {
  if (!result.has_value()) stop(result.error().what());
  return std::move(*result);
}
void must(const bop::Status& status) {
  if (!status.has_value()) stop(status.error().what());
}

std::vector<std::byte> image_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) stop(path + " cannot be read");
  const std::vector<char> text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  std::size_t size = bytes.size();
  while (size > 0 && bytes[size - 1] == std::byte{0}) --size;
  size = std::min<std::size_t>(bop::aof::align_up(size, bop::kDiskBlockBytes), bytes.size());
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

double median_seconds(double budget, const std::function<void()>& work) {
  std::vector<double> times;
  for (double sum = 0; times.size() < 3 || sum < budget;) {
    const auto start = Steady::now();
    work();
    times.push_back(std::chrono::duration<double>(Steady::now() - start).count());
    sum += times.back();
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

void measure(const Settings& settings, const std::string& path, int level) {
  const auto image = image_of(path);
  if (image.empty()) stop(path + " is empty");
  bop::aof::SeekableWriterOptions options{.level = level, .frame_bytes = settings.frame_bytes};
  if (settings.threads > 1) {
    options.frames_at_once = std::size_t{settings.threads} * 4;
    options.run_all = [&](std::span<const std::function<void()>> jobs) {
      std::vector<std::jthread> threads;
      for (unsigned t = 0; t < settings.threads; ++t) {
        threads.emplace_back([&, t] {
          for (std::size_t i = t; i < jobs.size(); i += settings.threads) jobs[i]();
        });
      }
    };
  }
  std::vector<std::byte> file;
  const double compress = median_seconds(settings.seconds, [&] {
    file.clear();
    auto writer = must(bop::aof::SeekableWriter::open(
        [&](std::span<const std::byte> bytes) -> bop::Status {
          file.insert(file.end(), bytes.begin(), bytes.end());
          return {};
        },
        options));
    must(writer.write(image));
    static_cast<void>(must(writer.finish()));
  });
  const auto reader = must(bop::aof::SeekableReader::open(bop::aof::range_of(file), file.size(), path));
  std::vector<std::byte> back(image.size());
  const double decompress = median_seconds(settings.seconds, [&] { must(reader.read(0, back)); });
  if (back != image) stop(path + " does not come back");
  constexpr std::size_t kRecordBytes = 1024;
  std::vector<std::byte> record(std::min(kRecordBytes, image.size()));
  std::uint64_t at = 0;
  constexpr int kReads = 100;
  const double reads = median_seconds(settings.seconds / 4, [&] {
    for (int i = 0; i < kReads; ++i) {
      at = (at * 6364136223846793005ULL + 1442695040888963407ULL);
      must(reader.read((at >> 16U) % (image.size() - record.size() + 1), record));
    }
  });
  const double mb = static_cast<double>(image.size()) / 1e6;
  std::printf(
      "%s level=%d threads=%u frame=%u image_mb=%.1f ratio=%.2f compress_mb_s=%.0f "
      "decompress_mb_s=%.0f record_us=%.0f\n",
      path.substr(path.rfind('/') + 1).c_str(), level, settings.threads, settings.frame_bytes, mb,
      static_cast<double>(image.size()) / static_cast<double>(file.size()), mb / compress, mb / decompress,
      reads / kReads * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The seekable form of log segments, in memory."};
  Settings settings;
  app.add_option("files", settings.files)->required();
  app.add_option("--level", settings.levels)->delimiter(',');
  app.add_option("--threads", settings.threads)->check(CLI::Range(1U, 64U));
  app.add_option("--seconds", settings.seconds);
  app.add_option("--frame-bytes", settings.frame_bytes);
  CLI11_PARSE(app, argc, argv);
  for (const std::string& path : settings.files) {
    for (const int level : settings.levels) measure(settings, path, level);
  }
  return 0;
}
