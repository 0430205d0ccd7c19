#!/usr/bin/env python3
"""Random queries through both executors: what DuckDB answers, with filters pushed into the scan of row tables, must be
what SQLite answers, row for row (as multisets, or in order where ORDER BY is total).

A round is a schema, its rows (NULLs, extremes, NaN, infinities, long texts among them), some of them changed again, and
some queries, all from one seed, which is printed with what differs: --seed S --rounds 1 shows it again. Between the
queries rows change, and some are asked in an older snapshot: so columns that DuckDB keeps decoded become stale. A query
that one executor refuses must be refused by the other with the same SQLSTATE; how many DuckDB answered is printed, and
how often from kept columns, so that nothing passes because nothing was proven. Changes that join are made by both, too,
and the table compared.
"""

import argparse
import os
import random
import re
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "slt"))

# pylint: disable=wrong-import-position
import servers
import wire

WORDS = ["", "a", "b", "ab", "abc", "Zebra", "zebra", "ä", "日本", "x" * 40, "a%b", "a_b", "a b ", "0", "10", "9"]


LONG = "y" * 5000


def text_value(r):
    # (Rows with overflow pages are read otherwise: not all tables have some.)
    word = r.choice(WORDS)
    return "'" + (LONG if word == "x" * 40 and r.has_long and r.random() < 0.5 else word) + "'"


def date_value(r):
    return r.choice(["'infinity'", "'-infinity'", f"'{r.randint(1990, 2030)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}'"])


def stamp_value(r):
    return r.choice(["'infinity'", "'-infinity'",
                     f"'{r.randint(1990, 2030)}-{r.randint(1, 12):02}-{r.randint(1, 28):02} {r.randint(0, 23):02}:30:00.5'"])


TYPES = {
    "smallint": lambda r: str(r.choice([-32768, 32767, 0, r.randint(-9, 9)])),
    "integer": lambda r: str(r.choice([-2147483648, 2147483647, 0, r.randint(-9, 9), r.randint(-10**6, 10**6)])),
    "bigint": lambda r: str(r.choice([-2**63, 2**63 - 1, 0, r.randint(-9, 9), r.randint(-10**12, 10**12)])),
    "numeric(10,2)": lambda r: r.choice([f"{r.randint(-999, 999) / 100}", "99999999.99", "-99999999.99", "0", "1.5"]),
    "numeric(30,4)": lambda r: r.choice([f"{r.randint(-9999, 9999) / 10000}", "12345678901234567890123456.7891", "0", "-1"]),
    "numeric": lambda r: r.choice(["1", "1.0", "1.000", "-0.5", "1e20", "'NaN'", "'Infinity'", f"{r.randint(-99, 99) / 8}"]),
    "double precision": lambda r: r.choice(["0", "-0.0", "1.5", "1e300", "'NaN'", "'Infinity'", "'-Infinity'", f"{r.randint(-9, 9) / 4}"]),
    "real": lambda r: r.choice(["0", "1.5", "0.1", "'NaN'", f"{r.randint(-9, 9) / 4}"]),
    "boolean": lambda r: r.choice(["true", "false"]),
    "text": text_value,
    "varchar(50)": lambda r: f"'{r.choice(['', 'a', 'b', 'ä' * 50])}'" if r.random() < 0.3 else f"'{r.choice('abc')}{r.randint(0, 30)}'",
    "char(5)": lambda r: f"'{r.choice(['', 'a', 'ab ', 'abcde', 'b'])}'",
    "date": date_value,
    "timestamp": stamp_value,
    "timestamptz": stamp_value,
    "time": lambda r: f"'{r.randint(0, 23):02}:{r.randint(0, 59):02}:01'",
    "uuid": lambda r: f"'{r.randint(0, 3):08x}-0000-0000-0000-{r.randint(0, 9):012x}'",
    "bytea": lambda r: r.choice([r"'\x'", r"'\x00'", r"'\x00ff'", r"'\xff'"]),
    "interval": lambda r: r.choice(["'1 day'", "'24 hours'", "'1 month'", "'30 days'", "'-1 hour'", "'0'"]),
}
NUMBERS = ["smallint", "integer", "bigint", "numeric(10,2)", "numeric(30,4)", "numeric"]
ORDERS = ["=", "<>", "<", "<=", ">", ">="]


class Round:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.r.has_long = self.r.random() < 0.3
        self.tables = {}
        for name in ("fa", "fb"):
            kinds = [self.r.choice(list(TYPES)) for _ in range(self.r.randint(1, 9))]
            self.tables[name] = [("k", "integer")] + [(f"c{i}", kind) for i, kind in enumerate(kinds)]

    def value(self, kind):
        return "NULL" if self.r.random() < 0.1 else TYPES[kind](self.r)

    def literal(self, kind):
        return f"CAST({TYPES[kind](self.r)} AS {kind})"

    def set_up(self):
        r = self.r
        for name, columns in self.tables.items():
            yield f"DROP TABLE IF EXISTS {name}"
            key = r.choice(["k integer PRIMARY KEY", "k integer"])
            late = columns[-1] if len(columns) > 2 and r.random() < 0.4 else None
            made = columns[:-1] if late else columns
            body = ", ".join([key] + [f"{c} {kind}" for c, kind in made[1:]])
            yield f"CREATE TABLE {name} ({body})"
            for first in range(0, r.choice([0, 3, 60, 400]), 50):
                rows = ", ".join("(" + ", ".join([str(first + i)] + [self.value(kind) for _, kind in made[1:]]) + ")"
                                 for i in range(50))
                yield f"INSERT INTO {name} VALUES {rows}"
            if late:
                yield f"ALTER TABLE {name} ADD COLUMN {late[0]} {late[1]}"
                yield f"UPDATE {name} SET {late[0]} = {self.literal(late[1])} WHERE k % 3 = 0"
            if r.random() < 0.5:
                c, _ = r.choice(columns)
                yield f"CREATE INDEX ON {name} ({c})"
            yield f"DELETE FROM {name} WHERE k % 7 = {r.randint(0, 9)}"

    def change(self):
        r = self.r
        name = r.choice(["fa", "fb"])
        column, kind = r.choice(self.tables[name][1:])
        condition = r.choice(["k % 11 = 3", f"k = {r.randint(0, 400)}", f"k BETWEEN {(k := r.randint(0, 400))} AND {k + 30}"])
        return r.choice([f"UPDATE {name} SET {column} = {self.value(kind)} WHERE {condition}",
                         f"UPDATE {name} SET {column} = {self.value(kind)} WHERE {condition}",
                         f"DELETE FROM {name} WHERE {condition}",
                         f"INSERT INTO {name} (k, {column}) VALUES ({10**6 + r.randint(0, 10**8)}, {self.value(kind)})",
                         "CHECKPOINT"])

    def column(self, tables, kinds=None):
        found = [(t, c, kind) for t in tables for c, kind in self.tables[t[:2]] if kinds is None or kind in kinds]
        if not found:
            return None
        table, name, kind = self.r.choice(found)
        return f"{table}.{name}", kind

    def filter(self, tables, depth=0):
        r = self.r
        if depth < 3 and r.random() < 0.45:
            word = r.choice([" AND ", " AND ", " OR "])
            return "(" + word.join(self.filter(tables, depth + 1) for _ in range(r.randint(2, 3))) + ")"
        if r.random() < 0.1:
            return "NOT " + self.filter(tables, depth + 1)
        name, kind = self.column(tables)
        choice = r.random()
        if choice < 0.12:
            return f"{name} IS {r.choice(['', 'NOT '])}NULL"
        if choice < 0.22:
            return f"{name} {r.choice(['', 'NOT '])}IN ({', '.join(self.literal(kind) for _ in range(r.randint(1, 5)))})"
        if choice < 0.3:
            return f"{name} BETWEEN {self.literal(kind)} AND {self.literal(kind)}"
        if choice < 0.38 and kind in ("text", "varchar(50)"):
            return f"{name} {r.choice(['', 'NOT '])}LIKE '{r.choice(['a%', '%b', '%e%', '_', '', 'a_b', '%'])}'"
        if choice < 0.46:
            other = self.column(tables, [kind])
            return f"{name} {r.choice(ORDERS)} {other[0]}"
        if choice < 0.52:
            return f"{name} IS {r.choice(['', 'NOT '])}DISTINCT FROM {self.literal(kind)}"
        return f"{name} {r.choice(ORDERS)} {self.literal(kind)}"

    def source(self):
        r = self.r
        choice = r.random()
        if choice < 0.5:
            table = r.choice(["fa", "fb"])
            return table, [table]
        if choice < 0.6:
            return "fa, fb", ["fa", "fb"]
        pair = ["fa", r.choice(["fb", "fa2"])]
        kind = self.column(pair[:1])
        right = f"fa AS {pair[1]}" if pair[1] == "fa2" else pair[1]
        other = self.column(pair[1:], [kind[1]]) or (f"{pair[1]}.k", None)
        left = kind[0] if other[1] else f"{pair[0]}.k"
        extra = f" AND {self.filter(pair, 2)}" if r.random() < 0.3 else ""
        join = r.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN" if not extra else "LEFT JOIN"])
        return f"fa {join} {right} ON {left} = {other[0]}{extra}", pair

    def query(self):
        r = self.r
        source, tables = self.source()
        where = f" WHERE {self.filter(tables)}" if r.random() < 0.85 else ""
        if r.random() < 0.15 and len(tables) == 1:
            other = "fb" if tables[0] == "fa" else "fa"
            inner = self.column([other], [self.column(tables)[1]])
            mine = self.column(tables, [inner[1]]) if inner else None
            if mine:
                test = r.choice([f"{mine[0]} IN (SELECT {inner[0]} FROM {other} WHERE {self.filter([other], 2)})",
                                 f"EXISTS (SELECT 1 FROM {other} WHERE {inner[0]} = {mine[0]})",
                                 f"NOT EXISTS (SELECT 1 FROM {other} WHERE {inner[0]} = {mine[0]})"])
                where = (where + " AND " if where else " WHERE ") + test
        if r.random() < 0.5:
            groups = [self.column(tables)[0] for _ in range(r.randint(0, 2))]
            parts = list(groups)
            for _ in range(r.randint(1, 4)):
                number = self.column(tables, NUMBERS)
                any_column = self.column(tables)
                parts.append(r.choice(
                    ["count(*)", f"count({any_column[0]})", f"count(DISTINCT {any_column[0]})", f"min({any_column[0]})",
                     f"max({any_column[0]})"] + ([f"sum({number[0]})", f"avg({number[0]})", f"sum({number[0]} + 1)"] if number else [])))
            having = " HAVING count(*) > 1" if r.random() < 0.2 else ""
            group = f" GROUP BY {', '.join(groups)}" if groups else ""
            return f"SELECT {', '.join(parts)} FROM {source}{where}{group}{having}", False
        columns = ", ".join(f"{t}.*" for t in tables)
        keys = ", ".join(f"{t}.{c}{r.choice(['', ' DESC', ' NULLS FIRST'])}" for t in tables for c, _ in self.tables[t[:2]])
        if r.random() < 0.3:
            name, _ = self.column(tables)
            return f"SELECT DISTINCT {name} FROM {source}{where}", False
        limit = f" LIMIT {r.randint(0, 30)} OFFSET {r.randint(0, 5)}" if r.random() < 0.3 else ""
        return f"SELECT {columns} FROM {source}{where} ORDER BY {keys}{limit}", True

    def joined_change(self):
        """UPDATE, DELETE or MERGE of fa that meets each of its rows with values which no order decides."""
        r = self.r
        name, kind = r.choice(self.tables["fa"][1:])
        same = self.column(["fb"], [kind])
        mine = self.column(["fa"])
        group = self.column(["fb"], [mine[1]])
        where = f" AND {self.filter(['fa', 'fb'], 2)}" if r.random() < 0.7 else ""
        value = f"{r.choice(['min', 'max'])}({same[0]})" if same else "count(*)" if kind in NUMBERS else None
        forms = [f"DELETE FROM fa USING fb WHERE fa.k = fb.k{where}",
                 f"DELETE FROM fa WHERE {r.choice(['', 'NOT '])}EXISTS (SELECT 1 FROM fb WHERE fb.k = fa.k{where})",
                 f"DELETE FROM fa WHERE fa.k {r.choice(['', 'NOT '])}IN (SELECT fb.k FROM fb WHERE {self.filter(['fb'], 2)})",
                 f"UPDATE fa SET k = fa.k + 1000 FROM fb WHERE fa.k = fb.k{where}"]
        if same:
            forms += [f"UPDATE fa SET {name} = {same[0]} FROM fb WHERE fa.k = fb.k{where}",
                      f"UPDATE fa SET {name} = {same[0]} FROM fb WHERE fa.k = fb.k{where} RETURNING fa.*, fb.k"]
        if group and value:
            part = f"(SELECT {group[0]} AS g, {value} AS m FROM fb WHERE {self.filter(['fb'], 2)} GROUP BY {group[0]}) s"
            forms += [f"UPDATE fa SET {name} = s.m FROM {part} WHERE s.g = {mine[0]}",
                      f"UPDATE fa SET {name} = (SELECT {value} FROM fb WHERE {group[0]} = {mine[0]}{where})",
                      f"DELETE FROM fa USING {part} WHERE s.g = {mine[0]} RETURNING fa.k"]
        if same:
            forms.append(f"MERGE INTO fa USING (SELECT * FROM fb WHERE {self.filter(['fb'], 2)}) fb ON fa.k = fb.k "
                         f"WHEN MATCHED AND {self.filter(['fa', 'fb'], 2)} THEN DELETE "
                         f"WHEN MATCHED THEN UPDATE SET {name} = {same[0]} "
                         f"WHEN NOT MATCHED AND {self.filter(['fb'], 2)} THEN INSERT (k, {name}) VALUES (fb.k, {same[0]})")
        return r.choice(forms)


def ask_change(connection, sql):
    """What a change answers, and the table as it is then; it is taken back."""
    connection.simple("BEGIN")
    result = connection.simple(sql)[-1]
    if result.error:
        answer = ("error", result.error["C"])
    else:
        rows = connection.simple("SELECT * FROM fa ORDER BY k")[-1].rows
        answer = ("rows", [(result.tag,)] + sorted(result.rows or [], key=repr) + rows)
    connection.simple("ROLLBACK")
    return answer


def ask(connection, sql):
    in_transaction = connection.transaction_status != "I"
    if in_transaction:
        connection.simple("SAVEPOINT asked")
    result = connection.simple(sql)[-1]
    if in_transaction and result.error:
        connection.simple("ROLLBACK TO asked")
    return ("error", result.error["C"]) if result.error else ("rows", result.rows)


def same_for_all(cell):
    """One text for values that are equal and print differently: which of them min, max and GROUP BY answer depends on the
    order of the rows."""
    if cell in ("1 mon", "-0"):
        return {"1 mon": "30 days", "-0": "0"}[cell]
    if cell is not None and re.fullmatch(r"-?\d+\.\d*0", cell):
        return cell.rstrip("0").rstrip(".")
    return {"24:00:00": "1 day"}.get(cell, cell)


def compare(connection, sql, ordered, asking=ask):
    """None, or what differs."""
    answers = {}
    for route in ("sqlite", "duckdb"):
        connection.simple(f"SET bop.route = {route}")
        kind, value = asking(connection, sql)
        answers[route] = (kind, value if ordered or kind == "error" else sorted(value, key=repr))
    if answers["sqlite"] == answers["duckdb"]:
        return None
    if answers["sqlite"][0] == answers["duckdb"][0] == "rows":
        a, b = ([tuple(same_for_all(cell) for cell in row) for row in answers[route][1]] for route in ("sqlite", "duckdb"))
        if (a == b) if ordered else (sorted(a, key=repr) == sorted(b, key=repr)):
            return None
    lines = []
    for route, (kind, value) in answers.items():
        lines.append(f"  {route}: {value if kind == 'error' else f'{len(value)} rows'}")
    a, b = answers["sqlite"], answers["duckdb"]
    if a[0] == b[0] == "rows":
        lines += [f"  sqlite {x}\n  duckdb {y}" for x, y in zip(a[1], b[1]) if x != y][:1]
    return "\n".join(lines)


def kept_reads(server):
    """How often DuckDB has read decoded columns from memory."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("bop_engine_column_hits_total"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bop", required=True)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--queries", type=int, default=40, help="of a round")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time())
    server = servers.Bop(options.bop)
    wrong = asked = proven = kept = changes = fed = 0
    reasons = {}
    try:
        server.start()
        connection = server.connect(timeout=120)
        old = server.connect(timeout=120)
        for number in range(seed, seed + options.rounds):
            r = Round(number)
            for sql in r.set_up():
                result = connection.simple(sql)[-1]
                if result.error:
                    print(f"seed {number}: {sql[:300]}: {result.error}")
                    return 1
            old_until = 0
            for query_number in range(options.queries):
                if r.r.random() < 0.15:
                    sql = r.change()
                    if error := connection.simple(sql)[-1].error:
                        print(f"seed {number}: {sql[:300]}: {error}")
                        return 1
                sql, ordered = r.query()
                if query_number >= old_until and r.r.random() < 0.1:
                    old.simple("COMMIT")
                    old.simple("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    old.simple("SELECT count(*) FROM fa")
                    old_until = query_number + 8
                if query_number < old_until and r.r.random() < 0.5 and (difference := compare(old, sql, ordered)):
                    wrong += 1
                    print(f"seed {number}: in an older snapshot: {sql}\n{difference}")
                in_writer = r.r.random() < 0.1
                if in_writer:
                    connection.simple("BEGIN")
                    connection.simple(f"DELETE FROM fa WHERE k = {r.r.randint(0, 50)}")
                difference = compare(connection, sql, ordered)
                asked += 1
                plan = ask(connection, "EXPLAIN " + sql)
                executor = plan[1][-1][0] if plan[0] == "rows" else str(plan[1])
                if executor.startswith("Executor: DuckDB"):
                    proven += 1
                else:
                    reasons[executor] = reasons.get(executor, 0) + 1
                if in_writer:
                    connection.simple("ROLLBACK")
                if difference:
                    wrong += 1
                    print(f"seed {number}: {sql}\n{difference}")
            for _ in range(options.queries // 4):
                sql = r.joined_change()
                difference = compare(connection, sql, True, ask_change)
                changes += 1
                plan = ask(connection, "EXPLAIN " + sql)
                fed += plan[0] == "rows" and plan[1][-1][0].startswith("Executor: DuckDB")
                if difference:
                    wrong += 1
                    print(f"seed {number}: {sql}\n{difference}")
            old.simple("COMMIT")
        kept = kept_reads(server)
    except wire.WireError as error:
        print(f"seed {number}: the connection broke: {error}\n  {sql}")
        wrong += 1
    finally:
        server.stop()
    print(f"seeds {seed} to {seed + options.rounds - 1}: {asked} queries, {proven} proven on DuckDB, {changes} changes, "
          f"the rows of {fed} proven there, {wrong} differ, {kept} times columns were read from memory")
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:12]:
        print(f"  {count:5} {reason}")
    return 1 if wrong or (asked > 200 and (proven < asked / 2 or fed < changes / 2 or kept < asked / 10)) else 0


if __name__ == "__main__":
    sys.exit(main())
