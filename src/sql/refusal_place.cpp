#include "sql/refusal_place.hpp"

#include <algorithm>
#include <optional>
#include <ranges>
#include <string>
#include <vector>

#include <pg_query.h>

#include "sql/tree.hpp"

namespace bop::sql {

namespace {

struct Word {
  std::string text;  // in lower case, without quotes
  int start = 0;
};
using Words = std::vector<Word>;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return out;
}

// The tokens of a text without comments.
Words tokens_of(const std::string& text) {
  Words words;
  PgQueryScanResult scanned = pg_query_scan(text.c_str());
  PgQuery__ScanResult* result =
      scanned.error != nullptr
          ? nullptr
          : pg_query__scan_result__unpack(nullptr, scanned.pbuf.len,
                                          reinterpret_cast<const std::uint8_t*>(scanned.pbuf.data));
  if (result != nullptr) {
    for (std::size_t i = 0; i < result->n_tokens; ++i) {
      const PgQuery__ScanToken& token = *result->tokens[i];
      if (token.token == PG_QUERY__TOKEN__SQL_COMMENT || token.token == PG_QUERY__TOKEN__C_COMMENT) continue;
      std::string_view word = std::string_view(text).substr(
          static_cast<std::size_t>(token.start), static_cast<std::size_t>(token.end - token.start));
      if (word.size() > 1 && (word.front() == '"' || word.front() == '\''))
        word = word.substr(1, word.size() - 2);
      words.push_back({.text = lower(word), .start = token.start});
    }
    pg_query__scan_result__free_unpacked(result, nullptr);
  }
  pg_query_free_scan_result(scanned);
  return words;
}

using Phrase = std::vector<std::string>;

// What a refusal names: runs of words in capitals, and quoted names.
std::vector<Phrase> phrases_of(std::string_view what) {
  std::vector<Phrase> phrases;
  Phrase run;
  const auto is_capital = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto end_run = [&] {
    if (!run.empty()) phrases.push_back(std::exchange(run, {}));
  };
  for (std::size_t at = 0; at < what.size();) {
    if (what[at] == '"') {
      end_run();
      const std::size_t end = std::min(what.find('"', at + 1), what.size());
      phrases.push_back({lower(what.substr(at + 1, end - at - 1))});
      at = end + 1;
      continue;
    }
    const std::size_t end = std::min(what.find_first_of(" ,;:()\"", at), what.size());
    const std::string_view word = what.substr(at, end - at);
    if (word.size() > 1 && std::ranges::all_of(word, is_capital)) {
      run.push_back(lower(word));
      at = end + (end < what.size() && what[end] == ' ' ? 1 : 0);
      if (end < what.size() && what[end] != ' ') end_run();
      continue;
    }
    end_run();
    at = std::max(end, at + 1);
  }
  end_run();
  return phrases;
}

// Where the phrase begins; where its words stand with others in between, its last one.
std::optional<int> place_of(const Phrase& phrase, const Words& words) {
  const auto found = std::ranges::search(words, phrase, {}, &Word::text);
  if (!found.empty()) return found.front().start;
  auto at = words.begin();
  int place = 0;
  for (const std::string& word : phrase) {
    at = std::ranges::find(at, words.end(), word, &Word::text);
    if (at == words.end()) return std::nullopt;
    place = (at++)->start;
  }
  return place;
}

}  // namespace

Error placed_refusal(Error why, const ParsedStatement& statement) {
  if (why.code() != ErrorCode::kNotImplemented || why.fields().position != 0 ||
      why.what().find("implemented") == std::string::npos) {
    return why;
  }
  const Words words = tokens_of(statement.text);
  if (words.empty()) return why;
  int place = words.front().start;
  // The clause is named behind its statement.
  for (const Phrase& phrase : phrases_of(why.what()) | std::views::reverse) {
    if (const auto found = place_of(phrase, words)) {
      place = *found;
      break;
    }
  }
  why.mut().position = statement.position(statement.text_offset + place);
  return why;
}

}  // namespace bop::sql
