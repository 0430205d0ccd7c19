#!/usr/bin/env python3
"""Sentences of PostgreSQL's grammar: each production in a shortest sentence that holds it, and each optional part in
every place where it may stand.

    generate.py GRAM_Y > sentences      (src/backend/parser/gram.y of PostgreSQL 15's source)

A sentence is made of names that the world of run.py knows, so that many mean something: table t (columns a, b), view
v, sequence q, index i, type e, domain m, schema s, role r. The grammar itself is not kept in this tree, its sentences
are (sentences.txt, with what PostgreSQL answers to each).
"""

import re
import sys

# Lists of keywords, and what only PL/pgSQL or another entry of the grammar reaches.
SKIPPED = {"unreserved_keyword", "col_name_keyword", "type_func_name_keyword", "reserved_keyword", "bare_label_keyword",
           "parse_toplevel", "PLpgSQL_Expr", "PLAssignStmt", "plassign_target", "plassign_equals"}

# What stands for a part where another is looked at.
PLAIN = {
    "a_expr": "a", "b_expr": "a", "c_expr": "a", "columnref": "a", "qualified_name": "t", "relation_expr": "t",
    "insert_target": "t", "relation_expr_opt_alias": "t", "table_ref": "t", "insert_column_item": "a",
    "columnElem": "a", "ColId": "a", "ColLabel": "a", "BareColLabel": "c", "attr_name": "a", "name": "n", "type_function_name": "int4",
    "func_name": "lower", "SimpleTypename": "int4", "Typename": "int4", "func_type": "int4", "any_name": "t",
    "NumericOnly": "1", "SignedIconst": "1", "Iconst": "1", "Sconst": "'1'", "FCONST": "1.5", "AexprConst": "1",
    "SelectStmt": "SELECT a FROM t", "select_no_parens": "SELECT a FROM t", "simple_select": "SELECT a FROM t",
    "select_with_parens": "(SELECT a FROM t)", "select_clause": "SELECT a FROM t", "PreparableStmt": "SELECT a FROM t",
    "ExplainableStmt": "SELECT a FROM t", "target_list": "a", "opt_target_list": "a", "RoleSpec": "r",
    "NonReservedWord": "x", "NonReservedWord_or_Sconst": "x", "func_expr": "lower('A')",
    "func_application": "lower('A')", "func_expr_windowless": "lower('A')", "index_elem": "a", "from_list": "t",
    "set_clause": "a = 1", "set_target": "a", "values_clause": "VALUES (1, 2)", "insert_rest": "VALUES (1, 2)",
    "sortby": "a", "group_by_item": "a", "qual_Op": "+", "all_Op": "+", "MathOp": "+", "any_operator": "+",
    "var_name": "work_mem", "columnDef": "c int4", "TableElement": "c int4", "definition": "(x = 1)", "def_elem": "x = 1",
    "reloptions": "(fillfactor = 50)", "window_specification": "()", "access_method": "btree", "cursor_name": "n",
    "view": "v", "DeleteStmt": "DELETE FROM t", "UpdateStmt": "UPDATE t SET a = 1", "InsertStmt": "INSERT INTO t VALUES (1, 2)",
    "privilege_list": "SELECT", "privilege": "SELECT", "grantee": "r", "handler_name": "n", "file_name": "'f'",
    "copy_file_name": "STDOUT", "alter_table_cmd": "ADD COLUMN c int4", "DefACLAction": "GRANT SELECT ON TABLES TO r",
    "event": "INSERT", "utility_option_elem": "x", "createdb_opt_item": "TEMPLATE template1", "privilege_target": "t",
    "function_with_argtypes": "f(int4)", "aggregate_with_argtypes": "g(int4)", "operator_with_argtypes": "+ (int4, int4)",
    "func_args_with_defaults": "(int4)", "createfunc_opt_item": "LANGUAGE sql", "common_func_opt_item": "STRICT",
    "index_name": "i", "ColConstraintElem": "NOT NULL", "ConstraintElem": "CHECK (a > 1)", "opclass_item": "STORAGE int4",
    "SeqOptElem": "CYCLE", "CreateOptRoleElem": "LOGIN", "AlterOptRoleElem": "LOGIN", "schema_stmt": "CREATE TABLE x (a int4)",
    "common_table_expr": "w AS (SELECT 1)", "func_table": "generate_series(1, 2)", "rowsfrom_item": "generate_series(1, 2)",
    "set_rest": "work_mem = 100", "set_rest_more": "work_mem = 100", "generic_set": "work_mem = 100",
    "transaction_mode_item": "READ ONLY", "merge_when_clause": "WHEN MATCHED THEN DELETE", "merge_delete": "DELETE",
}
# Whole statements around parts that are reached by many ways.
AROUND = {
    "a_expr": "SELECT {} FROM t", "b_expr": "SELECT {} FROM t", "c_expr": "SELECT {} FROM t", "stmt": "{}",
    "SelectStmt": "{}", "select_no_parens": "{}", "simple_select": "{}", "Typename": "SELECT CAST(NULL AS {})",
    "SimpleTypename": "SELECT CAST(NULL AS {})", "table_ref": "SELECT a FROM {}", "func_expr": "SELECT {} FROM t",
    "columnDef": "CREATE TABLE n ({})", "TableElement": "CREATE TABLE n ({})", "alter_table_cmd": "ALTER TABLE t {}",
    "index_elem": "CREATE INDEX ON t ({})", "qualified_name": "SELECT a FROM {}", "AexprConst": "SELECT {}",
    "ColConstraint": "CREATE TABLE n (c int4 {})", "ColConstraintElem": "CREATE TABLE n (c int4 {})",
    "TableConstraint": "CREATE TABLE n (a int4, b int4, {})", "ConstraintElem": "CREATE TABLE n (a int4, b int4, {})",
    "SeqOptElem": "CREATE SEQUENCE n {}", "with_clause": "{} SELECT a FROM t", "opt_with_clause": "{} SELECT a FROM t",
    "set_rest": "SET {}", "RoleSpec": "ALTER TABLE t OWNER TO {}", "set_clause": "UPDATE t SET {}",
    "over_clause": "SELECT count(*) {} FROM t", "func_table": "SELECT * FROM {}",
}
TOKENS = {
    "IDENT": "a", "UIDENT": 'U&"a"', "FCONST": "1.5", "SCONST": "'1'", "USCONST": "U&'1'", "BCONST": "B'1'",
    "XCONST": "X'1'", "Op": "~~", "ICONST": "1", "PARAM": "$1", "TYPECAST": "::", "DOT_DOT": "..", "COLON_EQUALS": ":=",
    "EQUALS_GREATER": "=>", "LESS_EQUALS": "<=", "GREATER_EQUALS": ">=", "NOT_EQUALS": "<>", "NOT_LA": "NOT",
    "NULLS_LA": "NULLS", "WITH_LA": "WITH", "FORMAT_LA": "FORMAT", "WITHOUT_LA": "WITHOUT",
}


def without_actions(text):
    """The rules of a bison file without comments and code in braces."""
    out, depth, at = [], 0, 0
    pattern = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])'|[{}]", re.S)
    for match in pattern.finditer(text):
        if depth == 0:
            out.append(text[at:match.start()])
        token = match[0]
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
        elif depth == 0 and token.startswith("'"):
            out.append(token)
        at = match.end()
    return "".join(out + [text[at:]])


def read_grammar(path):
    with open(path, encoding="utf-8") as file:
        text = file.read().split("\n%%\n")[1]
    rules = {}
    words = re.findall(r"'[^']'|[A-Za-z_][A-Za-z_0-9]*|[:;|]|%[a-z]+", without_actions(text))
    at = 0
    while at < len(words):
        name = words[at]
        assert words[at + 1] == ":", words[at:at + 5]
        at += 2
        body = [[]]
        while words[at] != ";":
            if words[at] == "|":
                body.append([])
            elif words[at] == "%prec":
                at += 1
            else:
                body[-1].append(words[at])
            at += 1
        at += 1
        rules[name] = body
    return rules


def terminal(word):
    if word.startswith("'"):
        return word[1]
    return TOKENS.get(word, word[:-2] if word.endswith("_P") else word)


class Grammar:
    def __init__(self, rules):
        self.rules = rules
        self.short = {}
        self._shortest()
        self.context = {}
        self._contexts()

    def plain(self, symbol):
        """The shortest or most usual text of a symbol; None while it is not known."""
        if symbol in PLAIN:
            return PLAIN[symbol]
        if symbol not in self.rules:
            return terminal(symbol)
        return self.short.get(symbol)

    def text(self, body, at=None, instead=None):
        parts = [instead if i == at else self.plain(symbol) for i, symbol in enumerate(body)]
        return None if None in parts else " ".join(part for part in parts if part)

    def _shortest(self):
        changed = True
        while changed:
            changed = False
            for name, bodies in self.rules.items():
                for body in bodies:
                    text = self.text(body)
                    known = self.short.get(name)
                    if text is not None and (known is None or len(text.split()) < len(known.split())):
                        self.short[name] = text
                        changed = True

    def _contexts(self):
        """The shortest sentence around each symbol, with {} where it stands."""
        self.context = dict(AROUND)
        todo = list(AROUND)
        while todo:
            reached = []
            for name in todo:
                if name in SKIPPED or name not in self.rules:
                    continue
                for body in self.rules[name]:
                    for at, symbol in enumerate(body):
                        if symbol not in self.rules or symbol in AROUND or symbol in SKIPPED:
                            continue
                        text = self.context[name].replace("{}", self.text(body, at, "{}"), 1)
                        known = self.context.get(symbol)
                        if known is None or len(text.split()) < len(known.split()):
                            self.context[symbol] = text
                            reached.append(symbol)
            todo = reached

    def optional(self, name):
        """Whether it is a part whose every form is tried wherever it may stand."""
        bodies = self.rules[name]
        if name in SKIPPED or len(bodies) > 12:
            return False
        return [] in bodies or name.startswith("opt_") or name.endswith(("_opt", "_option", "_type", "_mode"))

    def sentences(self):
        for name, bodies in self.rules.items():
            if name in SKIPPED or name not in self.context:
                continue
            for body in bodies:
                text = self.text(body)
                yield self.context[name].replace("{}", text, 1)
                if len(body) > 1:
                    for at, symbol in enumerate(body):
                        if symbol not in self.rules or not self.optional(symbol):
                            continue
                        for inner in self.rules[symbol]:
                            part = self.text(inner)
                            if part != self.plain(symbol):
                                yield self.context[name].replace("{}", self.text(body, at, part), 1)


def tidy(text):
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,;)\]])", r"\1", text)
    text = re.sub(r"([(\[]) ", r"\1", text)
    return re.sub(r" ?(\.|::) ?", r"\1", text)


# The object that a statement about that kind of object means, where the grammar says only "a name".
OBJECTS = {"SEQUENCE": "q", "VIEW": "v", "DOMAIN": "m", "TYPE": "e", "INDEX": "i", "SCHEMA": "s", "ROLE": "r", "USER": "r",
           "GROUP": "r", "DATABASE": "n"}


def with_objects(text):
    kinds = "|".join(OBJECTS)
    text = re.sub(rf"^((?:ALTER|DROP|COMMENT ON|SECURITY LABEL ON|REINDEX) ({kinds})(?: CONCURRENTLY)?(?: IF EXISTS)?) [atn]\b",
                  lambda m: f"{m[1]} {OBJECTS[m[2]]}", text)
    text = re.sub(r"^(CREATE (?:ROLE|USER|GROUP)) r\b", r"\1 n", text)
    # What is made has a name of its own.
    return re.sub(r"^(CREATE (?!DATABASE|INDEX)[A-Z ]*?(?:IF NOT EXISTS )?)[tav]\b", r"\1n", text)


def main():
    grammar = Grammar(read_grammar(sys.argv[1]))
    seen = set()
    for sentence in grammar.sentences():
        sentence = with_objects(tidy(sentence))
        if sentence and sentence not in seen:
            seen.add(sentence)
            print(sentence)


if __name__ == "__main__":
    main()
