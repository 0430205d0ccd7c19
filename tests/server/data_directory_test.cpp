#include "server/data_directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace bop::server {
namespace {

class DataDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    disk_ = open_system_disk("pwritev").value();
    std::string name = testing::TempDir() + "bop-data-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ + name) << text; }

  std::unique_ptr<Disk> disk_;
  std::string folder_;
};

TEST_F(DataDirectoryTest, PasswordIsMadeOnceAndOnlyItsOwnerReadsIt) {
  auto directory = DataDirectory::open(*disk_, folder_ + "/data");
  ASSERT_TRUE(directory) << directory.error().what();
  const std::string password = directory->admin_password(system_random()).value();
  EXPECT_GE(password.size(), 20u);
  EXPECT_EQ(password.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  EXPECT_EQ(directory->admin_password(system_random()).value(), password);
  EXPECT_EQ(read_admin_password(folder_ + "/data").value(), password);
  struct stat state{};
  ASSERT_EQ(::stat((folder_ + "/data/admin.password").c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600u);
}

TEST_F(DataDirectoryTest, SecondNodeIsRefused) {
  const std::string path = folder_ + "/data";
  auto first = DataDirectory::open(*disk_, path);
  ASSERT_TRUE(first);
  const auto second = DataDirectory::open(*disk_, path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kLocked);
  EXPECT_NE(second.error().what().find(path), std::string::npos);
}

TEST_F(DataDirectoryTest, NewerFormatIsRefused) {
  write("/format", fmt::format("bop {}\n", kDataFormat + 1));
  const auto refused = DataDirectory::open(*disk_, folder_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFormatTooNew);
}

TEST_F(DataDirectoryTest, ForeignFormatIsRefused) {
  for (const std::string text : {"", "something", "bop x", "bop 0"}) {
    write("/format", text);
    const auto refused = DataDirectory::open(*disk_, folder_);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt);
  }
}

TEST_F(DataDirectoryTest, PathThatCannotBeMadeIsNamed) {
  write("/file", "");
  const auto refused = DataDirectory::open(*disk_, folder_ + "/file/data");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what().find(folder_ + "/file/data"), std::string::npos);
}

TEST_F(DataDirectoryTest, ScratchFilesOfTheLastRunAreGone) {
  {
    ASSERT_TRUE(DataDirectory::open(*disk_, folder_));
  }
  write("/tmp/12-345", "over");
  write("/tmp/notes-1", "not ours");
  ASSERT_TRUE(DataDirectory::open(*disk_, folder_));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/tmp/12-345"));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/tmp/notes-1"));
}

TEST_F(DataDirectoryTest, FolderOfSomethingElseIsRefusedAndNotTouched) {
  for (const std::string name : {"precious.txt", "log", "db", "tmp"}) {
    const std::string path = folder_ + "/of-" + name;
    std::filesystem::create_directories(path + "/tmp");
    std::ofstream(path + "/tmp/1-1") << "precious";
    if (name != "tmp") std::ofstream(path + "/" + name) << "precious";
    const auto refused = DataDirectory::open(*disk_, path);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code(), ErrorCode::kConfigInvalid);
    EXPECT_NE(refused.error().what().find(path), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(path + "/tmp/1-1"));
    EXPECT_FALSE(std::filesystem::exists(path + "/lock"));
    EXPECT_FALSE(std::filesystem::exists(path + "/format"));
  }
}

TEST_F(DataDirectoryTest, InterruptedFirstStartIsTakenUp) {
  write("/lock", "1\n");
  write("/format.new", "bo");
  write("/bop.toml", "");
  ASSERT_TRUE(DataDirectory::open(*disk_, folder_));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/format"));
}

TEST_F(DataDirectoryTest, AddressIsReadBack) {
  auto directory = DataDirectory::open(*disk_, folder_).value();
  EXPECT_FALSE(read_address(folder_));
  ASSERT_TRUE(directory.write_address(format_address({"127.0.0.1", 5432, 8080})));
  const auto address = read_address(folder_).value();
  EXPECT_EQ(address.host, "127.0.0.1");
  EXPECT_EQ(address.pg_port, 5432);
  EXPECT_EQ(address.http_port, 8080);
  directory.remove_address();
  EXPECT_FALSE(read_address(folder_));
}

}  // namespace
}  // namespace bop::server
