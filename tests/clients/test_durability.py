#!/usr/bin/env python3
"""Sessions that are volatile by name: they hear "done" before it is durable, are told so, and nobody else notices.

For BOP only: bop.durability, bop.flush_strategy; synchronous_commit = off is PostgreSQL's name for the former. What a power
cut leaves is tests/rowstore/volatile_commit_test.cpp's; here it is the end of the process, and a disk that stalls
(disk_faults.c).
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slt"))

# pylint: disable=wrong-import-position
import servers
import wire
from disk_faults import DiskFaults

binary = ""
PATIENCE = 30.0
NEVER = "SET bop.durability = volatile; SET bop.flush_strategy = batched; SET bop.flush_records = 1000000"
VOLATILE = "this session is volatile"


class Durability(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="bop-durability-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.faults = DiskFaults(self.folder)
        self.node = servers.Bop(binary, directory=os.path.join(self.folder, "data"), flags=["--disk=pwritev"])
        self.node.prefix = self.faults.prefix
        self.addCleanup(self.node.stop)
        self.node.start()

    def connect(self, **options):
        connection = self.node.connect(**options)
        self.addCleanup(connection.socket.close)
        return connection

    def ask(self, sql, connection=None):
        own = connection or self.connect()
        for result in own.simple(sql):
            self.assertIsNone(result.error, f"{sql}: {result.error}")
        if connection is None:
            own.close()
        return result.rows

    def notices(self, sql, connection):
        results = connection.simple(sql)
        self.assertIsNone(results[-1].error, sql)
        return [notice["M"] for result in results for notice in result.notices]

    def flushes(self, cause=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.node.http_port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        causes = {found[1]: int(found[2]) for found in
                  re.finditer(r'^bop_log_flushes_total\{cause="(\w+)"\} (\d+)$', text, re.MULTILINE)}
        self.assertEqual(sorted(causes), ["async", "batched", "commit", "full", "mark", "periodic", "wanted"])
        return causes if cause is None else causes[cause]

    def committed(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.node.http_port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return [int(re.search(rf"^bop_log_{name} (\d+)$", text, re.MULTILINE)[1]) for name in ("committed", "appended")]

    def test_the_session_is_told(self):
        connection = self.connect()
        self.assertEqual(connection.parameters["bop.durability"], "durable")
        self.assertEqual(self.ask("SHOW bop.durability", connection), [["durable"]])
        told = self.notices("SET bop.durability = volatile", connection)
        self.assertTrue(any(VOLATILE in text for text in told), told)
        self.assertEqual(connection.parameters["bop.durability"], "volatile")
        self.assertEqual(self.notices("SET bop.durability = volatile", connection), [], "once is enough")
        self.assertEqual(self.notices("SET bop.durability = durable", connection), [])
        self.assertEqual(connection.parameters["bop.durability"], "durable")
        self.assertEqual(connection.simple("SET bop.durability = perhaps")[-1].error["C"], "22023")
        self.assertEqual(connection.simple("SET bop.flush_strategy = sometimes")[-1].error["C"], "22023")

    def test_synchronous_commit_off_is_the_same(self):
        connection = self.connect()
        told = self.notices("SET synchronous_commit = off", connection)
        self.assertTrue(any(VOLATILE in text for text in told), told)
        self.assertEqual(connection.parameters["bop.durability"], "volatile")
        self.ask("RESET synchronous_commit", connection)
        self.assertEqual(connection.parameters["bop.durability"], "durable")
        self.ask("SET bop.durability = volatile", connection)
        self.assertEqual(self.ask("SHOW synchronous_commit", connection), [["off"]])
        for value in ("local", "remote_apply", "on"):
            self.ask(f"SET synchronous_commit = {value}", connection)
            self.assertEqual(self.ask("SHOW bop.durability", connection), [["durable"]])
            self.ask("SET bop.durability = durable", connection)
            self.assertEqual(self.ask("SHOW synchronous_commit", connection), [[value]])
            self.ask("SET bop.durability = volatile", connection)

    def test_the_choice_follows_transactions(self):
        connection = self.connect()
        self.ask("CREATE TABLE t (a int)", connection)
        for choice in ("SET bop.durability = volatile", "SET synchronous_commit = off"):
            self.ask(f"BEGIN; {choice}; ROLLBACK", connection)
            self.assertEqual(connection.parameters["bop.durability"], "durable")
            self.assertEqual(self.ask("SHOW synchronous_commit", connection), [["on"]])
            local = choice.replace("SET", "SET LOCAL")
            self.ask(f"BEGIN; {local}; INSERT INTO t VALUES (1); COMMIT", connection)
            self.assertEqual(connection.parameters["bop.durability"], "durable")
            self.ask(f"BEGIN; SAVEPOINT s; {choice}; ROLLBACK TO s; COMMIT", connection)
            self.assertEqual(self.ask("SHOW bop.durability", connection), [["durable"]])

    def test_roles_and_start_packets_choose_and_are_told(self):
        admin = self.connect()
        self.ask("CREATE ROLE loader LOGIN PASSWORD 'x'; ALTER ROLE loader SET synchronous_commit = off", admin)
        for user, password, options in (("loader", "x", None),
                                        (self.node.user, self.node.password, {"options": "-c bop.durability=volatile"})):
            connection = wire.Connection(self.node.host, self.node.port, user, password, "bop", 20, options)
            self.addCleanup(connection.socket.close)
            self.assertEqual(connection.parameters["bop.durability"], "volatile")
            told = self.notices("SELECT 1", connection)
            self.assertTrue(any(VOLATILE in text for text in told), told)
            self.assertEqual(self.notices("SELECT 1", connection), [])
            self.ask("SET bop.durability = durable", connection)
            self.ask("RESET bop.durability", connection)
            self.assertEqual(self.ask("SHOW synchronous_commit", connection), [["off"]])

    def stalled(self, run):
        """The thread that runs it while the log cannot be written."""
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def test_only_volatile_answers_come_before_the_disk(self):
        writer, other, durable, local = [self.connect() for _ in range(4)]
        self.ask("CREATE TABLE t (a int); CREATE SEQUENCE s", writer)
        self.ask("SET bop.durability = volatile", writer)
        self.ask("SET bop.durability = volatile", other)
        self.faults.set(("write", ".log", "stall"))
        self.ask("INSERT INTO t VALUES (1)", writer)  # answered, although nothing reaches the disk
        self.ask("BEGIN; INSERT INTO t VALUES (2); COMMIT", writer)
        self.assertEqual(writer.extended("INSERT INTO t VALUES ($1) RETURNING a", (3,))[-1].rows, [["3"]])
        self.assertEqual(self.ask("SELECT nextval('s')", writer), [["1"]])
        self.assertEqual(self.ask("SELECT count(*) FROM t", other), [["3"]], "volatile sessions are shown it")
        self.ask("BEGIN; SET LOCAL synchronous_commit = off; INSERT INTO t VALUES (4)", local)
        self.ask("COMMIT", local)  # this one only
        committed, appended = self.committed()
        self.assertLess(committed, appended)
        seen = []
        waiting = [self.stalled(lambda: seen.append(self.ask("SELECT count(*) FROM t", durable))),
                   self.stalled(lambda: seen.append(self.ask("INSERT INTO t VALUES (5)", local)))]
        until = time.monotonic() + 1
        while time.monotonic() < until:
            self.ask("SELECT count(*) FROM t", other)
        self.assertEqual(seen, [], "an answer came before what it tells of was durable")
        self.faults.set()
        for thread in waiting:
            thread.join(PATIENCE)
        self.assertEqual(len(seen), 2)

    def test_what_is_not_written_is_lost_with_the_process_and_only_that(self):
        connection = self.connect()
        self.ask("CREATE TABLE t (a int)", connection)
        self.ask(NEVER, connection)
        for i in range(20):
            self.ask(f"INSERT INTO t VALUES ({i})", connection)
        self.ask("SET bop.durability = durable", connection)
        self.ask("INSERT INTO t VALUES (20)", connection)  # takes all before along
        self.ask("SET bop.durability = volatile", connection)
        for i in range(21, 40):
            self.ask(f"INSERT INTO t VALUES ({i})", connection)
        self.assertEqual(self.ask("SELECT count(*), max(a) FROM t", connection), [["40", "39"]])
        self.node.kill()
        self.node.start()
        self.assertEqual(self.ask("SELECT count(*), max(a) FROM t"), [["21", "20"]])

    def test_what_was_shown_to_a_durable_session_stays(self):
        connection = self.connect()
        self.ask("CREATE TABLE t (a int); CREATE SEQUENCE s", connection)
        self.ask(NEVER, connection)
        for i in range(10):
            self.ask(f"INSERT INTO t VALUES ({i})", connection)
        self.assertEqual(self.ask("SELECT nextval('s')", connection), [["1"]])
        before = self.flushes("wanted")
        self.assertEqual(self.ask("SELECT count(*) FROM t"), [["10"]])
        self.assertEqual(self.ask("SELECT nextval('s')"), [["2"]])
        self.assertGreater(self.flushes("wanted"), before)
        self.node.kill()
        self.node.start()
        self.assertEqual(self.ask("SELECT count(*) FROM t"), [["10"]])
        self.assertGreater(int(self.ask("SELECT nextval('s')")[0][0]), 2)

    def test_a_stop_and_a_checkpoint_make_all_durable(self):
        connection = self.connect()
        self.ask("CREATE TABLE t (a int)", connection)
        self.ask(NEVER, connection)
        self.ask("INSERT INTO t VALUES (1)", connection)
        self.ask("CHECKPOINT")
        self.node.kill()
        self.node.start()
        self.assertEqual(self.ask("SELECT a FROM t"), [["1"]])
        connection = self.connect()
        self.ask(NEVER, connection)
        self.ask("INSERT INTO t VALUES (2)", connection)
        self.assertEqual(self.node.stop(), 0)
        self.node.start()
        self.assertEqual(self.ask("SELECT a FROM t ORDER BY a"), [["1"], ["2"]])

    def test_strategies_write_when_they_say(self):
        connection = self.connect()
        self.ask("CREATE TABLE t (a int)", connection)
        self.ask("SET bop.durability = volatile", connection)

        def grown(cause, sql, count, most_left=0):
            """How many writes of this cause so many statements have begun; `most_left` records may be left to wait."""
            before = self.flushes()
            for _ in range(count):
                self.ask(sql, connection)
            deadline = time.monotonic() + PATIENCE
            while self.committed()[0] + most_left < self.committed()[1]:
                self.assertLess(time.monotonic(), deadline, "it is never written")
            after = self.flushes()
            self.assertEqual(after["commit"], before["commit"], "nobody has waited")
            return after[cause] - before[cause]

        insert = "INSERT INTO t VALUES (1)"
        self.assertGreater(grown("async", insert, 20), 0)
        self.ask("SET bop.flush_strategy = batched; SET bop.flush_records = 10", connection)
        # A write for another reason, a mark or a checkpoint of the system's, may carry some along.
        self.assertIn(grown("batched", insert, 40, 9), (2, 3, 4))
        self.ask("SET bop.flush_strategy = periodic; SET bop.flush_interval = '50ms'", connection)
        self.assertGreater(grown("periodic", insert, 40), 0)
        self.ask("SET bop.flush_strategy = batched_or_periodic; SET bop.flush_interval = '1min'", connection)
        self.assertIn(grown("batched", insert, 30, 9), (1, 2, 3))
        self.ask("SET bop.flush_interval = '20ms'", connection)
        self.assertGreater(grown("periodic", insert, 1), 0)

    def test_a_durable_commit_does_not_wait_for_the_time_of_others(self):
        connection, durable = self.connect(), self.connect()
        self.ask("CREATE TABLE t (a int)", connection)
        self.ask("SET bop.durability = volatile; SET bop.flush_strategy = periodic; SET bop.flush_interval = '1min'",
                 connection)
        began = time.monotonic()
        for i in range(10):
            self.ask(f"INSERT INTO t VALUES ({2 * i})", connection)
            self.ask(f"INSERT INTO t VALUES ({2 * i + 1})", durable)
            self.ask("SELECT count(*) FROM t", durable)
            self.ask(f"INSERT INTO t VALUES ({2 * i})", connection)
            self.ask("SELECT count(*) FROM t", durable)
        self.assertLess(time.monotonic() - began, 30)

    def test_notifications_are_heard_when_they_are_durable(self):
        listener, connection = self.connect(), self.connect()
        self.ask("LISTEN news", listener)
        self.ask(NEVER, connection)
        self.ask("NOTIFY news, 'one'", connection)
        self.assertEqual(listener.socket.recv(1), b"A")  # the log wrote it for the listener's sake


def main():
    global binary
    parser = argparse.ArgumentParser()
    parser.add_argument("--bop", required=True)
    parser.add_argument("tests", nargs="*", help="Case or Case.test_name")
    options = parser.parse_args()
    binary = options.bop
    program = unittest.main(module="__main__", argv=[sys.argv[0], *options.tests], exit=False, verbosity=2)
    sys.exit(0 if program.result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
