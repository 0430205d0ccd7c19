// Both ends of a conversation for tests: builds what a client sends, reads what the server answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.hpp"
#include "wire/pg/connection.hpp"
#include "wire/pg/fake_session.hpp"
#include "wire/pg/message.hpp"

namespace bop::wire::pg {

class NoExecutor final : public Executor {
 public:
  void post(Task) override { BOP_ASSERT(false); }
  TimerId post_after(std::chrono::nanoseconds, Task) override { return 0; }
  bool cancel(TimerId) override { return true; }
  bool is_current() const noexcept override { return true; }
  bool hand_off() override { return false; }
};

// Counts up, so that a conversation can be repeated byte by byte.
class CountingRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) noexcept override {
    for (std::byte& b : out) b = static_cast<std::byte>(++next_);
  }

 private:
  unsigned char next_ = 0;
};

// ---- what a client sends
inline std::string startup(const std::vector<std::pair<std::string, std::string>>& options,
                           std::uint32_t version = 3u << 16) {
  std::string out(4, '\0');
  append_big_endian(out, version);
  for (const auto& [name, value] : options) out.append(name).append(1, '\0').append(value).append(1, '\0');
  out.push_back('\0');
  store_length(out, 0, out.size());
  return out;
}
inline std::string request_code(std::uint32_t code) {
  std::string out;
  append_big_endian<std::uint32_t>(out, 8);
  append_big_endian(out, code);
  return out;
}
inline std::string message(char type, std::string_view body = {}) {
  std::string out;
  MessageWriter(out, static_cast<Frontend>(type)).bytes(body);
  return out;
}
inline std::string text_message(char type, std::string_view text) {
  std::string out;
  MessageWriter(out, static_cast<Frontend>(type)).string(text);
  return out;
}
inline std::string query(std::string_view text) { return text_message('Q', text); }
inline std::string parse(std::string_view name, std::string_view text, const std::vector<Oid>& types = {}) {
  std::string out;
  MessageWriter m(out, Frontend::kParse);
  m.string(name).string(text).integer(static_cast<std::uint16_t>(types.size()));
  for (const Oid type : types) m.integer(type);
  return out;
}
inline std::string bind(std::string_view portal, std::string_view statement,
                        const std::vector<std::optional<std::string>>& values = {},
                        const std::vector<std::int16_t>& result_formats = {},
                        const std::vector<std::int16_t>& formats = {}) {
  std::string out;
  MessageWriter m(out, Frontend::kBind);
  m.string(portal).string(statement).integer(static_cast<std::uint16_t>(formats.size()));
  for (const auto f : formats) m.integer(f);
  m.integer(static_cast<std::uint16_t>(values.size()));
  for (const auto& v : values) {
    if (v) {
      m.integer(static_cast<std::int32_t>(v->size())).bytes(*v);
    } else {
      m.integer(std::int32_t{-1});
    }
  }
  m.integer(static_cast<std::uint16_t>(result_formats.size()));
  for (const auto f : result_formats) m.integer(f);
  return out;
}
inline std::string named(char type, char kind, std::string_view name) {
  std::string out;
  MessageWriter(out, static_cast<Frontend>(type)).byte(kind).string(name);
  return out;
}
inline std::string execute(std::string_view portal, std::int32_t limit = 0) {
  std::string out;
  MessageWriter(out, Frontend::kExecute).string(portal).integer(limit);
  return out;
}
inline std::string sync() { return message('S'); }

// ---- what the server answers
struct Answer {
  char type;
  std::string body;
  // The field of an ErrorResponse or NoticeResponse; empty without.
  [[nodiscard]] std::string field(char code) const {
    MessageReader reader(body);
    while (!reader.failed()) {
      const char c = reader.byte();
      if (c == '\0') break;
      const std::string_view text = reader.string();
      if (c == code) return std::string(text);
    }
    return "";
  }
};

inline std::vector<Answer> split(std::string_view bytes) {
  std::vector<Answer> out;
  while (!bytes.empty()) {
    BOP_ASSERT(bytes.size() >= 5);
    const auto length = load_big_endian<std::uint32_t>(bytes.data() + 1);
    BOP_ASSERT(bytes.size() >= length + 1);
    out.push_back({bytes[0], std::string(bytes.substr(5, length - 4))});
    bytes.remove_prefix(length + 1);
  }
  return out;
}
inline std::string types_of(const std::vector<Answer>& answers) {
  std::string out;
  for (const Answer& a : answers) out += a.type;
  return out;
}

// A connection, its peer and everything around it.
struct Conversation {
  explicit Conversation(bool trust = true) : services{factory, keys, random, "a secret of the node"} {
    services.trust_loopback = trust;
    services.max_message_bytes = 1 << 20;
    open();
  }
  void open() {
    connection = std::make_unique<Connection>(services, executor, "127.0.0.1", true, [this] { ++wakes; });
  }
  // Bytes that may be sent after feeding `bytes`.
  std::string say(std::string_view bytes) {
    connection->feed(bytes);
    return take();
  }
  std::string take() {
    std::string out;
    for (std::string part = take_once(); !part.empty(); part = take_once()) {
      out += part;
      connection->advance();
    }
    return out;
  }
  std::string take_once() {
    std::string out(connection->sendable());
    connection->sent(out.size());
    return out;
  }
  std::vector<Answer> answers(std::string_view bytes) { return split(say(bytes)); }
  std::string types(std::string_view bytes) { return types_of(answers(bytes)); }
  void log_in() { say(startup({{"user", "bop"}})); }

  NoExecutor executor;
  CountingRandom random;
  session::FakeFactory factory;
  CancelKeys keys{random};
  Services services;
  std::unique_ptr<Connection> connection;
  int wakes = 0;
};

}  // namespace bop::wire::pg
