#!/usr/bin/env python3
"""The 22 queries of TPC-H on row tables: BOP, and PostgreSQL 15 beside it.

Data, texts and answers are those of the Python package duckdb 1.1.3 (deps/requirements.txt), generated at the scale that
is asked for. Both servers get the same tables, keys and indexes, filled by COPY and analyzed; PostgreSQL keeps its
defaults, parallel workers included. With --check every answer of BOP is compared with PostgreSQL's, text for text, in a
transaction of its own and once more inside a writing one. Without it each query runs on both in turn, `rounds` times;
the medians are printed, and

    ratio tpch_total VALUE ours=MS peer=MS (scale, load)

where below 1 means that BOP takes less time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "slt"))

# pylint: disable=wrong-import-position
import servers

KEYS = {"region": "r_regionkey", "nation": "n_nationkey", "part": "p_partkey", "supplier": "s_suppkey",
        "partsupp": "ps_partkey, ps_suppkey", "customer": "c_custkey", "orders": "o_orderkey",
        "lineitem": "l_orderkey, l_linenumber"}
INDEXES = ["nation (n_regionkey)", "supplier (s_nationkey)", "partsupp (ps_suppkey)", "customer (c_nationkey)",
           "orders (o_custkey)", "orders (o_orderdate)", "lineitem (l_partkey, l_suppkey)", "lineitem (l_shipdate)"]


def generate(scale, folder):
    """{table: (columns, CSV file)} and the texts of the queries."""
    import duckdb
    source = duckdb.connect()
    source.execute("LOAD tpch")
    source.execute(f"CALL dbgen(sf={scale})")
    tables = {}
    for name in KEYS:
        columns = [(c[0], c[1].replace("VARCHAR", "text")) for c in source.execute(f"DESCRIBE {name}").fetchall()]
        path = os.path.join(folder, name + ".csv")
        source.execute(f"COPY {name} TO '{path}' (FORMAT csv, HEADER false)")
        tables[name] = (columns, path)
    queries = [text for _, text in source.execute("SELECT * FROM tpch_queries() ORDER BY 1").fetchall()]
    return tables, queries


def run(connection, sql):
    results = connection.simple(sql)
    for result in results:
        if result.error:
            raise SystemExit(f"{sql[:200]}: {result.error.get('C')} {result.error.get('M')}")
    return results[-1]


def load(server, tables):
    begin = time.monotonic()
    connection = server.connect(timeout=1200)
    for name, (columns, path) in tables.items():
        body = ", ".join(f"{column} {kind} NOT NULL" for column, kind in columns)
        run(connection, f"CREATE TABLE {name} ({body}, PRIMARY KEY ({KEYS[name]}))")
        # psql reads the file a piece at a time.
        subprocess.run(["psql", "-X", "-q", "-d", server.url(), "-c", f"\\copy {name} FROM '{path}' (FORMAT csv)"], check=True,
                       env=server.environment())
    for index in INDEXES:
        run(connection, f"CREATE INDEX ON {index}")
    run(connection, "ANALYZE")
    connection.close()
    print(f"{server.name}: loaded in {time.monotonic() - begin:.1f} s", flush=True)


def executor_of(connection, query):
    lines = [row[0] for row in run(connection, "EXPLAIN " + query).rows]
    return next(line for line in lines if line.startswith("Executor: "))[len("Executor: "):]


def check(ours, peer, queries, routes):
    """Compares all answers; answers how many differ or are not DuckDB's where they should be."""
    wrong = compared = 0
    change = ("BEGIN; DELETE FROM lineitem WHERE l_orderkey = 1; UPDATE orders SET o_comment = 'x' WHERE o_orderkey = 2")
    pairs = []
    for where, statements in (("", "SELECT 1"), (" in a writing transaction", change)):
        a, b = ours.connect(timeout=600), peer.connect(timeout=600)
        run(a, statements)
        run(b, statements)
        pairs.append((where, a, b))
    for number, query in enumerate(queries, 1):
        for where, a, b in pairs:
            theirs = run(b, query).rows
            for route in routes:
                run(a, f"SET bop.route = {route}")
                if route == "duckdb" and not executor_of(a, query).startswith("DuckDB"):
                    wrong += 1
                    print(f"query {number}{where}: {executor_of(a, query)}")
                mine = run(a, query).rows
                compared += 1
                if mine == theirs:
                    continue
                wrong += 1
                print(f"query {number}{where} by {route}: {len(mine)} rows, {len(theirs)} in PostgreSQL")
                for x, y in zip(mine, theirs):
                    if x != y:
                        print("  ours", x, "\n  peer", y)
                        break
    print(f"{compared} answers compared, {wrong} wrong")
    return wrong


def measure(ours, peer, queries, rounds, scale):
    connections = {"ours": ours.connect(timeout=1200), "peer": peer.connect(timeout=1200)}
    medians = {"ours": [], "peer": []}
    firsts = {"ours": 0.0, "peer": 0.0}  # of each query's first run
    for number, query in enumerate(queries, 1):
        times = {"ours": [], "peer": []}
        for r in range(rounds):
            for side in ("ours", "peer") if r % 2 == 0 else ("peer", "ours"):
                begin = time.perf_counter()
                run(connections[side], query)
                times[side].append((time.perf_counter() - begin) * 1000)
        for side, values in times.items():
            medians[side].append(statistics.median(values))
            firsts[side] += values[0]
        print(f"query {number:2}: ours {medians['ours'][-1]:9.1f} ms  peer {medians['peer'][-1]:9.1f} ms  "
              f"ratio {medians['ours'][-1] / medians['peer'][-1]:.2f}", flush=True)
    load_average = os.getloadavg()[0]
    total = {side: sum(values) for side, values in medians.items()}
    first = {side: values[0] for side, values in medians.items()}
    for name, of in (("tpch_total", total), ("tpch_query_1", first)):
        print(f"ratio {name} {of['ours'] / of['peer']:.3f} ours={of['ours']:.0f} ms peer={of['peer']:.0f} ms "
              f"(row tables, scale {scale}, medians of {rounds}, load {load_average:.1f})")
    print(f"ratio tpch_first_runs {firsts['ours'] / firsts['peer']:.3f} ours={firsts['ours']:.0f} ms peer={firsts['peer']:.0f} ms "
          f"(each query's first run, before its columns are kept in memory; scale {scale}, load {load_average:.1f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bop", required=True, help="the program")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="compare the answers instead")
    parser.add_argument("--routes", default="duckdb", help="of --check: values of bop.route, separated by commas")
    parser.add_argument("--queries", help="numbers, separated by commas")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bop-tpch-") as folder:
        tables, queries = generate(options.scale, folder)
        if options.queries:
            queries = [queries[int(n) - 1] for n in options.queries.split(",")]
        ours, peer = servers.Bop(options.bop), servers.Postgres()
        ours.name, peer.name = "BOP", "PostgreSQL"
        try:
            for server in (ours, peer):
                server.start()
                load(server, tables)
            if options.check:
                return 1 if check(ours, peer, queries, options.routes.split(",")) else 0
            measure(ours, peer, queries, options.rounds, options.scale)
        finally:
            ours.stop()
            peer.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
