// /status.json: how the node is, for its page and for whoever asks by hand (docs/operations.md).
//
// Everything is bounded: at most kMostSessions sessions, kMostDatabases databases, kMostSegments segments and
// kMostWaits waiters of one lock are told by name, what is beyond them is counted. Made when it is asked for.
// One thread at a time: that of the executor it was started on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/json.hpp"
#include "base/settings.hpp"
#include "base/time.hpp"
#include "server/details_access.hpp"
#include "server/recent_activity.hpp"
#include "server/storage.hpp"
#include "wire/http/pages.hpp"

namespace bop::server {

class NodeStatus {
 public:
  static constexpr std::size_t kMostSessions = 100;
  static constexpr std::size_t kMostDatabases = 100;
  static constexpr std::size_t kMostSegments = 64;
  static constexpr std::size_t kMostWaits = 20;

  // Everything given outlives the executor's loop. `connections`: open clients, with or without a session.
  NodeStatus(Storage& storage, const Settings& settings, Disk& disk, std::string data_dir,
             DetailsAccess access, std::function<std::size_t()> connections);

  void start(Executor& executor) { recent_.start(executor); }
  [[nodiscard]] wire::http::Page page(const wire::http::Request& request) const;

 private:
  struct Limits {
    std::uint64_t connections, log_bytes, log_retain, segment, unacknowledged, readers;
  };
  // A condition of the table "Alarms" in docs/operations.md.
  struct Attention {
    std::string name, text;
  };
  // What one moment's answer is made of, asked for once.
  struct Moment;

  void write_node(JsonWriter& json, const Moment& now) const;
  void write_activity(JsonWriter& json, std::uint64_t after) const;
  void write_log(JsonWriter& json) const;
  void write_sessions(JsonWriter& json, const Moment& now, bool details) const;
  void write_blocking(JsonWriter& json, const Moment& now) const;
  void write_databases(JsonWriter& json, const Moment& now) const;
  [[nodiscard]] std::vector<Attention> attention(const Moment& now) const;

  Storage& storage_;
  Disk& disk_;
  const std::string data_dir_;
  const Limits limits_;
  DetailsAccess access_;
  std::function<std::size_t()> connections_;
  RecentActivity recent_;
  const std::int64_t started_us_;
};

}  // namespace bop::server
