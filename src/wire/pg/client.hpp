// The client's side of the protocol without a socket: requests in, messages out, answers as events.
//
// Simple protocol and COPY; SCRAM-SHA-256, bound to the channel under TLS; clear text is refused. Used by
// `bop sql` and by tests. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/scram.hpp"
#include "base/time.hpp"
#include "wire/pg/protocol.hpp"

namespace bop::wire::pg {

// The fields of an ErrorResponse or NoticeResponse by their letter.
using ReportFields = std::map<char, std::string>;

struct ClientColumn {
  std::string name;
  Oid type = 0;
};

// What an answer is made of. All calls come from `Client::feed`.
class ClientEvents {
 public:
  virtual ~ClientEvents() = default;
  virtual void columns(const std::vector<ClientColumn>& columns) = 0;
  // nullopt is NULL; the views live as long as the call.
  virtual void row(const std::vector<std::optional<std::string_view>>& cells) = 0;
  virtual void complete(std::string_view tag) = 0;
  virtual void error(const ReportFields& fields) = 0;
  virtual void notice(const ReportFields& fields) = 0;
  virtual void copy_out(std::string_view bytes) = 0;
  virtual void copy_in_ready() = 0;          // answer with copy_data, copy_done or copy_fail
  virtual void ready(char transaction) = 0;  // 'I', 'T' or 'E'
};

class Client {
 public:
  Client(ClientEvents& events, Random& random) : events_(events), random_(random) {}

  // Before start: the peer answers with one byte that is not for `feed`, 'S' (shake hands) or 'N'.
  void request_tls();
  // `end_point`: under TLS, the hash of the server's certificate.
  void start(std::string_view user, std::string password, std::string_view database,
             std::string_view application_name, std::optional<std::string> end_point = std::nullopt);
  void query(std::string_view text);
  void copy_data(std::string_view bytes);
  void copy_done();
  void copy_fail(std::string_view reason);
  void terminate();

  // Errors: kProtocolViolation, kInvalidPassword, kFeatureNotSupported; the connection is of no use after
  // one.
  [[nodiscard]] Status feed(std::string_view bytes);
  // To be sent; the caller empties it.
  [[nodiscard]] std::string& output() noexcept { return output_; }
  [[nodiscard]] std::int32_t process_id() const noexcept { return process_id_; }
  [[nodiscard]] std::int32_t secret() const noexcept { return secret_; }
  [[nodiscard]] const std::map<std::string, std::string>& parameters() const noexcept { return parameters_; }

 private:
  [[nodiscard]] Status on_message(Backend type, std::string_view body);
  [[nodiscard]] Status on_authentication(std::string_view body);
  [[nodiscard]] Status on_row(std::string_view body);
  [[nodiscard]] Status on_columns(std::string_view body);

  ClientEvents& events_;
  Random& random_;
  std::string input_;
  std::string output_;
  std::string password_;
  std::optional<std::string> end_point_;
  std::optional<ScramClient> scram_;
  bool server_proved_ = false;
  std::vector<std::optional<std::string_view>> cells_;
  std::map<std::string, std::string> parameters_;
  std::int32_t process_id_ = 0;
  std::int32_t secret_ = 0;
};

// CancelRequest, for a connection of its own.
[[nodiscard]] std::string cancel_request(std::int32_t process_id, std::int32_t secret);

}  // namespace bop::wire::pg
