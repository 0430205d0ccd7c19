#include "base/whole_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/disk_contract.hpp"
#include "base/sim_disk.hpp"

namespace bop {
namespace {

std::string contents(Disk& disk, const std::string& path) {
  auto file = disk.open(path, OpenMode::kRead);
  return file ? text_of(**file) : "(none)";
}

// At every call the power goes; what was there before, or what was written, is there, and whole.
TEST(WholeFile, IsWrittenWholeOrNotAtAllAndCanBeWrittenAgain) {
  const std::string before(3000, 'b'), after(5000, 'a');
  std::uint64_t k = 1;
  for (bool done = false; !done; ++k) {
    SCOPED_TRACE(k);
    SimDisk disk(k);
    ASSERT_TRUE(disk.create_directories("/data"));
    ASSERT_TRUE(write_whole_file(disk, "/data", "name", before));
    disk.fail_call(k, SimFault::kIo, true);
    done = write_whole_file(disk, "/data", "name", after).has_value();
    disk.power_cut();
    disk.clear_faults();
    const std::string found = contents(disk, "/data/name");
    EXPECT_TRUE(found == after || (!done && found == before)) << found.size();
    ASSERT_TRUE(write_whole_file(disk, "/data", "name", "again"));
    disk.power_cut();
    EXPECT_EQ(contents(disk, "/data/name"), "again");
    EXPECT_EQ(disk.list("/data").value(), std::vector<std::string>{"name"});
  }
  EXPECT_GT(k, 6U);
}

TEST(WholeFile, IsTheOwnersAloneWhateverAnEarlierTryHasLeft) {
  char folder[] = "/tmp/bop-whole-file-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/secret";
  {
    std::ofstream left(path + ".new");
    left << "of an earlier try, and longer than what is written now";
  }
  ASSERT_EQ(::chmod((path + ".new").c_str(), 0644), 0);
  auto disk = open_system_disk("pwritev").value();
  ASSERT_TRUE(write_whole_file(*disk, folder, "secret", "hush\n"));
  EXPECT_EQ(contents(*disk, path), "hush\n");
  struct stat state{};
  ASSERT_EQ(::stat(path.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600U);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bop
