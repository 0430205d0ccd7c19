#include "backup/label.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "base/crc64.hpp"
#include "base/whole_file.hpp"

namespace bop::backup {

namespace {

using Words = std::vector<std::string_view>;

Words words_of(std::string_view line) {
  Words words;
  for (;;) {
    const std::size_t blank = line.find(' ');
    words.push_back(line.substr(0, blank));
    if (blank == std::string_view::npos) return words;
    line.remove_prefix(blank + 1);
  }
}

template <class Number>
bool number_of(std::string_view word, Number& out, int base = 10) {
  const auto [end, bad] = std::from_chars(word.data(), word.data() + word.size(), out, base);
  return bad == std::errc() && end == word.data() + word.size();
}

bool identity_of(std::string_view word, aof::StreamIdentity& out) {
  if (word.size() != out.size() * 2) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!number_of(word.substr(i * 2, 2), out[i], 16)) return false;
  }
  return true;
}

std::string check_line(std::string_view before) { return fmt::format("check {:016x}\n", crc64(0, before)); }

bool parse_line(const Words& words, Label& out) {
  const std::string_view what = words[0];
  const std::size_t count = words.size();
  if (what == "state" && count == 2) {
    out.complete = words[1] == "complete";
    return out.complete || words[1] == "partial";
  }
  if (what == "identity" && count == 2) return identity_of(words[1], out.identity);
  if (what == "timeline" && count == 2) return number_of(words[1], out.timeline.value);
  if (what == "consistent" && count == 3) {
    return number_of(words[1], out.consistent.value) && number_of(words[2], out.consistent_us);
  }
  if (what == "end" && count == 3) {
    return number_of(words[1], out.end.value) && number_of(words[2], out.end_us);
  }
  if (what == "taken" && count == 3) {
    return number_of(words[1], out.began_us) && number_of(words[2], out.taken_us);
  }
  if (what == "database" && count == 6) {
    LabelDatabase database;
    int done = 0;
    const bool right = number_of(words[1], database.id.value) && number_of(words[2], database.base.value) &&
                       number_of(words[3], done) && (done == 0 || done == 1) &&
                       number_of(words[4], database.pages) && number_of(words[5], database.checksum, 16);
    database.done = done == 1;
    out.databases.push_back(database);
    return right;
  }
  if (what == "log" && count == 4) {
    auto& log = out.logs.emplace_back();
    return number_of(words[1], log.number) && number_of(words[2], log.bytes) &&
           number_of(words[3], log.checksum, 16);
  }
  if (what == "file" && count == 4) {
    auto& file = out.files.emplace_back();
    file.name = words[3];
    return number_of(words[1], file.bytes) && number_of(words[2], file.checksum, 16) &&
           !file.name.starts_with('/') && file.name.find("..") == std::string::npos;
  }
  return false;
}

}  // namespace

std::uint64_t Label::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& database : databases) sum += std::uint64_t{database.pages} * kPageBytes;
  for (const auto& log : logs) sum += log.bytes;
  for (const auto& file : files) sum += file.bytes;
  return sum;
}

std::string print_label(const Label& label) {
  std::string out = fmt::format("bop-backup {}\nstate {}\nidentity ", kBackupFormat,
                                label.complete ? "complete" : "partial");
  for (const std::uint8_t byte : label.identity) out += fmt::format("{:02x}", byte);
  out += fmt::format("\ntimeline {}\nconsistent {} {}\nend {} {}\ntaken {} {}\n", label.timeline.value,
                     label.consistent.value, label.consistent_us, label.end.value, label.end_us,
                     label.began_us, label.taken_us);
  for (const auto& database : label.databases) {
    out += fmt::format("database {} {} {} {} {:016x}\n", database.id.value, database.base.value,
                       database.done ? 1 : 0, database.pages, database.checksum);
  }
  for (const auto& log : label.logs) {
    out += fmt::format("log {} {} {:016x}\n", log.number, log.bytes, log.checksum);
  }
  for (const auto& file : label.files) {
    out += fmt::format("file {} {:016x} {}\n", file.bytes, file.checksum, file.name);
  }
  return out + check_line(out);
}

Result<Label> parse_label(std::string_view text, const std::string& path) {
  const auto damaged = [&](std::string_view why) {
    return std::unexpected(error(ErrorCode::kCorrupt, "{} is damaged: {}", path, why)
                               .hint("Take a new backup into another directory."));
  };
  std::uint32_t version = 0;
  const std::string_view first = text.substr(0, text.find('\n'));
  if (!first.starts_with("bop-backup ") || !number_of(first.substr(11), version)) {
    return fail(ErrorCode::kCorrupt, "{} is no label of a backup of BOP", path);
  }
  if (version > kBackupFormat) {
    return fail(ErrorCode::kFormatTooNew, "{} has format {}, this program knows {}", path, version,
                kBackupFormat);
  }
  const std::size_t check = text.rfind("check ");
  if (check == std::string_view::npos || text.substr(check) != check_line(text.substr(0, check))) {
    return damaged("its checksum is wrong");
  }
  Label label;
  std::string_view rest = text.substr(first.size() + 1, check - first.size() - 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos || !parse_line(words_of(rest.substr(0, end)), label)) {
      return damaged(fmt::format("it says \"{}\"", rest.substr(0, end)));
    }
    rest.remove_prefix(end + 1);
  }
  return label;
}

std::string log_path(const std::string& directory, std::uint64_t number) {
  return directory + "/log/" + aof::segment_name(number);
}
std::string database_path(const std::string& directory, DatabaseId id) {
  return fmt::format("{}/db/{}", directory, id.value);
}

Result<std::string> read_file(Disk& disk, const std::string& path) {
  BOP_LET(file, disk.open(path, OpenMode::kRead));
  BOP_LET(size, file->size());
  std::string text(static_cast<std::size_t>(size), '\0');
  BOP_LET(got, file->read_at(ByteOffset(0), std::as_writable_bytes(std::span(text))));
  text.resize(got);
  return text;
}

Result<std::optional<Label>> read_label(Disk& disk, const std::string& directory) {
  const std::string path = directory + "/" + kLabelName;
  BOP_LET(exists, disk.exists(path));
  if (!exists) return std::nullopt;
  BOP_LET(text, read_file(disk, path));
  return parse_label(text, path);
}

Status write_label(Disk& disk, const std::string& directory, const Label& label) {
  return write_whole_file(disk, directory, kLabelName, print_label(label));
}

}  // namespace bop::backup
