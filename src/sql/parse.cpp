#include "sql/parse.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include <pg_query.h>

#include "sql/parse_nesting.hpp"
#include "sql/statement_kind.hpp"
#include "sql/tree.hpp"

namespace bop::sql {

namespace {

int count_characters(std::string_view s) {
  return static_cast<int>(
      std::ranges::count_if(s, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// The highest parameter number in a tree.
void find_parameters(const ProtobufCMessage* message, int& highest) {
  if (message->descriptor == &pg_query__param_ref__descriptor) {
    highest = std::max(highest, reinterpret_cast<const PgQuery__ParamRef*>(message)->number);
  }
  pg::for_each_child(message, [&](const ProtobufCMessage* child) { find_parameters(child, highest); });
}

Error syntax_error(const PgQueryError& e) {
  const std::string_view what = e.message == nullptr ? "syntax error" : e.message;
  const bool missing = what.ends_with("not implemented") || what.ends_with("not yet implemented");
  const bool bad_text = what.starts_with("invalid byte sequence for encoding");
  Error error(missing    ? ErrorCode::kNotImplemented
              : bad_text ? ErrorCode::kCharacterNotInRepertoire
              : what.starts_with("frame start") || what.starts_with("frame end") ? ErrorCode::kWindowingError
                                                                                 : ErrorCode::kSyntaxError,
              std::string(what));
  // The parser's library hands over no hints; these are the ones of its grammar.
  if (what == "subquery in FROM must have an alias") {
    error.mut().hint = "For example, FROM (SELECT ...) [AS] foo.";
  } else if (what == "VALUES in FROM must have an alias") {
    error.mut().hint = "For example, FROM (VALUES ...) [AS] foo.";
  }
  if (bad_text) {
    return error;
  }
  return std::move(error).at(e.cursorpos);
}

struct Tree {
  PgQuery__ParseResult* root = nullptr;
  Tree() = default;
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() {
    if (root != nullptr) {
      pg_query__parse_result__free_unpacked(root, nullptr);
    }
  }
};

Result<std::shared_ptr<Tree>> parse_tree(const std::string& text) {
  PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(text.c_str());
  if (parsed.error != nullptr) {
    Error e = syntax_error(*parsed.error);
    pg_query_free_protobuf_parse_result(parsed);
    return std::unexpected(std::move(e));
  }
  auto tree = std::make_shared<Tree>();
  tree->root = pg_query__parse_result__unpack(nullptr, parsed.parse_tree.len,
                                              reinterpret_cast<const std::uint8_t*>(parsed.parse_tree.data));
  pg_query_free_protobuf_parse_result(parsed);
  if (tree->root == nullptr) {
    return fail(ErrorCode::kStatementTooComplex, "the statement is too complex to be unpacked");
  }
  return tree;
}

Result<std::string> deparse(PgQuery__Node* statement) {
  PgQuery__RawStmt raw = PG_QUERY__RAW_STMT__INIT;
  raw.stmt = statement;
  PgQuery__RawStmt* list[] = {&raw};
  PgQuery__ParseResult result = PG_QUERY__PARSE_RESULT__INIT;
  result.version = PG_VERSION_NUM;
  result.n_stmts = 1;
  result.stmts = list;
  std::string packed(pg_query__parse_result__get_packed_size(&result), '\0');
  pg_query__parse_result__pack(&result, reinterpret_cast<std::uint8_t*>(packed.data()));
  PgQueryProtobuf buffer{.len = packed.size(), .data = packed.data()};
  PgQueryDeparseResult out = pg_query_deparse_protobuf(buffer);
  Result<std::string> answer = out.error != nullptr
                                   ? Result<std::string>(std::unexpected(syntax_error(*out.error)))
                                   : Result<std::string>(out.query);
  pg_query_free_deparse_result(out);
  return answer;
}

}  // namespace

int ParsedStatement::position(int location) const {
  if (location < 0 || source == nullptr) {
    return 0;
  }
  const auto bytes = std::min(static_cast<std::size_t>(location), source->size());
  return count_characters(std::string_view(*source).substr(0, bytes)) + 1;
}

Result<std::vector<ParsedStatementPtr>> parse(std::string_view text) {
  if (text.size() > kMaxStatementBytes) {
    return fail(ErrorCode::kProgramLimitExceeded, "statement of {} bytes exceeds the limit of {} bytes",
                text.size(), kMaxStatementBytes);
  }
  if (text.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kCharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x00");
  }
  if (estimate_nesting(text) > kMaxNesting) {
    return std::unexpected(error(ErrorCode::kStatementTooComplex, "stack depth limit exceeded")
                               .hint(fmt::format("The statement nests more than {} levels.", kMaxNesting)));
  }
  auto source = std::make_shared<const std::string>(text);
  BOP_LET(tree, parse_tree(*source));
  std::vector<ParsedStatementPtr> statements;
  std::size_t counted_bytes = 0;
  int counted_characters = 0;
  for (std::size_t i = 0; i < tree->root->n_stmts; ++i) {
    const PgQuery__RawStmt* raw = tree->root->stmts[i];
    if (raw->stmt == nullptr) {
      continue;
    }
    auto statement = std::make_shared<ParsedStatement>();
    auto begin = static_cast<std::size_t>(std::max(raw->stmt_location, 0));
    begin = std::min(begin, source->size());
    std::size_t length =
        raw->stmt_len == 0 ? source->size() - begin : static_cast<std::size_t>(raw->stmt_len);
    length = std::min(length, source->size() - begin);
    const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0 || c == ';'; };
    while (length > 0 && blank((*source)[begin])) {
      ++begin;
      --length;
    }
    while (length > 0 && blank((*source)[begin + length - 1])) {
      --length;
    }
    counted_characters +=
        count_characters(std::string_view(*source).substr(counted_bytes, begin - counted_bytes));
    counted_bytes = begin;
    statement->text = source->substr(begin, length);
    statement->text_offset = static_cast<int>(begin);
    statement->text_offset_characters = counted_characters;
    statement->node = raw->stmt;
    statement->kind = kind_of(*raw->stmt);
    statement->command = command_of(*raw->stmt);
    if (statement->text.find('$') != std::string::npos) {
      find_parameters(&raw->stmt->base, statement->parameter_count);
    }
    statement->tree = tree;
    statement->source = source;
    statements.push_back(std::move(statement));
  }
  return statements;
}

ParsedStatementPtr inner_statement(const ParsedStatementPtr& outer, const PgQuery__Node* node) {
  auto inner = std::make_shared<ParsedStatement>(*outer);
  inner->node = node;
  inner->kind = kind_of(*node);
  inner->command = command_of(*node);
  return inner;
}

Result<ParsedStatementPtr> parse_expression(std::string_view text) {
  BOP_LET(statements, parse("SELECT " + std::string(text)));
  if (statements.size() == 1 && statements[0]->node->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
    const PgQuery__SelectStmt* select = statements[0]->node->select_stmt;
    if (select->n_target_list == 1 && select->n_from_clause == 0 &&
        select->target_list[0]->node_case == PG_QUERY__NODE__NODE_RES_TARGET) {
      return inner_statement(statements[0], select->target_list[0]->res_target->val);
    }
  }
  return fail(ErrorCode::kSyntaxError, "\"{}\" is not an expression", text);
}

Result<std::string> deparse_expression(const PgQuery__Node* expression) {
  PgQuery__ResTarget target = PG_QUERY__RES_TARGET__INIT;
  target.val = const_cast<PgQuery__Node*>(expression);
  PgQuery__Node target_node = PG_QUERY__NODE__INIT;
  target_node.node_case = PG_QUERY__NODE__NODE_RES_TARGET;
  target_node.res_target = &target;
  PgQuery__Node* targets[] = {&target_node};
  PgQuery__SelectStmt select = PG_QUERY__SELECT_STMT__INIT;
  select.n_target_list = 1;
  select.target_list = targets;
  select.limit_option = PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_DEFAULT;
  select.op = PG_QUERY__SET_OPERATION__SETOP_NONE;
  PgQuery__Node select_node = PG_QUERY__NODE__INIT;
  select_node.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
  select_node.select_stmt = &select;
  BOP_LET(text, deparse(&select_node));
  constexpr std::string_view kPrefix = "SELECT ";
  return text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : text;
}

Result<std::string> deparse_statement(const PgQuery__Node* statement) {
  return deparse(const_cast<PgQuery__Node*>(statement));
}

}  // namespace bop::sql
