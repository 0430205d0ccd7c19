#!/usr/bin/env python3
"""pgbench: initialisation, the built-in scripts and one of our own, each in the simple, extended and prepared protocol.

After each run the invariants of its tables must hold, and no transaction may have failed.
"""

import os
import re
import tempfile
import unittest

import target

MODES = ("simple", "extended", "prepared")
SCALE = 1


def processed(output):
    return int(re.search(r"number of transactions actually processed: (\d+)", output)[1])


class Pgbench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = target.fresh_database("bench")
        cls.initialised = target.run(["pgbench", "-i", "-s", str(SCALE)], cls.database)

    def ask(self, sql):
        connection = target.server.connect(self.database)
        result = connection.simple(sql)[-1]
        connection.close()
        self.assertIsNone(result.error, sql)
        return result.rows

    def bench(self, *arguments, clients=4, transactions=50):
        done = target.run(["pgbench", "-n", "-c", str(clients), "-j", "2", "-t", str(transactions), *arguments],
                          self.database)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(processed(done.stdout), clients * transactions)
        self.assertNotRegex(done.stdout, r"number of failed transactions: [1-9]")
        self.assertNotIn("ERROR", done.stderr)
        return done.stdout

    def assert_balanced(self):
        sums = self.ask("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM "
                        "pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers)")[0]
        self.assertEqual(len(set(sums)), 1, sums)
        return int(sums[0])

    def test_1_initialise(self):
        self.assertEqual(self.initialised.returncode, 0, self.initialised.stderr)
        self.assertEqual(self.ask("SELECT count(*) FROM pgbench_accounts"), [[str(100000 * SCALE)]])
        self.assertEqual(self.ask("SELECT count(*), sum(tbalance) FROM pgbench_tellers"), [[str(10 * SCALE), "0"]])
        self.assertEqual(self.ask("SELECT bid, bbalance FROM pgbench_branches"), [["1", "0"]])

    def test_2_initialise_again(self):
        again = target.run(["pgbench", "-i", "-s", str(SCALE), "-q"], self.database)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(self.ask("SELECT count(*) FROM pgbench_accounts"), [[str(100000 * SCALE)]])

    def test_3_initialise_on_the_server_with_foreign_keys(self):
        other = target.fresh_database("bench_server_side")
        done = target.run(["pgbench", "-i", "-I", "dtGvpf", "-s", "1"], other)
        self.assertEqual(done.returncode, 0, done.stderr)
        connection = target.server.connect(other)
        rows = connection.simple("SELECT count(*), min(aid), max(aid) FROM pgbench_accounts")[-1].rows
        connection.close()
        self.assertEqual(rows, [["100000", "1", "100000"]])

    def test_reconnect_for_every_transaction(self):
        self.bench("-S", "-C", transactions=10)

    def test_custom_script(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "script.sql")
            with open(path, "w", encoding="utf-8") as file:
                file.write("\\set id random(1, 1000)\n"
                           "\\set by random_gaussian(-100, 100, 3)\n"
                           "BEGIN;\n"
                           "SELECT abalance AS was FROM pgbench_accounts WHERE aid = :id \\gset\n"
                           "UPDATE pgbench_accounts SET filler = 'x' || :by WHERE aid = :id;\n"
                           "\\if :was > 1000000\n"
                           "ROLLBACK;\n"
                           "\\else\n"
                           "END;\n"
                           "\\endif\n"
                           "SELECT count(*) FROM pgbench_accounts WHERE aid BETWEEN :id AND :id + 9;\n")
            for mode in MODES:
                with self.subTest(mode=mode):
                    self.bench("-M", mode, "-f", path)

    def test_pipeline(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pipeline.sql")
            with open(path, "w", encoding="utf-8") as file:
                file.write("\\set id random(1, 1000)\n\\startpipeline\n"
                           + "SELECT abalance FROM pgbench_accounts WHERE aid = :id;\n" * 10 + "\\endpipeline\n")
            for mode in ("extended", "prepared"):
                with self.subTest(mode=mode):
                    self.bench("-M", mode, "-f", path)

    def test_weights_and_latency_per_statement(self):
        output = self.bench("-b", "tpcb-like@2", "-b", "select-only@3", "-r")
        self.assertIn("statement latencies in milliseconds", output)

    def test_progress(self):
        done = target.run(["pgbench", "-n", "-S", "-c", "2", "-T", "2", "-P", "1"], self.database)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"progress: 1\.\d s, [\d.]+ tps")


def add_built_in(name, script, mode):
    def test(self):
        history = int(self.ask("SELECT count(*) FROM pgbench_history")[0][0])
        before = self.assert_balanced() if script != "simple-update" else 0
        self.bench("-b", script, "-M", mode)
        added = int(self.ask("SELECT count(*) FROM pgbench_history")[0][0]) - history
        self.assertEqual(added, 0 if script == "select-only" else 200)
        if script == "tpcb-like":
            deltas = int(self.ask("SELECT coalesce(sum(delta), 0) FROM pgbench_history")[0][0])
            self.assertEqual(self.assert_balanced(), deltas)
        elif script == "select-only":
            self.assertEqual(self.assert_balanced(), before)
        else:
            self.ask("UPDATE pgbench_accounts SET abalance = 0 WHERE abalance <> 0")
            for table, column in (("branches", "bbalance"), ("tellers", "tbalance")):
                self.ask(f"UPDATE pgbench_{table} SET {column} = 0")
            self.ask("TRUNCATE pgbench_history")
    setattr(Pgbench, f"test_{name}_{mode}", test)


for protocol in MODES:
    add_built_in("tpcb", "tpcb-like", protocol)
    add_built_in("select_only", "select-only", protocol)
    add_built_in("simple_update", "simple-update", protocol)

if __name__ == "__main__":
    target.main()
