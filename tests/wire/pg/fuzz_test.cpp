// Hostile and badly timed bytes: valid conversations, cut anywhere and changed anywhere.
#include <gtest/gtest.h>

#include <random>

#include "wire/pg/client.hpp"
#include "wire/pg/conversation.hpp"

namespace bop::wire::pg {
namespace {

std::vector<std::string> conversations() {
  const std::string hello = startup({{"user", "bop"}, {"database", "bop"}, {"options", "-c a=b"}});
  return {
      hello + query("BEGIN; ROWS 3; NOTICE; SET; FAIL") + query("") + message('X'),
      hello + parse("s", "ROWS 7", {23}) + named('D', 'S', "s") +
          bind("p", "s", {"1", std::nullopt}, {1, 0}, {0, 1}) + named('D', 'P', "p") + execute("p", 3) +
          message('H') + execute("p", 3) + execute("p") + named('C', 'P', "p") + named('C', 'S', "s") +
          sync() + message('X'),
      hello + query("COPY IN") + message('d', "1\n") + message('d', "bad\n") + message('c') +
          query("COPY IN; ROWS 1") + message('d', "2\n") + message('c') + query("COPY OUT 3") +
          query("COPY IN") + text_message('f', "why") + message('F', "call"),
      hello + parse("", "BAD") + bind("", "") + sync() + parse("", "COPY IN") + bind("", "") + execute("") +
          message('d', "x\n") + message('c') + sync() + query("ROWS 2"),
      startup({{"user", "bop"}, {"_pq_.x", "y"}}, (3u << 16) | 9) + query("PARAMETERS"),
  };
}

std::string whole_answer(const std::vector<std::string_view>& pieces) {
  Conversation c;
  std::string out;
  for (const std::string_view piece : pieces) out += c.say(piece);
  return out;
}

TEST(Fuzz, EverySplitGivesTheSameAnswer) {
  for (const std::string& bytes : conversations()) {
    const std::string expected = whole_answer({bytes});
    EXPECT_GT(expected.size(), 50u);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      const std::string_view view = bytes;
      ASSERT_EQ(whole_answer({view.substr(0, cut), view.substr(cut)}), expected) << cut;
    }
    std::vector<std::string_view> single;
    for (std::size_t i = 0; i < bytes.size(); ++i) single.push_back(std::string_view(bytes).substr(i, 1));
    EXPECT_EQ(whole_answer(single), expected);
  }
}

std::string mutated(std::string bytes, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (std::size_t change = 1 + below(4); change > 0 && !bytes.empty(); --change) {
    const std::size_t at = below(bytes.size());
    switch (below(6)) {
      case 0: bytes[at] = static_cast<char>(random()); break;
      case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
      case 2: bytes.erase(at, 1 + below(8)); break;
      case 3: bytes.insert(at, std::string(1 + below(8), static_cast<char>(random()))); break;
      case 4: bytes.insert(at, bytes.substr(below(bytes.size()), below(40))); break;
      case 5: bytes.resize(at); break;
    }
  }
  return bytes;
}

// Whatever arrives, the machine neither crashes nor stops in the middle: its output is whole messages, and
// either it has ended or it takes input (or waits for the rest of a message).
TEST(Fuzz, MutatedConversationsNeverCrashOrHang) {
  const auto corpus = conversations();
  std::size_t ended = 0, alive = 0;
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    std::mt19937_64 random(seed);
    const std::string bytes = mutated(corpus[random() % corpus.size()], random);
    Conversation c(random() % 4 != 0);
    c.services.tls = random() % 2 == 0 ? Services::Tls::kOn : Services::Tls::kOff;
    std::string out;
    if (random() % 4 == 0) out = c.say(request_code(kSslCode));
    if (c.connection->wants_tls()) c.connection->tls_started({.version = "TLSv1.3"}, "hash");
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t length = std::min(bytes.size() - at, 1 + random() % 200);
      out += c.say(std::string_view(bytes).substr(at, length));
      at += length;
      if (c.connection->wants_tls()) c.connection->tls_started({.version = "TLSv1.3"}, "hash");
      for (int turn = 0; turn < 100 && !c.connection->wants_input() && !c.connection->is_closing(); ++turn) {
        if (c.factory.last != nullptr) c.factory.last->let_go();
        c.connection->advance();
        out += c.take();
      }
    }
    out.erase(0, std::min(out.size(), out.find_first_not_of("NS")));
    (void)split(out);
    ASSERT_TRUE(c.connection->is_closing() || c.connection->wants_input() || c.connection->held_by()) << seed;
    ++(c.connection->is_closing() ? ended : alive);
  }
  // The mutations reach both ends.
  EXPECT_GT(ended, 1000u);
  EXPECT_GT(alive, 1000u);
}

TEST(Fuzz, RandomBytesAreNoStartup) {
  for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
    std::mt19937_64 random(seed);
    std::string bytes;
    append_big_endian<std::uint32_t>(bytes, static_cast<std::uint32_t>(8 + random() % 64));
    append_big_endian<std::uint32_t>(bytes,
                                     random() % 2 == 0 ? 3u << 16 : static_cast<std::uint32_t>(random()));
    for (int i = 0; i < 64; ++i) bytes += static_cast<char>(random() % 3 == 0 ? 0 : random());
    Conversation c;
    c.say(bytes);
  }
}

// The client's half reads what a server may have broken.
TEST(Fuzz, ClientSurvivesMutatedAnswers) {
  struct Ignore final : ClientEvents {
    void columns(const std::vector<ClientColumn>&) override {}
    void row(const std::vector<std::optional<std::string_view>>& cells) override { count += cells.size(); }
    void complete(std::string_view) override {}
    void error(const ReportFields&) override {}
    void notice(const ReportFields&) override {}
    void copy_out(std::string_view) override {}
    void copy_in_ready() override {}
    void ready(char) override {}
    std::size_t count = 0;
  };
  std::vector<std::string> answers;
  for (const std::string& bytes : conversations()) answers.push_back(whole_answer({bytes}));
  CountingRandom entropy;
  for (std::uint64_t seed = 1; seed <= 10'000; ++seed) {
    std::mt19937_64 random(seed);
    Ignore events;
    Client client(events, entropy);
    (void)client.feed(mutated(answers[random() % answers.size()], random));
  }
}

}  // namespace
}  // namespace bop::wire::pg
