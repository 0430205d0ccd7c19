// Measures the index of a log: what a rebuild costs against reading the files, and what a look into it costs.
//
//   aof_index_bench --directory D [--records N] [--value-bytes B] [--rounds R] [--threads T]
//
// Writes N records to a log in D (kept for the next run, if it fits), then in interleaved rounds, each with
// the files' pages dropped from the kernel's cache before:
//   raw      every segment read through with read() in pieces of 1 MiB, one thread: the disk's sequential rate
//   raw T    the same by T threads
//   rebuild  the index made anew by 1 and by T threads
// with the processor time of the first and of the rebuild by one thread: on a machine that is busy with other
// things, that tells what an idle one could do; at the end: bytes of the index that are in memory (mincore)
// and what the process grew by (RSS) after looking for ids all over the log, and how long a look takes, with
// the log's pages in memory and without.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "aof/commit_stream.hpp"
#include "aof/stream_files.hpp"
#include "aof/tier/index_rebuild.hpp"
#include "aof/tier/record_place.hpp"
#include "aof/tier/segment_index.hpp"
#include "base/time.hpp"

namespace {

using namespace bop;
using namespace bop::aof;
using Steady = std::chrono::steady_clock;

struct Settings {
  std::string directory;
  std::uint64_t records = 10'000'000;
  std::size_t value_bytes = 64;
  unsigned rounds = 5;
  unsigned threads = 2;
};

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "aof_index_bench: %s\n", why.c_str());
  std::exit(1);
}
template <class T>
T must(Result<T> result) {
  if (!result.has_value()) stop(result.error().what());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = Steady::now();
  work();
  return std::chrono::duration<double>(Steady::now() - start).count();
}

double processor_seconds() {
  struct ::rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto of = [](const ::timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

void drop_pages(const std::vector<IndexRebuild::Source>& sources) {
  for (const auto& source : sources) {
    const int file = ::open(source.path.c_str(), O_RDONLY);
    (void)::fdatasync(file);
    (void)::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }
}

void read_raw(const std::vector<IndexRebuild::Source>& sources, unsigned threads) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    std::vector<char> buffer(std::size_t{1} << 20U);
    for (std::size_t i = next++; i < sources.size(); i = next++) {
      const int file = ::open(sources[i].path.c_str(), O_RDONLY);
      std::uint64_t left = sources[i].facts.image_bytes();
      while (left > 0) {
        const ::ssize_t got = ::read(file, buffer.data(), std::min<std::uint64_t>(left, buffer.size()));
        if (got <= 0) stop("cannot read " + sources[i].path);
        left -= static_cast<std::uint64_t>(got);
      }
      ::close(file);
    }
  };
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work);
  work();
}

std::uint64_t rss_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * 4096;
}

std::uint64_t in_memory(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY);
  struct ::stat status{};
  ::fstat(file, &status);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* map = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  std::vector<unsigned char> pages((bytes + 4095) / 4096);
  ::mincore(map, bytes, pages.data());
  ::munmap(map, bytes);
  ::close(file);
  return static_cast<std::uint64_t>(
             std::ranges::count_if(pages, [](unsigned char page) { return page & 1; })) *
         4096;
}

std::vector<IndexRebuild::Source> sources_of(Disk& disk, const std::string& directory) {
  const StreamFiles files = must(find_segments(disk, directory));
  std::vector<IndexRebuild::Source> sources;
  for (std::size_t i = 0; i + 1 < files.chain.size(); ++i) {
    auto file = must(disk.open(files.chain[i].path, OpenMode::kRead));
    const SegmentHeader& next = files.chain[i + 1].header;
    sources.push_back({files.chain[i].path,
                       must(find_facts(*file, files.chain[i].header, {next.previous, next.timeline})).facts,
                       next.created_us});
  }
  return sources;
}

void write_log(Disk& disk, const Settings& settings, const std::string& directory) {
  Options options;
  options.directory = directory;
  options.write_bytes = std::size_t{1} << 20U;
  auto stream = must(CommitStream::open(disk, system_clock(), system_random(), options));
  if (stream->appended().value >= settings.records) return;
  const std::vector<std::byte> value(settings.value_bytes, std::byte{0x5a});
  const std::span<const std::byte> payload[] = {value};
  std::vector<RecordInput> batch(
      256, RecordInput{.database = DatabaseId(1), .kind = RecordKind::kRowCommit, .payload = payload});
  while (stream->appended().value < settings.records) {
    must(stream->append(batch));
    if (stream->appended().value % (256 * 64) == 0)
      must(stream->wait_durable(Lsn(stream->appended().value / 2)));
    if (stream->appended().value % (256 * 512) == 0) must(stream->wait_durable(stream->appended()));
    must(stream->maintain());
    disk.poll();
  }
  must(stream->close());
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double rebuild(Disk& disk, const SegmentIndex::Options& options,
               const std::vector<IndexRebuild::Source>& sources, unsigned threads) {
  std::filesystem::remove_all(options.directory);
  auto index = must(SegmentIndex::open(options));
  IndexRebuild work(disk, *index, sources);
  return seconds_of([&] {
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back([&] { must(work.work()); });
    must(work.work());
  });
}

void look(Disk& disk, SegmentIndex& index, const std::vector<IndexRebuild::Source>& sources,
          const char* name) {
  std::mt19937_64 random(1);
  const std::uint64_t last = sources.back().facts.last.index.value;
  std::vector<double> index_us, all_us;
  std::uint64_t walked = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Lsn id(1 + random() % last);
    const auto start = Steady::now();
    const auto entry = must(index.segment_of(id));
    const auto frame = must(index.frame_of(*entry, id));
    const auto found = Steady::now();
    index_us.push_back(std::chrono::duration<double, std::micro>(found - start).count());
    if (i % 10 != 0) continue;
    auto file = must(disk.open(entry->local_path, OpenMode::kRead));
    SegmentHeader header;
    std::vector<std::byte> block(kSegmentHeaderBytes);
    must(file->read_at(ByteOffset(0), block));
    if (decode_segment_header(block, header) != HeaderState::kValid) stop("a header is damaged");
    const auto place =
        must(place_of_id(*file, {header, entry->facts.records_end, entry->last_id()}, frame, id));
    if (!place.has_value() || place->index_was_wrong || place->id != id) stop("the index is wrong");
    walked += place->walked_bytes;
    all_us.push_back(std::chrono::duration<double, std::micro>(Steady::now() - start).count());
  }
  std::printf("%s: index p50 %.1f us; with the record, verified, p50 %.1f us, %.0f bytes walked\n", name,
              median(index_us), median(all_us),
              static_cast<double>(walked) / static_cast<double>(all_us.size()));
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Measures the index of a log");
  app.add_option("--directory", settings.directory)->required();
  app.add_option("--records", settings.records);
  app.add_option("--value-bytes", settings.value_bytes);
  app.add_option("--rounds", settings.rounds);
  app.add_option("--threads", settings.threads);
  CLI11_PARSE(app, argc, argv);

  auto disk = must(open_system_disk("auto"));
  const std::string log = settings.directory + "/log";
  std::filesystem::create_directories(log);
  write_log(*disk, settings, log);
  const auto sources = sources_of(*disk, log);
  if (sources.empty()) stop("the log has no sealed segment");
  std::uint64_t bytes = 0, records = 0;
  for (const auto& source : sources) {
    bytes += source.facts.image_bytes();
    records += source.facts.entries();
  }
  const double mb = static_cast<double>(bytes) / 1e6;
  std::printf("%zu sealed segments, %llu records, %.0f MB\n", sources.size(),
              static_cast<unsigned long long>(records), mb);

  SegmentIndex::Options options;
  options.directory = settings.directory + "/index";
  options.identity = must(find_segments(*disk, log)).chain.front().header.identity;
  std::vector<double> raw, raw_many, one, many, raw_cpu, one_cpu;
  for (unsigned i = 0; i < settings.rounds; ++i) {
    drop_pages(sources);
    double cpu = processor_seconds();
    raw.push_back(mb / seconds_of([&] { read_raw(sources, 1); }));
    raw_cpu.push_back(1e3 * (processor_seconds() - cpu) / mb);
    drop_pages(sources);
    cpu = processor_seconds();
    one.push_back(mb / rebuild(*disk, options, sources, 1));
    one_cpu.push_back(1e3 * (processor_seconds() - cpu) / mb);
    drop_pages(sources);
    raw_many.push_back(mb / seconds_of([&] { read_raw(sources, settings.threads); }));
    drop_pages(sources);
    many.push_back(mb / rebuild(*disk, options, sources, settings.threads));
    double load = 0;
    std::ifstream("/proc/loadavg") >> load;
    std::printf(
        "round %u: raw %.0f MB/s, by %u threads %.0f; rebuild %.0f MB/s, by %u threads %.0f; load %.1f\n",
        i + 1, raw.back(), settings.threads, raw_many.back(), one.back(), settings.threads, many.back(),
        load);
  }
  const double best_raw = std::max(median(raw), median(raw_many));
  std::printf(
      "medians: raw %.0f and %.0f MB/s; rebuild %.0f and %.0f MB/s = %.0f %% and %.0f %% of the disk\n",
      median(raw), median(raw_many), median(one), median(many), 100 * median(one) / best_raw,
      100 * median(many) / best_raw);
  std::printf("processor time: raw %.2f s/GB, rebuild %.2f s/GB\n", median(raw_cpu), median(one_cpu));

  const std::string file = options.directory + "/" + mdbx::kDataFile;
  const int descriptor = ::open(file.c_str(), O_RDONLY);
  (void)::fsync(descriptor);
  (void)::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
  const std::uint64_t before = rss_bytes();
  auto index = must(SegmentIndex::open(options));
  const std::uint64_t opened = rss_bytes();
  look(*disk, *index, sources, "first looks");
  look(*disk, *index, sources, "again");
  const std::uint64_t after = rss_bytes();
  const auto info = must(index->info());
  const auto share = [&](std::uint64_t value) {
    return static_cast<double>(value) / static_cast<double>(records);
  };
  std::printf(
      "index %llu bytes (%.4f a record); in memory %llu (%.4f); RSS grew by %.4f at its opening, %.4f in all\n",
      static_cast<unsigned long long>(info.used_bytes), share(info.used_bytes),
      static_cast<unsigned long long>(in_memory(file)), share(in_memory(file)),
      share(opened > before ? opened - before : 0), share(after > before ? after - before : 0));
}
