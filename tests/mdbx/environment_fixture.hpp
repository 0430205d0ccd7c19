// A folder with an environment, removed at the end.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "mdbx/environment.hpp"

namespace bop::mdbx::test {

class Folder {
 public:
  explicit Folder(const std::string& where = std::filesystem::temp_directory_path()) {
    path_ = where + "/bop-mdbx-XXXXXX";
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  ~Folder() {
    std::error_code none;
    std::filesystem::remove_all(path_, none);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// For ASSERT_TRUE(ok(...)): prints the error.
template <class T>
testing::AssertionResult ok(const Result<T>& result) {
  if (result.has_value()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << info(result.error().code()).name << ": " << result.error().what();
}

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Options small(const Folder& folder) {
  Options options;
  options.directory = folder.path() + "/env";
  options.max_bytes = std::uint64_t{16} << 20U;
  options.growth_bytes = std::uint64_t{64} << 10U;
  options.max_readers = 8;
  return options;
}

// Puts one pair in a write of its own.
inline Status put(Environment& environment, Table table, const Key& key, std::string_view value) {
  return environment.write(
      [&](WriteTransaction& transaction) { return transaction.put(table, key, as_bytes(value)); });
}

inline std::string get(Environment& environment, Table table, const Key& key) {
  auto read = environment.read();
  if (!read) return "error: " + read.error().what();
  const auto found = read->get(table, key);
  if (!found) return "error: " + found.error().what();
  return found->has_value() ? text_of(**found) : "nothing";
}

}  // namespace bop::mdbx::test
