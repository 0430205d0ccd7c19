// What is special about the local directory.
#include "objstore/directory_world.hpp"

namespace bop::objstore {
namespace {

struct DirectoryTest : ::testing::Test {
  SimScheduler world{5};
  SimDisk disk{5};
  SimDirectoryStore directory{world, disk, "root"};
  Result<ObjectMeta> put(const std::string& key, std::string_view text, PutCondition condition = {},
                         CallOptions options = {}) {
    Answer<ObjectMeta> answer;
    directory.store().put(key, body_of(text), std::move(condition), options, answer.completion());
    return directory.run(answer);
  }
  Result<ListPage> list(const std::string& prefix, const std::string& after) {
    Answer<ListPage> answer;
    directory.store().list(prefix, after, {}, answer.completion());
    return directory.run(answer);
  }
};

TEST_F(DirectoryTest, AnObjectAndAFolderCannotShareAName) {
  ASSERT_TRUE(put("a/b", "x").has_value());
  EXPECT_EQ(code_of(put("a", "x")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(put("a/b/c", "x")), ErrorCode::kInvalidArgument);
  Answer<ObjectMeta> head;
  directory.store().head("a", {}, head.completion());
  EXPECT_EQ(code_of(directory.run(head)), ErrorCode::kObjectNotFound);
  Answer<std::vector<std::byte>> get;
  directory.store().get("a/b/c", std::nullopt, {}, get.completion());
  EXPECT_EQ(code_of(directory.run(get)), ErrorCode::kObjectNotFound);
}

TEST_F(DirectoryTest, PagesOfAThousandInOrder) {
  std::vector<std::string> keys;
  for (int i = 0; i < 2500; ++i) keys.push_back(fmt::format("f{}/{:04}", i % 3, i));
  for (const std::string& key : keys) ASSERT_TRUE(put(key, "x").has_value());
  std::ranges::sort(keys);
  std::vector<std::string> found;
  std::string after;
  std::vector<std::size_t> sizes;
  for (bool more = true; more;) {
    const auto page = list("f", after);
    ASSERT_TRUE(page.has_value());
    sizes.push_back(page->objects.size());
    for (const ObjectMeta& object : page->objects) found.push_back(object.key);
    more = page->more;
    after = found.back();
  }
  EXPECT_EQ(found, keys);
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1000, 1000, 500}));
}

TEST_F(DirectoryTest, FilesOfOthersAreNotListed) {
  ASSERT_TRUE(put("a", "x").has_value());
  for (const char* name : {"root/.hidden", "root/with space"}) {
    ASSERT_TRUE(disk.open(name, OpenMode::kCreate).has_value());
  }
  EXPECT_EQ(list("", "")->objects.size(), 1U);
}

// Another process holds the lock: the call waits for it until its deadline, and names what it waited for.
TEST_F(DirectoryTest, ALockThatIsHeldIsWaitedFor) {
  ASSERT_TRUE(put("register", "1", if_absent()).has_value());
  auto lock = disk.lock("root/.lock");
  ASSERT_TRUE(lock.has_value());
  const auto refused = put("register", "2", {}, {.deadline = std::chrono::milliseconds(300)});
  ASSERT_EQ(code_of(refused), ErrorCode::kObjectStoreUnavailable);
  EXPECT_NE(refused.error().what().find(".lock"), std::string::npos) << refused.error().what();
  Answer<ObjectMeta> answer;
  directory.store().put("register", body_of("3"), {}, {}, answer.completion());
  world.run_for(std::chrono::milliseconds(200));
  EXPECT_FALSE(answer.is_told());
  lock->reset();
  EXPECT_TRUE(directory.run(answer).has_value());
}

TEST_F(DirectoryTest, AFullDiskIsToldAndLeavesNothing) {
  ASSERT_TRUE(put("a", "x").has_value());
  disk.set_capacity(disk.used_bytes() + 8192);
  EXPECT_EQ(code_of(put("b", std::string(100'000, 'b'))), ErrorCode::kDiskFull);
  EXPECT_TRUE(disk.list("root/.tmp")->empty());
  disk.set_capacity(0);
  EXPECT_TRUE(put("b", std::string(100'000, 'b')).has_value());
}

// The start of another process removes the body that this one is writing: it is written again.
TEST_F(DirectoryTest, ABodyThatIsTakenAwayIsWrittenAgain) {
  const std::uint64_t before = disk.io_calls();
  ASSERT_TRUE(put("measured", "x").has_value());
  static_cast<void>(before);
  // The rename of the next put fails as it would then.
  disk.fail_call(disk.io_calls() - before - 1, SimFault::kIo);
  EXPECT_TRUE(put("a", "x").has_value());
}

}  // namespace
}  // namespace bop::objstore
