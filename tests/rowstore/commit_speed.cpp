// Durable one-row commits per second through Connection and CommitStream on this machine's disk: sessions are
// served by one thread, each waits at the output gate for its commit before it begins the next.
//
//   rowstore_commit_speed DIRECTORY [sessions] [seconds] [full|delta]
#include <sqlite3.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>

#include "aof/commit_stream.hpp"
#include "database/database_set.hpp"
#include "raft/single_node_group.hpp"
#include "rowstore/row_store.hpp"

namespace bop::rowstore {
namespace {

// Tasks of one loop; posts come from wherever the disk completes.
class LoopExecutor final : public Executor {
 public:
  void post(Task task) override {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  TimerId post_after(std::chrono::nanoseconds, Task) override { std::abort(); }
  bool cancel(TimerId) override { return false; }
  bool is_current() const noexcept override { return true; }
  bool hand_off() override { return false; }
  std::size_t run() {
    std::deque<Task> now;
    {
      std::lock_guard lock(mutex_);
      now.swap(tasks_);
    }
    for (auto& task : now) task();
    return now.size();
  }

 private:
  std::mutex mutex_;
  std::deque<Task> tasks_;
};

double processor_us() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto us = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  return us(used.ru_utime) + us(used.ru_stime);
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().what().c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

int run(const std::string& directory, std::size_t sessions, double seconds, bool deltas) {
  auto disk = must(open_system_disk("auto"));
  must(disk->create_directories(directory + "/log"));
  auto stream = must(aof::CommitStream::open(*disk, system_clock(), system_random(),
                                             {.directory = directory + "/log", .max_in_flight = 2}));
  auto group = must(raft::SingleNodeGroup::open(std::move(stream)));
  LoopExecutor executor;
  group->stream().on_maintenance(
      [&] { executor.post([&] { static_cast<void>(group->stream().maintain()); }); });
  RowStoreOptions rows{.disk = disk.get(), .scratch_dir = directory + "/tmp", .deltas = deltas};
  auto set = must(database::DatabaseSet::open(
      {.disk = disk.get(),
       .clock = &system_clock(),
       .data_dir = directory,
       .group = group.get(),
       .make_rows = [&](database::Database& database,
                        const std::string& at) -> Result<std::unique_ptr<database::TableEngine>> {
         return RowStore::open(rows, database, at);
       }}));
  auto& store = static_cast<RowStore&>(set->system()->rows());
  Connection& writer = *must(store.writer());
  must(writer.begin_write());
  must(writer.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v BLOB)"));
  must(group->wait_committed(must(writer.commit())));

  using Clock = std::chrono::steady_clock;
  std::vector<double> latencies_us;
  std::uint64_t commits = 0;
  std::deque<std::size_t> ready;
  std::vector<Clock::time_point> began(sessions);
  for (std::size_t i = 0; i < sessions; ++i) ready.push_back(i);
  const auto start = Clock::now();
  const auto stop =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  const auto finished = [&](std::size_t session) {
    latencies_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began[session]).count());
    ++commits;
    ready.push_back(session);
  };
  char value[100] = {};
  while (Clock::now() < stop) {
    for (int batch = 0; batch < 8 && !ready.empty() && !group->must_wait(); ++batch) {
      const std::size_t session = ready.front();
      ready.pop_front();
      began[session] = Clock::now();
      must(writer.begin_write());
      {
        auto insert = must(writer.prepare("INSERT INTO t(v) VALUES(?)"));
        sqlite3_bind_blob(insert.get(), 1, value, sizeof(value), SQLITE_STATIC);
        if (sqlite3_step(insert.get()) != SQLITE_DONE) std::abort();
      }
      const Csn csn = must(writer.commit());
      if (set->gate().when(csn, executor, [&, session](Status s) {
            must(std::move(s));
            finished(session);
          })) {
        finished(session);
      }
    }
    disk->poll();
    executor.run();
    if (ready.empty()) disk->wait();
    executor.run();
    if (store.unchecked_bytes() > (std::uint64_t{64} << 20)) {
      store.checkpoint(executor, [](Result<Lsn> base) { must(std::move(base)); });
    }
  }
  const double took = std::chrono::duration<double>(Clock::now() - start).count();
  std::ranges::sort(latencies_us);
  const auto& metrics = group->stream().metrics();
  const auto numbers = store.numbers();
  std::printf(
      "%s, %zu sessions, %s: %.0f durable commits/s, p50 %.0f us, p99 %.0f us, %.1f commits a write, "
      "%.0f bytes a commit, %llu checkpoints, %.1f us of processor a commit\n",
      std::string(disk->kind()).c_str(), sessions, deltas ? "deltas" : "full pages",
      static_cast<double>(commits) / took, latencies_us[latencies_us.size() / 2],
      latencies_us[latencies_us.size() * 99 / 100],
      static_cast<double>(commits) / static_cast<double>(std::max<std::uint64_t>(1, metrics.writes)),
      static_cast<double>(numbers.record_bytes) / static_cast<double>(numbers.commits),
      static_cast<unsigned long long>(numbers.checkpoints), processor_us() / static_cast<double>(commits));
  must(group->wait_committed(group->appended()));
  executor.run();
  set->close();
  must(group->close());
  return 0;
}

}  // namespace
}  // namespace bop::rowstore

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: rowstore_commit_speed DIRECTORY [sessions] [seconds] [full|delta]\n");
    return 2;
  }
  return bop::rowstore::run(argv[1], argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 64,
                            argc > 3 ? std::strtod(argv[3], nullptr) : 3.0,
                            argc <= 4 || std::string_view(argv[4]) != "full");
}
