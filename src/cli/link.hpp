// A blocking connection to a node: a socket under wire::pg::Client.
#pragma once

#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "cli/database_url.hpp"
#include "cli/tls_client.hpp"
#include "wire/pg/client.hpp"

namespace bop::cli {

// Connects to `host`, a name or an address; the descriptor, or one sentence that says why not.
[[nodiscard]] Result<int> connect_socket(const std::string& host, std::uint16_t port);

class Link : private wire::pg::ClientEvents {
 public:
  // What an answer does; all calls come from `run` and `open`.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void columns(const std::vector<wire::pg::ClientColumn>& columns) = 0;
    virtual void row(const std::vector<std::optional<std::string_view>>& cells) = 0;
    virtual void complete(std::string_view tag) = 0;
    virtual void error(const wire::pg::ReportFields& fields) = 0;
    virtual void notice(const wire::pg::ReportFields& fields) = 0;
    virtual void copy_out(std::string_view bytes) = 0;
    // The next piece of COPY FROM STDIN; nullopt is the end. With an error the COPY fails by its text.
    virtual Result<std::optional<std::string>> copy_in() = 0;
    // Nothing has come for a while; asked a few times a second.
    virtual void waiting() {}
  };

  // `interrupted`: set by a signal, cleared by its owner before a statement; the one that runs is then
  // cancelled. May be null.
  explicit Link(Sink& sink, volatile std::sig_atomic_t* interrupted = nullptr);
  ~Link() override;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  [[nodiscard]] Status open(const DatabaseUrl& url);
  // Sends one query and reads to ReadyForQuery. An error of the statement is the sink's; an error here is the
  // end of the connection.
  [[nodiscard]] Status run(std::string_view text);
  // The same with another sink, for what the program itself wants to know.
  [[nodiscard]] Status run(std::string_view text, Sink& sink);
  [[nodiscard]] char transaction() const noexcept { return transaction_; }
  // What the server has told of itself.
  [[nodiscard]] const std::map<std::string, std::string>& parameters() const { return client_.parameters(); }
  // A statement runs: nothing else may be asked, not even by what is called meanwhile.
  [[nodiscard]] bool is_busy() const noexcept { return busy_; }

 private:
  [[nodiscard]] Status exchange();
  [[nodiscard]] Status send_copy_data();
  [[nodiscard]] bool is_interrupted() const { return interrupted_ != nullptr && *interrupted_ != 0; }
  [[nodiscard]] Status send();
  // Sleeps until something has come, and cancels the statement when asked to.
  [[nodiscard]] Status wait();
  void cancel() const;
  [[nodiscard]] Status ask_for_tls(const DatabaseUrl& url);
  [[nodiscard]] Result<std::size_t> receive(std::span<char> bytes);

  void columns(const std::vector<wire::pg::ClientColumn>& columns) override { sink_->columns(columns); }
  void row(const std::vector<std::optional<std::string_view>>& cells) override { sink_->row(cells); }
  void complete(std::string_view tag) override { sink_->complete(tag); }
  void error(const wire::pg::ReportFields& fields) override;
  void notice(const wire::pg::ReportFields& fields) override { sink_->notice(fields); }
  void copy_out(std::string_view bytes) override { sink_->copy_out(bytes); }
  void copy_in_ready() override { copy_in_ = true; }
  void ready(char transaction) override;

  Sink* sink_;
  volatile std::sig_atomic_t* interrupted_;
  DatabaseUrl url_;
  wire::pg::Client client_;
  int socket_ = -1;
  std::optional<TlsClient> tls_;
  bool opening_ = false;
  bool ready_ = false;
  bool busy_ = false;
  bool copy_in_ = false;
  bool cancelled_ = false;  // the statement that runs
  char transaction_ = 'I';
  std::optional<Error> refusal_;  // an error while opening, or a fatal one
};

}  // namespace bop::cli
