#!/usr/bin/env python3
"""Functions and DO where several sessions or roles matter: who waits for whom, what ends a block, who may call."""

import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import target

ENDLESS = "DO $$ DECLARE i int := 0; BEGIN LOOP i := (i + 1) % 1000; END LOOP; END $$"


class Functions(unittest.TestCase):
    def setUp(self):
        self.database = target.fresh_database("functions")
        self.one = self.connect()
        self.two = self.connect()

    def connect(self):
        connection = target.server.connect(self.database)
        self.addCleanup(connection.close)
        return connection

    def run_all(self, connection, *statements):
        for sql in statements:
            self.assertIsNone(connection.simple(sql)[-1].error, sql)

    def rows(self, connection, sql):
        result = connection.simple(sql)[-1]
        self.assertIsNone(result.error, sql)
        return [tuple(row) for row in result.rows]

    def state(self, connection, sql):
        error = connection.simple(sql)[-1].error
        self.assertIsNotNone(error, sql)
        return error["C"]

    def test_a_block_waits_for_a_writer_and_goes_on_behind_it(self):
        self.run_all(self.one, "CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 0)",
                     "BEGIN", "UPDATE t SET n = n + 1")
        answers = []
        block = ("DO $$ DECLARE k int; BEGIN SELECT n INTO k FROM t; UPDATE t SET n = n + 10; "
                 "UPDATE t SET n = n + 100; END $$")
        waiter = threading.Thread(target=lambda: answers.append(self.two.simple(block)[-1].error))
        pid = self.rows(self.two, "SELECT pg_backend_pid()")[0][0]
        waiter.start()
        watcher = self.connect()
        while self.rows(watcher, f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}") != [("Lock",)]:
            self.assertEqual(answers, [])
        self.run_all(self.one, "COMMIT")
        waiter.join(20)
        self.assertEqual(answers, [None])
        self.assertEqual(self.rows(self.one, "SELECT n FROM t"), [("111",)])

    def test_an_endless_block_is_cancelled_and_holds_up_nobody(self):
        pid = self.rows(self.one, "SELECT pg_backend_pid()")[0][0]
        answers = []
        runner = threading.Thread(target=lambda: answers.append(self.one.simple(ENDLESS)[-1].error))
        runner.start()
        for _ in range(20):
            begun = time.monotonic()
            self.assertEqual(self.rows(self.two, "SELECT 1"), [("1",)])
            self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(self.rows(self.two, f"SELECT pg_cancel_backend({pid})"), [("t",)])
        runner.join(20)
        self.assertEqual(answers[0]["C"], "57014")
        self.assertEqual(self.rows(self.one, "SELECT 1"), [("1",)])

    def test_who_ends_a_session_is_not_caught(self):
        """Whether its client is there or not; what the block has changed is undone."""
        self.run_all(self.one, "CREATE TABLE t (a int)")
        stubborn = ("DO $$ BEGIN INSERT INTO t VALUES (1); LOOP BEGIN LOOP NULL; END LOOP; "
                    "EXCEPTION WHEN query_canceled OR admin_shutdown OR OTHERS THEN NULL; END; END LOOP; END $$")
        for leaves in (False, True):
            session = target.server.connect(self.database)
            pid = self.rows(session, "SELECT pg_backend_pid()")[0][0]
            answers = []

            def run():
                try:
                    answers.append(session.simple(stubborn)[-1].error["C"])
                except Exception:  # the connection ends
                    answers.append("57P01")

            runner = threading.Thread(target=run)
            runner.start()
            active = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active' AND query LIKE 'DO%'"
            while self.rows(self.two, active) != [("1",)]:
                self.assertEqual(answers, [])
            if leaves:
                session.socket.shutdown(2)  # which nobody looks at before there is something to write
            self.assertEqual(self.rows(self.two, f"SELECT pg_terminate_backend({pid})"), [("t",)])
            runner.join(20)
            self.assertEqual(answers, ["57P01"])
            gone = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
            deadline = time.monotonic() + 10
            while self.rows(self.two, gone) != [("0",)] and time.monotonic() < deadline:
                pass
            self.run_all(self.two, "SET lock_timeout = '5s'", "INSERT INTO t VALUES (2)", "DELETE FROM t WHERE a = 2")
            self.assertEqual(self.rows(self.two, "SELECT * FROM t"), [])
            session.close()

    def test_a_timeout_is_no_matter_of_others(self):
        self.run_all(self.one, "SET statement_timeout = 200")
        self.assertEqual(self.state(self.one, "DO $$ BEGIN PERFORM count(*) FROM "
                                              "generate_series(1, 1000000000); EXCEPTION WHEN OTHERS THEN "
                                              "RAISE NOTICE 'caught'; END $$"), "57014")
        self.assertEqual(self.state(self.one, ENDLESS), "57014")
        self.run_all(self.one, "CREATE FUNCTION endless() RETURNS int LANGUAGE plpgsql AS "
                               "$$ BEGIN LOOP NULL; END LOOP; END $$")
        self.assertEqual(self.state(self.one, "SELECT endless()"), "57014")

    def test_each_statement_of_a_block_sees_what_was_committed_before_it(self):
        self.run_all(self.one, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
        seen = []
        block = ("DO $$ DECLARE n int := 1; BEGIN WHILE n < 2 LOOP SELECT count(*) INTO n FROM t; END LOOP; END $$")
        runner = threading.Thread(target=lambda: seen.append(self.one.simple(block)[-1].error))
        runner.start()
        self.run_all(self.two, "INSERT INTO t VALUES (2)")
        runner.join(20)
        self.assertEqual(seen, [None])

    def test_who_may_execute(self):
        self.run_all(self.one, "DROP ROLE IF EXISTS caller", "CREATE ROLE caller", "CREATE TABLE secret (a int)",
                     "INSERT INTO secret VALUES (7)",
                     "CREATE FUNCTION plain(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1'",
                     "CREATE FUNCTION block(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN a + 1; END $$",
                     "CREATE FUNCTION peek() RETURNS int LANGUAGE sql AS 'SELECT a FROM secret'",
                     "CREATE FUNCTION peek_block() RETURNS int LANGUAGE plpgsql AS "
                     "$$ BEGIN RETURN (SELECT a FROM secret); END $$", "SET ROLE caller")
        self.assertEqual(self.rows(self.one, "SELECT plain(1), block(2)"), [("2", "3")])
        self.assertEqual(self.state(self.one, "SELECT peek()"), "42501")
        self.assertEqual(self.state(self.one, "SELECT peek_block()"), "42501")
        for statement in ("CREATE OR REPLACE FUNCTION plain(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                          "DROP FUNCTION plain(int)", "ALTER FUNCTION plain(int) RENAME TO other"):
            self.assertEqual(self.state(self.one, statement), "42501", statement)
        self.run_all(self.one, "RESET ROLE", "REVOKE EXECUTE ON FUNCTION plain(int), block(int) FROM PUBLIC",
                     "SET ROLE caller")
        self.assertEqual(self.state(self.one, "SELECT plain(1)"), "42501")
        self.assertEqual(self.state(self.one, "SELECT block(1)"), "42501")
        self.run_all(self.one, "RESET ROLE", "GRANT EXECUTE ON FUNCTION plain(int), block(int) TO caller",
                     "SET ROLE caller")
        self.assertEqual(self.rows(self.one, "SELECT plain(1), block(2)"), [("2", "3")])
        self.assertEqual(self.rows(self.one, "SELECT has_function_privilege('plain(int)', 'execute')"), [("t",)])
        self.run_all(self.one, "RESET ROLE", "DROP FUNCTION plain, block, peek, peek_block", "DROP ROLE caller")

    def test_what_others_have_made_is_called_at_once(self):
        self.run_all(self.one, "PREPARE p AS SELECT 1")
        self.run_all(self.two, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        self.assertEqual(self.rows(self.one, "SELECT f()"), [("1",)])
        self.run_all(self.one, "PREPARE q AS SELECT f()")
        self.run_all(self.two, "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'")
        self.assertEqual(self.rows(self.one, "EXECUTE q"), [("2",)])
        self.run_all(self.two, "DROP FUNCTION f()")
        self.assertEqual(self.state(self.one, "EXECUTE q"), "42883")


if __name__ == "__main__":
    target.main()
