// Files of the server in SQL: what a session may open, and how.
//
// Only below the setting files_directory, and only superusers. A name is relative to it, or an absolute path
// below it; it is resolved with all its symbolic links before it is compared, so `..` and links lead nowhere
// else. (Who can replace files of that directory while a statement opens them decides what is read: it should
// belong to those who may see all that the node can read.) Only regular files are read; a file that is
// written appears under its name when it is complete.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "executor/engine.hpp"
#include "sql/file_table.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/plan.hpp"

namespace bop {
class Disk;
}

namespace bop::session {

class Node;

// A file that COPY TO writes; discarded unless `finish` is called.
class CopyFile {
 public:
  virtual ~CopyFile() = default;
  [[nodiscard]] virtual Status write(std::string_view bytes) = 0;
  [[nodiscard]] virtual Status write(const ResultBatch& rows) = 0;
  // Complete, and under its name.
  [[nodiscard]] virtual Status finish() = 0;
};

class SessionFiles final : public sql::FileCatalog, public bop::FileReader {
 public:
  struct Owner {
    Node* node = nullptr;
    std::function<bool()> is_superuser;
    std::function<Status()> interrupted;
  };
  explicit SessionFiles(Owner owner) : owner_(std::move(owner)) {}

  [[nodiscard]] Result<std::shared_ptr<const sql::FileTable>> describe(sql::FileRequest request) override;
  [[nodiscard]] Result<FileRows> open(std::string_view token, std::uint64_t used) override;
  // The second executor's query over the file as it is now.
  [[nodiscard]] Result<std::string> query(const sql::FileTable& table, const std::vector<bool>& used = {});

  // For COPY. `what`: "COPY from a file".
  [[nodiscard]] Status check_right(std::string_view what) const;
  // The canonical path of a file to read.
  [[nodiscard]] Result<std::string> readable(std::string_view name) const;
  [[nodiscard]] Result<std::unique_ptr<CopyFile>> create(std::string_view name) const;
  [[nodiscard]] Result<std::unique_ptr<CopyFile>> create_parquet(
      std::string_view name, const std::vector<sql::OutputColumn>& columns) const;

 private:
  [[nodiscard]] Result<std::string> directory() const;
  [[nodiscard]] Result<std::string> writable(std::string_view name) const;

  Owner owner_;
};

}  // namespace bop::session
