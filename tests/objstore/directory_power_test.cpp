// The power goes, or the process, at every call of the disk: what was told stays, what was not is whole or
// absent.
#include <map>
#include <set>

#include "objstore/directory_world.hpp"

namespace bop::objstore {
namespace {

struct Told {
  std::map<std::string, std::string> there;  // promised
  std::map<std::string, std::set<std::string>>
      or_else;  // what a call whose answer did not come may have left
  std::set<std::string> may_be_gone;
  bool all = true;  // every call of the script was answered with success
};

// One script: objects put if absent in several folders, a register replaced by put if match, an unconditional
// one, one removed. Stops at the first failure, as a process that is being cut off does.
Told run_script(SimScheduler& world, SimDisk& disk) {
  Told told;
  SimDirectoryStore directory(world, disk, "data/archive");
  if (directory.failure()) {
    told.all = false;
    return told;
  }
  RetryingStore& store = directory.store();
  const CallOptions options{.deadline = std::chrono::milliseconds(500)};
  const auto put = [&](const std::string& key, const std::string& text,
                       PutCondition condition) -> std::string {
    if (!told.all) return {};
    Answer<ObjectMeta> answer;
    store.put(key, body_of(text), std::move(condition), options, answer.completion());
    const auto result = directory.run(answer);
    if (!result) {
      told.or_else[key].insert(text);
      told.all = false;
      return {};
    }
    told.there[key] = text;
    return result->etag;
  };
  put("log/segments/0001-a.zst", std::string(10'000, 'a'), if_absent());
  const std::string etag = put("log/register", "epoch 1", if_absent());
  put("log/segments/0002-b.zst", std::string(3'000, 'b'), if_absent());
  const std::string next = put("log/register", "epoch 1, archived 2", if_match(etag));
  put("keys/one", "wrapped", {});
  put("log/register", "epoch 2", if_match(next));
  if (told.all) {
    Answer<std::monostate> answer;
    store.remove("log/segments/0001-a.zst", options, answer.completion());
    if (directory.run(answer)) {
      told.there.erase("log/segments/0001-a.zst");
      told.or_else["log/segments/0001-a.zst"];
    } else {
      told.may_be_gone.insert("log/segments/0001-a.zst");
      told.all = false;
    }
  }
  put("keys/one", "wrapped anew", {});
  return told;
}

void check_what_is_left(SimScheduler& world, SimDisk& disk, const Told& told) {
  SimDirectoryStore directory(world, disk, "data/archive");
  ASSERT_FALSE(directory.failure().has_value()) << directory.failure()->what();
  const CallOptions options;
  Answer<ListPage> listed;
  directory.store().list("", "", options, listed.completion());
  const auto page = directory.run(listed);
  ASSERT_TRUE(page.has_value()) << page.error().what();
  std::map<std::string, std::string> found;
  for (const ObjectMeta& object : page->objects) {
    Answer<std::vector<std::byte>> read;
    directory.store().get(object.key, std::nullopt, options, read.completion());
    const auto bytes = directory.run(read);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().what();
    EXPECT_EQ(bytes->size(), object.bytes);
    found[object.key] = text_of(*bytes);
  }
  for (const auto& [key, text] : told.there) {
    const auto is = found.find(key);
    const auto other = told.or_else.find(key);
    if (is == found.end()) {
      EXPECT_TRUE(told.may_be_gone.contains(key)) << key << " is lost";
    } else {
      EXPECT_TRUE(is->second == text || (other != told.or_else.end() && other->second.contains(is->second)))
          << key << " is \"" << is->second.substr(0, 40) << "\" and was told to be \"" << text.substr(0, 40)
          << '"';
    }
  }
  for (const auto& [key, text] : found) {
    if (told.there.contains(key)) continue;
    const auto other = told.or_else.find(key);
    EXPECT_TRUE(other != told.or_else.end() && other->second.contains(text)) << key << " came from nowhere";
  }
  const auto left = disk.list("data/archive/.tmp");
  ASSERT_TRUE(left.has_value());
  EXPECT_TRUE(left->empty());
}

class Cut : public ::testing::TestWithParam<bool> {};

TEST_P(Cut, AtEveryCallOfTheDisk) {
  const bool power = GetParam();
  std::uint64_t calls = 0;
  {
    SimScheduler world(1);
    SimDisk disk(1);
    EXPECT_TRUE(run_script(world, disk).all);
    calls = disk.io_calls();
  }
  ASSERT_GT(calls, 60U);
  for (std::uint64_t k = 1; k <= calls + 1; ++k) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      SCOPED_TRACE(fmt::format("call {}, seed {}", k, seed));
      SimScheduler world(seed);
      SimDisk disk(seed);
      disk.fail_call(k, SimFault::kIo, true);  // from here on nothing reaches the disk
      const Told told = run_script(world, disk);
      disk.clear_faults();
      if (power) {
        disk.power_cut();
      } else {
        disk.process_kill();
      }
      check_what_is_left(world, disk, told);
      // And what is seen now does not go away with the next cut: what is there is put again as if it were
      // new, and the answer that it is there counts.
      if (!power) {
        Told seen = told;
        {
          SimDirectoryStore directory(world, disk, "data/archive");
          for (const auto& [key, texts] : told.or_else) {
            for (const std::string& text : texts) {
              Answer<ObjectMeta> answer;
              directory.store().put(key, body_of(text), if_absent(), {}, answer.completion());
              const auto again = directory.run(answer);
              if (again) {
                seen.there[key] = text;
              } else {
                EXPECT_EQ(again.error().code(), ErrorCode::kObjectExists) << again.error().what();
                if (!told.there.contains(key)) {
                  seen.there[key] = text;
                }
              }
            }
          }
        }
        disk.power_cut();
        check_what_is_left(world, disk, seen);
      }
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PowerAndProcess, Cut, ::testing::Bool(), [](const auto& about) {
  return about.param ? std::string("Power") : std::string("Process");
});

// Each call fails once and the script goes on: transient errors are retried, a full disk is told as that, and
// what was told stays through a power cut.
TEST(DirectoryFaults, EachCallFailsOnce) {
  std::uint64_t calls = 0;
  {
    SimScheduler world(1);
    SimDisk disk(1);
    run_script(world, disk);
    calls = disk.io_calls();
  }
  for (const SimFault fault : {SimFault::kIo, SimFault::kDiskFull, SimFault::kShort, SimFault::kFailedSync}) {
    for (std::uint64_t k = 1; k <= calls; ++k) {
      SCOPED_TRACE(fmt::format("call {}, fault {}", k, static_cast<int>(fault)));
      SimScheduler world(k);
      SimDisk disk(k);
      disk.fail_call(k, fault);
      const Told told = run_script(world, disk);
      disk.clear_faults();
      disk.power_cut();
      check_what_is_left(world, disk, told);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace bop::objstore
