#!/usr/bin/env python3
"""Sessions that are volatile by name: they hear "done" before it is durable, are told so, and nobody else notices.

For BOP only: bop.durability, bop.flush_strategy; synchronous_commit = off is PostgreSQL's name for the former. What a power
cut leaves is tests/rowstore/volatile_commit_test.cpp's; here it is the end of the process, and a disk that stalls
(disk_faults.c).
"""

import os
import re
import threading
import time

import own_node
import wire
from disk_faults import DiskFaults

NEVER = "SET bop.durability = volatile; SET bop.flush_strategy = batched; SET bop.flush_records = 1000000"
VOLATILE = "this session is volatile"


class Durability(own_node.NodeCase):
    def setUp(self):
        self.folder = self.make_folder("durability")
        self.faults = DiskFaults(self.folder)
        self.node = self.make_node(os.path.join(self.folder, "data"), ["--disk=pwritev"])
        self.node.prefix = self.faults.prefix
        self.node.start()

    def notices(self, sql, connection):
        results = connection.simple(sql)
        self.assertIsNone(results[-1].error, sql)
        return [notice["M"] for result in results for notice in result.notices]

    def flushes(self, cause=None):
        causes = {found[1]: int(found[2]) for found in
                  re.finditer(r'^bop_log_flushes_total\{cause="(\w+)"\} (\d+)$', self.page("metrics")[1], re.MULTILINE)}
        self.assertEqual(sorted(causes), ["async", "batched", "commit", "full", "mark", "periodic", "wanted"])
        return causes if cause is None else causes[cause]

    def committed(self):
        """How far the log is committed and appended, at one moment."""
        page = self.page("metrics")[1]
        return [self.metric(f"bop_log_{name}", page) for name in ("committed", "appended")]

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
            thread.join(own_node.PATIENCE)
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
            def written():
                committed, appended = self.committed()
                return committed + most_left >= appended

            before = self.flushes()
            for _ in range(count):
                self.ask(sql, connection)
            self.wait_until(written, "it is never written")
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


if __name__ == "__main__":
    own_node.main()
