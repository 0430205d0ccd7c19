#include "sql/plpgsql/scanner.hpp"

#include <algorithm>
#include <memory>

#include <pg_query.h>

#include "sql/tree.hpp"

namespace bop::sql::plpgsql {

namespace {

std::string unquoted(std::string_view text) {
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    out += text[i];
    if (text[i] == '"') ++i;
  }
  return out;
}

Token::Kind kind_of(const PgQuery__ScanToken& token) {
  switch (token.token) {
    case PG_QUERY__TOKEN__IDENT:
    case PG_QUERY__TOKEN__UIDENT: return Token::Kind::kWord;
    case PG_QUERY__TOKEN__SCONST:
    case PG_QUERY__TOKEN__USCONST: return Token::Kind::kString;
    case PG_QUERY__TOKEN__ICONST:
    case PG_QUERY__TOKEN__FCONST: return Token::Kind::kNumber;
    default:
      return token.keyword_kind != PG_QUERY__KEYWORD_KIND__NO_KEYWORD ? Token::Kind::kWord
                                                                      : Token::Kind::kSymbol;
  }
}

}  // namespace

Result<std::vector<Token>> scan(const std::string& text) {
  PgQueryScanResult scanned = pg_query_scan(text.c_str());
  if (scanned.error != nullptr) {
    Error why(ErrorCode::kSyntaxError, scanned.error->message);
    pg_query_free_scan_result(scanned);
    return std::unexpected(std::move(why));
  }
  const std::unique_ptr<PgQuery__ScanResult, void (*)(PgQuery__ScanResult*)> result(
      pg_query__scan_result__unpack(nullptr, scanned.pbuf.len,
                                    reinterpret_cast<const std::uint8_t*>(scanned.pbuf.data)),
      [](PgQuery__ScanResult* r) { pg_query__scan_result__free_unpacked(r, nullptr); });
  pg_query_free_scan_result(scanned);
  if (result == nullptr)
    return fail(ErrorCode::kStatementTooComplex, "the block is too complex to be unpacked");
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < result->n_tokens; ++i) {
    const PgQuery__ScanToken& token = *result->tokens[i];
    if (token.token == PG_QUERY__TOKEN__SQL_COMMENT || token.token == PG_QUERY__TOKEN__C_COMMENT) continue;
    Token made{.kind = kind_of(token),
               .word = text.substr(static_cast<std::size_t>(token.start),
                                   static_cast<std::size_t>(token.end - token.start)),
               .begin = static_cast<std::size_t>(token.start),
               .end = static_cast<std::size_t>(token.end)};
    if (made.kind == Token::Kind::kWord && made.word.starts_with('"')) {
      made.kind = Token::Kind::kQuoted;
      made.word = unquoted(made.word);
    } else if (made.kind == Token::Kind::kWord) {
      std::ranges::transform(made.word, made.word.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    }
    tokens.push_back(std::move(made));
  }
  tokens.push_back({.kind = Token::Kind::kEnd, .word = {}, .begin = text.size(), .end = text.size()});
  return tokens;
}

}  // namespace bop::sql::plpgsql
