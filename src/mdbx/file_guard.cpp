#include "mdbx/file_guard.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/crc64.hpp"
#include "mdbx/environment.hpp"
#include "mdbx/error_map.hpp"

namespace bop::mdbx {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }

 private:
  int number_;
};

struct Sum {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  friend bool operator==(const Sum&, const Sum&) = default;
};

std::unexpected<Error> failed(const std::string& path, std::string_view doing) {
  return std::unexpected(error_of(errno, path, doing));
}

// Of the data file; nothing when there is none.
Result<std::optional<Sum>> sum_of(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) {
    if (errno == ENOENT) return std::nullopt;
    return failed(path, "open");
  }
  std::vector<std::byte> buffer(std::size_t{256} << 10U);
  Sum sum;
  for (;;) {
    const ::ssize_t got = ::read(file.number(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, "read");
    if (got == 0) return sum;
    sum.bytes += static_cast<std::uint64_t>(got);
    sum.checksum = crc64(sum.checksum, std::span(buffer).first(static_cast<std::size_t>(got)));
  }
}

constexpr std::string_view kMagic = "BOPMDBX1";
using SealBytes = std::array<std::byte, 32>;

SealBytes encode(const Sum& sum) noexcept {
  SealBytes bytes{};
  std::memcpy(bytes.data(), kMagic.data(), 8);
  std::memcpy(bytes.data() + 8, &sum.bytes, 8);
  std::memcpy(bytes.data() + 16, &sum.checksum, 8);
  const std::uint64_t own = crc64(0, std::span(bytes).first(24));
  std::memcpy(bytes.data() + 24, &own, 8);
  return bytes;
}

Status sync_folder(const std::string& directory) {
  const Descriptor folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || ::fsync(folder.number()) != 0) return failed(directory, "sync the folder");
  return {};
}

// The seal's bytes, as many as there are up to one more than it has; nothing when there is none.
Result<std::optional<std::vector<std::byte>>> read_seal(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) {
    if (errno == ENOENT) return std::nullopt;
    return failed(path, "open");
  }
  std::vector<std::byte> bytes(sizeof(SealBytes) + 1);
  const ::ssize_t got = ::pread(file.number(), bytes.data(), bytes.size(), 0);
  if (got < 0) return failed(path, "read");
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

Status remove_name(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed(path, "remove");
  return {};
}

}  // namespace

Status read_file_through(const std::string& directory) {
  BOP_TRY(sum_of(directory + "/" + kDataFile));
  return {};
}

Status enter_guarded(const std::string& directory) {
  const std::string seal_path = directory + "/" + kSealFile;
  const std::string lives_path = directory + "/" + kLivesFile;
  BOP_LET(sum, sum_of(directory + "/" + kDataFile));
  BOP_LET(seal, read_seal(seal_path));
  bool is_fresh = !sum.has_value();
  if (sum.has_value() && seal.has_value()) {
    const SealBytes expected = encode(*sum);
    if (seal->size() != expected.size() || std::memcmp(seal->data(), expected.data(), expected.size()) != 0) {
      return fail(ErrorCode::kCorrupt,
                  "{}: changed after it was closed: it is not the file that its seal says", directory);
    }
    is_fresh = true;
  }
  struct ::stat lives{};
  const bool has_lives = ::stat(lives_path.c_str(), &lives) == 0;
  if (!is_fresh && has_lives && static_cast<std::size_t>(lives.st_size) >= kMostLives) {
    return fail(ErrorCode::kCorrupt, "{}: {} processes in turn ended without closing it", directory,
                lives.st_size);
  }
  if (seal.has_value()) {
    BOP_TRY(remove_name(seal_path));
    BOP_TRY(sync_folder(directory));  // before the first change of the file
  }
  if (is_fresh) BOP_TRY(remove_name(lives_path));
  const Descriptor file(::open(lives_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::byte life{0};
  if (!file.is_open() || ::write(file.number(), &life, 1) != 1) return failed(lives_path, "write");
  return {};
}

void leave_guarded(const std::string& directory) noexcept {
  const auto sum = sum_of(directory + "/" + kDataFile);
  if (!sum.has_value() || !sum->has_value()) return;
  const SealBytes bytes = encode(**sum);
  const std::string path = directory + "/" + kSealFile;
  {
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const bool is_whole =
        file.is_open() &&
        ::write(file.number(), bytes.data(), bytes.size()) == static_cast<::ssize_t>(bytes.size()) &&
        ::fsync(file.number()) == 0;
    if (!is_whole) {
      (void)::unlink(path.c_str());
      return;
    }
  }
  (void)::unlink((directory + "/" + kLivesFile).c_str());
  (void)sync_folder(directory);
}

}  // namespace bop::mdbx
