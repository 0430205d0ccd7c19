// Nodes whose log is compressed and encrypted: backups, restores, checks and repairs read it with the key,
// and say so without.
#include "backup/repair.hpp"
#include "backup/sim_backup.hpp"
#include "backup/verify.hpp"

namespace bop::backup {
namespace {

using testing::SimBackup;
using testing::text_of;

std::shared_ptr<const aof::KeyEncryptionKeys> key_of(std::uint8_t number) {
  std::array<std::byte, aof::kKeyBytes> bytes{};
  bytes.fill(static_cast<std::byte>(number));
  aof::KeyEncryptionKeys keys{.source = "test key", .keys = {}};
  keys.keys.push_back(aof::make_key_encryption_key(aof::SecretKey(bytes)));
  return std::make_shared<const aof::KeyEncryptionKeys>(std::move(keys));
}

class CodedLog : public SimBackup {
 protected:
  CodedLog() {
    codec.compress = true;
    codec.by = key_of(1);
  }
  Result<VerifyReport> look(const std::string& path, std::shared_ptr<const aof::KeyEncryptionKeys> key) {
    return verify(
        {.disk = &disk, .path = path, .scratch_dir = "/scratch", .progress = {}, .log_key = std::move(key)});
  }
};

TEST_F(CodedLog, ABackupThatIsExtendedAfterANewKeyRestoresToEveryCsn) {
  start();
  fill(200);
  work();
  const auto first = back_up(options());
  ASSERT_TRUE(first.has_value()) << text_of(first.error());
  for (int i = 0; i < 3; ++i) {
    BOP_OK(node->group().stream().keys()->rotate());
    work();
    const auto more = back_up(options());
    ASSERT_TRUE(more.has_value()) << text_of(more.error());
    EXPECT_EQ(more->kind, BackupKind::kExtended);
    const auto found = look(directory, codec.by);
    ASSERT_TRUE(found.has_value()) << text_of(found.error());
    EXPECT_TRUE(found->sound());
    expect_restored("/restored" + std::to_string(i));
  }
  expect_restored("/early", first->label.consistent);
}

TEST_F(CodedLog, WithoutItsKeyNothingIsVerifiedAndNothingIsTakenForDamage) {
  start();
  fill(100);
  work();
  auto without = options();
  without.log_key = nullptr;
  EXPECT_EQ(back_up(without).error().code(), ErrorCode::kEncryptionKeyMissing);
  without.verify = false;
  const auto done = back_up(without);
  ASSERT_TRUE(done.has_value()) << text_of(done.error());
  for (const std::string& path : {std::string("/data"), directory}) {
    EXPECT_EQ(look(path, nullptr).error().code(), ErrorCode::kEncryptionKeyMissing);
    EXPECT_EQ(look(path, key_of(2)).error().code(), ErrorCode::kEncryptionKeyWrong);
    const auto found = look(path, codec.by);
    ASSERT_TRUE(found.has_value()) << text_of(found.error());
    EXPECT_TRUE(found->sound());
  }
  expect_restored("/restored");
}

TEST_F(CodedLog, ARottenPageIsTakenFromTheEncryptedLog) {
  rowstore::testing::SimNodeOptions kept;
  kept.segment_bytes = 16U << 20U;
  start(kept);
  fill(100);
  for (int i = 0; i < 4; ++i) work();
  const std::string expected = state(*node);
  node.reset();
  ASSERT_TRUE(disk.flip_bit("/data/db/1/rows.db", 40 * 4096 + 100, 3));
  const auto mended = repair(
      {.verify =
           {.disk = &disk, .path = "/data", .scratch_dir = "/scratch", .progress = {}, .log_key = codec.by},
       .backup = ""});
  ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
  EXPECT_TRUE(mended->sound());
  start(kept);
  EXPECT_EQ(state(*node), expected);
}

// Off again, then on: what is there is read either way.
TEST_F(CodedLog, CompressionComesAndGoes) {
  codec.by = nullptr;
  start();
  fill(50);
  work();
  std::string expected = state(*node);
  codec.compress = false;
  start();
  EXPECT_EQ(state(*node), expected);
  work();
  const auto done = back_up(options());
  ASSERT_TRUE(done.has_value()) << text_of(done.error());
  expected = state(*node);
  codec.compress = true;
  start();
  EXPECT_EQ(state(*node), expected);
  expect_restored("/restored");
}

}  // namespace
}  // namespace bop::backup
