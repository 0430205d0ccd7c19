#!/usr/bin/env python3
"""An internal error of the second executor ends its statement with XX000 and nothing else; whoever may end a statement
ends one of it.

The module has a hook for this test alone: while the file that BOP_TEST_ENGINE_FAULT names is there, the next scan
removes it and throws DuckDB's InternalException inside one of DuckDB's threads.
"""

import os
import threading
import time

import own_node

QUERY = "SELECT count(*), sum(a), max(b) FROM t WHERE a % 7 <> 3"


class EngineFaults(own_node.NodeCase):
    def setUp(self):
        folder = self.make_folder("engine-faults")
        self.fault = os.path.join(folder, "fault")
        os.environ["BOP_TEST_ENGINE_FAULT"] = self.fault
        self.addCleanup(os.environ.pop, "BOP_TEST_ENGINE_FAULT")
        self.node = self.make_node(os.path.join(folder, "data"))
        self.node.start()
        self.connection = self.connect()
        self.connection.simple("CREATE TABLE t (a int, b text)")
        result = self.connection.simple("INSERT INTO t SELECT i, 'text ' || i FROM generate_series(1, 60000) i")[-1]
        self.assertIsNone(result.error)
        self.connection.simple("SET bop.route = duckdb")
        self.right = self.connection.simple(QUERY)[-1].rows
        self.assertEqual(len(self.right), 1)

    def provoke(self):
        with open(self.fault, "w", encoding="utf-8"):
            pass

    def rebuilt(self):
        return self.metric("bop_engine_rebuilt_total")

    def test_the_statement_ends_and_the_next_has_a_new_engine(self):
        for time_of in range(1, 4):
            self.provoke()
            error = self.connection.simple(QUERY)[-1].error
            self.assertEqual(error["C"], "XX000", error)
            self.assertEqual(self.connection.simple(QUERY)[-1].rows, self.right)
            self.assertEqual(self.rebuilt(), time_of)

    def test_a_transaction_goes_on_behind_its_savepoint(self):
        self.connection.simple("BEGIN")
        self.connection.simple("INSERT INTO t VALUES (-1, 'own')")
        self.connection.simple("SAVEPOINT s")
        self.provoke()
        self.assertEqual(self.connection.simple(QUERY)[-1].error["C"], "XX000")
        self.assertIsNone(self.connection.simple("ROLLBACK TO s")[-1].error)
        self.assertEqual(self.connection.simple("SELECT count(*) FROM t WHERE a = -1")[-1].rows, [["1"]])
        self.assertIsNone(self.connection.simple("COMMIT")[-1].error)

    def test_a_statement_that_multiplies_rows_can_be_ended(self):
        """By its time limit, a cancel, the end of its session and a shutdown; also once it has told rows."""
        self.connection.simple("CREATE TABLE m AS SELECT i % 2 = 0 AS g, i AS v, md5(i::text) AS c FROM generate_series(1, 100000) i")
        nothing = "SELECT count(*) FROM m a JOIN m b ON a.g = b.g WHERE a.c || b.c || a.c = 'nothing'"
        some = ("SELECT a.c, b.c FROM m a JOIN m b ON a.g = b.g "
                "WHERE b.v < 5 AND a.v < 20000 OR a.c || b.c || a.c = 'nothing'")
        for sql in (nothing, some, "CREATE TABLE made AS " + nothing):
            with self.subTest(sql=sql):
                self.connection.simple("SET statement_timeout = '1s'")
                begun = time.monotonic()
                error = self.connection.simple(sql)[-1].error
                self.assertLess(time.monotonic() - begun, 8)
                self.assertEqual(error["C"], "57014", error)
        self.connection.simple("SET statement_timeout = 0")
        for end in ("pg_cancel_backend", "pg_terminate_backend"):
            with self.subTest(end=end):
                other = self.connect()
                other.simple("SET bop.route = duckdb")
                pid = other.simple("SELECT pg_backend_pid()")[-1].rows[0][0]
                outcome = []

                def run():
                    try:
                        outcome.append(other.simple(nothing)[-1].error["C"])
                    except Exception as error:  # the connection ends
                        outcome.append(repr(error))

                thread = threading.Thread(target=run)
                thread.start()
                state = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active' AND query LIKE '%nothing%'"
                self.wait_until(lambda: self.ask(state, self.connection) == [["1"]], "the statement does not run")
                begun = time.monotonic()
                self.assertEqual(self.connection.simple(f"SELECT {end}({pid})")[-1].rows, [["t"]])
                thread.join(20)
                self.assertLess(time.monotonic() - begun, 4)
                self.assertFalse(thread.is_alive())
                if end == "pg_cancel_backend":
                    self.assertEqual(outcome, ["57014"])
        # Others had the engine's threads all the time.
        self.assertEqual(self.connection.simple(QUERY)[-1].rows, self.right)

    def test_a_change_that_it_computes_leaves_nothing(self):
        state = "SELECT count(*), sum(a) FROM t"
        before = self.connection.simple(state)[-1].rows
        group = "(SELECT a % 100 AS k, max(a) AS m FROM t GROUP BY 1) s"
        changes = [f"UPDATE t SET a = s.m FROM {group} WHERE s.k = t.a", f"DELETE FROM t USING {group} WHERE s.k = t.a",
                   f"MERGE INTO t USING {group} ON s.k = t.a WHEN MATCHED THEN DELETE",
                   f"INSERT INTO t SELECT s.k FROM {group}"]
        for sql in changes:
            self.provoke()
            self.assertEqual(self.connection.simple(sql)[-1].error["C"], "XX000", sql)
            self.assertEqual(self.connection.simple(state)[-1].rows, before, sql)
        self.connection.simple("BEGIN")
        for sql in changes:
            result = self.connection.simple(sql)[-1]
            self.assertIsNone(result.error, sql)
        self.connection.simple("ROLLBACK")

    def test_a_cursor_ends_with_the_engine_that_has_its_rows(self):
        rows = "SELECT a % 5000 AS k, count(*) FROM t GROUP BY 1 ORDER BY 1"
        self.assertIsNone(self.connection.simple(f"DECLARE h CURSOR WITH HOLD FOR {rows}")[-1].error)
        self.assertEqual(self.connection.simple("FETCH 1 FROM h")[-1].rows, [["0", "12"]])
        self.provoke()
        self.assertEqual(self.connection.simple(QUERY)[-1].error["C"], "XX000")
        rest = self.connection.simple("FETCH ALL FROM h")[-1]
        if rest.error is None:
            self.assertEqual(len(rest.rows), 4999)
        else:
            self.assertEqual(rest.error["C"], "XX000")
            self.assertEqual(self.connection.simple("FETCH h")[-1].error["C"], "55000")
        self.assertEqual(self.connection.simple(QUERY)[-1].rows, self.right)
        self.provoke()
        self.connection.simple("BEGIN")
        self.connection.simple("INSERT INTO t VALUES (-1, 'own')")
        self.connection.simple(f"DECLARE c CURSOR WITH HOLD FOR {rows}")
        self.assertEqual(self.connection.simple("COMMIT")[-1].error["C"], "XX000")
        self.assertEqual(self.connection.simple("SELECT count(*) FROM t WHERE a = -1")[-1].rows, [["0"]])

    def test_long_statements_hold_up_no_short_one(self):
        """As many as there are processors, and more."""
        self.connection.simple("CREATE TABLE h AS SELECT i AS a, i * 7 % 60000 AS b FROM generate_series(1, 60000) i")
        endless = "SELECT count(*) FROM h x, h y WHERE x.a + y.b > x.b * y.a"
        short = "SELECT count(*) FROM h x JOIN (VALUES (1), (2)) v(a) ON x.b = v.a"
        sessions = [self.connect() for _ in range(os.cpu_count() + 2)]
        for session in sessions:
            session.simple("SET bop.route = duckdb")
        threads = [threading.Thread(target=session.simple, args=(endless,)) for session in sessions]
        for thread in threads:
            thread.start()
        active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%x.b * y.a%'"
        self.wait_until(lambda: self.ask(active, self.connection) == [[str(len(sessions) + 1)]], "not all of them run")
        for _ in range(5):
            begun = time.monotonic()
            self.assertEqual(len(self.connection.simple(short)[-1].rows), 1)
            self.assertLess(time.monotonic() - begun, 3)
        self.connection.simple("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%x.b * y.a%' "
                               "AND pid <> pg_backend_pid()")
        for thread in threads:
            thread.join(20)
            self.assertFalse(thread.is_alive())

    def niceness_by_name(self):
        """The nice values of the node's threads: {name: [value]}."""
        found = {}
        for thread in os.listdir(f"/proc/{self.node.process.pid}/task"):
            try:
                with open(f"/proc/{self.node.process.pid}/task/{thread}/stat", encoding="utf-8") as file:
                    name, fields = file.read().split(" (", 1)[1].rsplit(") ", 1)
            except FileNotFoundError:  # it has ended
                continue
            found.setdefault(name, []).append(int(fields.split()[16]))
        return found

    def test_its_threads_stand_back(self):
        endless = "SELECT count(*) FROM t x, t y WHERE x.a + y.a > x.a * y.a"
        for flags, nice in (([], 10), (["--engine-nice", "0"], 0), (["--engine-nice", "19"], 19)):
            self.node.stop_keeping()
            self.node.flags = ["--engine-threads", "3", *flags]
            self.node.start()
            session = self.connect()
            self.ask("SET bop.route = duckdb", session)
            pid = self.ask("SELECT pg_backend_pid()", session)[0][0]
            thread = threading.Thread(target=session.simple, args=(endless,))
            thread.start()
            # Two that help all statements, and the statement's own.
            self.wait_until(lambda: len(self.niceness_by_name().get("engine", [])) == 3, "the statement does not run")
            self.wait_until(lambda: self.niceness_by_name()["engine"] == [nice] * 3, f"engine threads are not at {nice}")
            others = self.niceness_by_name()
            del others["engine"]
            self.assertEqual({value for values in others.values() for value in values}, {0}, others)
            self.ask(f"SELECT pg_cancel_backend({pid})")
            thread.join(20)
            self.assertFalse(thread.is_alive())

    def test_under_concurrent_statements(self):
        """Others either have the right answer or end as the broken one does; writers and SQLite notice nothing."""
        readers = 4
        stop = threading.Event()
        wrong, broken, right, answers = [], [0], [0], [0] * readers
        lock = threading.Lock()

        def read(number):
            connection = self.node.connect()
            connection.simple("SET bop.route = duckdb")
            while not stop.is_set():
                result = connection.simple(QUERY)[-1]
                with lock:
                    answers[number] += 1
                    if result.error is None and result.rows == self.right:
                        right[0] += 1
                    elif result.error is not None and result.error["C"] == "XX000":
                        broken[0] += 1
                    else:
                        wrong.append(result.error or result.rows)
            connection.close()

        def write():
            connection = self.node.connect()
            connection.simple("CREATE TABLE w (i int)")
            while not stop.is_set():
                error = connection.simple("INSERT INTO w SELECT coalesce(max(i), 0) + 1 FROM w")[-1].error
                if error is not None:
                    with lock:
                        wrong.append(error)
            connection.close()

        threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
        threads.append(threading.Thread(target=write))
        for thread in threads:
            thread.start()
        provoked = 0
        until = time.monotonic() + 5
        try:
            while time.monotonic() < until:
                ended = broken[0]
                self.provoke()
                self.wait_until(lambda: broken[0] > ended, "no statement fails", between=0.002)
                # What ran beside it had the same engine: only what begins from now on is sure to have the next.
                seen = list(answers)
                self.wait_until(lambda: all(now >= before + 5 for now, before in zip(answers, seen)),
                                "a reader stands still", between=0.002)
                provoked += 1
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(wrong, [])
        self.assertGreater(provoked, 3)
        self.assertGreater(right[0], broken[0])
        self.assertEqual(self.connection.simple(QUERY)[-1].rows, self.right)
        self.assertEqual(self.rebuilt(), provoked)


if __name__ == "__main__":
    own_node.main()
