#!/usr/bin/env python3
"""Changes and cursors whose rows the second executor computes, over tables that are large enough for it to be asked."""

import os
import threading

import own_node
import wire

ROWS = 60000
SUMS = "(SELECT k, sum(v) AS v FROM source GROUP BY k)"
STATE = "SELECT count(*), sum(id), sum(v), sum(length(t)), count(v) FROM target"
UPDATE = f"UPDATE target SET v = s.v, t = t || '!' FROM {SUMS} s WHERE s.k = target.k"
CHANGES = [
    UPDATE,
    "UPDATE target SET v = (SELECT max(source.v) FROM source WHERE source.k = target.k)",
    "UPDATE target SET v = -v WHERE k IN (SELECT k FROM source GROUP BY k HAVING sum(v) % 2 = 0)",
    f"UPDATE target SET v = s.v FROM {SUMS} s WHERE s.k = target.k RETURNING target.id, s.v",
    f"DELETE FROM target USING {SUMS} s WHERE s.k = target.k AND s.v % 3 = 0",
    "DELETE FROM target WHERE NOT EXISTS (SELECT 1 FROM source WHERE source.k = target.k AND source.v > 59000)",
    f"MERGE INTO target USING {SUMS} s ON s.k = target.id WHEN MATCHED AND s.v % 2 = 0 THEN DELETE "
    "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, k, v) VALUES (s.k + 1000000, s.k, s.v)",
    f"WITH gone AS (DELETE FROM target USING {SUMS} s WHERE s.k = target.k AND s.k < 100 RETURNING target.*) "
    "INSERT INTO target SELECT id + 2000000, k, -v, t FROM gone",
]


class LargeTables(own_node.NodeCase):
    def setUp(self):
        self.node = self.make_node(os.path.join(self.make_folder("changes"), "data"))
        self.node.start()
        self.connection = self.connect(timeout=60)
        self.run_all("CREATE TABLE target (id int PRIMARY KEY, k int, v bigint CHECK (v < 1000000000), t text DEFAULT '')",
                     f"INSERT INTO target SELECT g, g % 1000, g, 'row ' || g FROM generate_series(1, {ROWS}) g",
                     "CREATE TABLE source (k int, v int)",
                     f"INSERT INTO source SELECT g % 1100, g FROM generate_series(1, {ROWS}) g",
                     "CREATE INDEX ON source (k)", "SET bop.engine_min_rows = 1000")

    def run_all(self, *statements):
        for sql in statements:
            self.assertIsNone(self.connection.simple(sql)[-1].error, sql)

    def rows(self, sql):
        result = self.connection.simple(sql)[-1]
        self.assertIsNone(result.error, sql)
        return [tuple(row) for row in result.rows]

    def executor(self, sql, explain="EXPLAIN"):
        return [row[0] for row in self.rows(f"{explain} {sql}") if row[0].startswith("Executor: ")][0]

    def engine_statements(self):
        return self.metric("bop_engine_statements_total", absent=0)  # it is not loaded yet

    def cancel(self, sql):
        other = self.connect()
        pid = self.rows("SELECT pg_backend_pid()")[0][0]
        stop = threading.Event()

        def keep_cancelling():
            while not stop.wait(0.2):
                other.simple(f"SELECT pg_cancel_backend({pid})")

        thread = threading.Thread(target=keep_cancelling)
        thread.start()
        result = self.connection.simple(sql)[-1]
        stop.set()
        thread.join()
        self.assertEqual(result.error["C"], "57014", sql)


class EngineChanges(LargeTables):
    def test_both_executors_store_the_same(self):
        for sql in CHANGES:
            found = {}
            for route in ("sqlite", "auto"):
                self.run_all(f"SET bop.route = {route}")
                expected = "Executor: DuckDB" if route == "auto" else "Executor: SQLite (bop.route is sqlite)"
                self.assertIn(expected, self.executor(sql))
                self.run_all("BEGIN")
                result = self.connection.simple(sql)[-1]
                self.assertIsNone(result.error, sql)
                found[route] = (result.tag, sorted(result.rows or ()), self.rows(STATE))
                self.run_all("ROLLBACK")
            self.assertEqual(found["sqlite"], found["auto"], sql)

    def test_explain_shows_who_does_what(self):
        lines = [row[0] for row in self.rows("EXPLAIN " + UPDATE)]
        self.assertEqual(lines[0], "Update on target")
        self.assertTrue(any("PAGE SCAN on source" in line for line in lines), lines)
        self.assertRegex(lines[-1], r"^Executor: DuckDB \(it reads through about \d+ rows\), then SQLite$")
        lines = [row[0] for row in self.rows("EXPLAIN " + CHANGES[6])]
        self.assertEqual(lines[0], "Merge on target")
        self.assertTrue(any("PAGE SCAN on source" in line for line in lines), lines)
        self.run_all("BEGIN")
        lines = [row[0] for row in self.rows("EXPLAIN ANALYZE " + UPDATE)]
        self.assertEqual(lines[0], "Update on target (actual rows=0 loops=1)")
        self.assertTrue(any(f"on bop_rows (actual rows={ROWS} loops=1)" in line for line in lines), lines)
        self.run_all("ROLLBACK")
        self.assertEqual(self.executor("UPDATE target SET v = 1 WHERE id = 7"), "Executor: SQLite (it combines no rows)")
        self.assertIn("Executor: SQLite (it reads ",
                      self.executor("UPDATE target SET v = (SELECT max(o.v) FROM target o WHERE o.id = 9) WHERE id = 7"))

    def test_a_violation_in_the_middle_leaves_nothing(self):
        before = self.rows(STATE)
        sql = f"UPDATE target SET v = s.v + CASE WHEN id = 1000 THEN 1000000000 ELSE 0 END FROM {SUMS} s WHERE s.k = target.k"
        self.assertIn("DuckDB", self.executor(sql))
        error = self.connection.simple(sql)[-1].error
        self.assertEqual(error["C"], "23514")
        self.assertIn("Failing row contains (1000, ", error["D"])
        self.assertEqual(self.rows(STATE), before)
        self.run_all("BEGIN", "UPDATE target SET v = 5 WHERE id = 1", "SAVEPOINT a")
        self.assertEqual(self.connection.simple(sql)[-1].error["C"], "23514")
        self.run_all("ROLLBACK TO a")
        self.assertEqual(self.rows("SELECT v FROM target WHERE id = 1"), [("5",)])
        self.run_all("COMMIT")

    def test_a_violated_key_is_told_from_the_rows_that_were_computed(self):
        self.run_all("CREATE UNIQUE INDEX ON target (v)")
        sql = f"UPDATE target SET v = s.v FROM {SUMS} s WHERE s.k = target.k AND s.k IN (3, 4)"
        error = self.connection.simple(sql)[-1].error
        self.assertEqual(error["C"], "23505")
        value = self.rows(f"SELECT v FROM {SUMS} s WHERE k = 3")[0][0]
        other = self.rows(f"SELECT v FROM {SUMS} s WHERE k = 4")[0][0]
        self.assertIn(error["D"], [f"Key (v)=({v}) already exists." for v in (value, other)])

    def test_prepared(self):
        sql = f"UPDATE target SET v = s.v + $1 FROM {SUMS} s WHERE s.k = target.k AND target.id <= $2 RETURNING target.id, target.v"
        first = dict(self.rows(f"SELECT target.id, s.v FROM target JOIN {SUMS} s ON s.k = target.k WHERE target.id < 9"))
        for add, most in (("1", "3"), ("100", "8"), ("7", "2")):
            result = self.connection.extended(sql, (add, most))[-1]
            self.assertIsNone(result.error)
            self.assertEqual({key: int(v) - int(add) for key, v in result.rows},
                             {key: int(v) for key, v in first.items() if int(key) <= int(most)})

    def test_cancelled(self):
        before = self.rows(STATE)
        endless = "(SELECT count(*) AS n FROM source a, source b, source c WHERE a.v + b.v > c.v) s"
        self.cancel(f"UPDATE target SET v = s.n FROM {endless}")
        self.assertEqual(self.rows(STATE), before)
        self.run_all("BEGIN", "UPDATE target SET v = 5 WHERE id = 1", "SAVEPOINT a")
        self.cancel(f"DELETE FROM target USING {endless} WHERE target.k = s.n % 7")
        self.run_all("ROLLBACK TO a")
        self.assertEqual(self.rows("SELECT v FROM target WHERE id = 1"), [("5",)])
        self.cancel(f"MERGE INTO target USING {endless} ON target.id = s.n WHEN MATCHED THEN DELETE")
        self.run_all("ROLLBACK TO a", "COMMIT")
        self.assertEqual(self.rows("SELECT count(*) FROM target"), [(str(ROWS),)])

    def test_cancelled_while_they_are_stored(self):
        before = self.rows(STATE)
        self.run_all("CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql AS "
                     "$$ BEGIN IF $1 = 30000 THEN PERFORM count(*) FROM generate_series(1, 1000000000); END IF; RETURN $1; END $$")
        self.run_all("BEGIN", "UPDATE source SET v = 7 WHERE k = 1099", "SAVEPOINT a")
        sql = f"UPDATE target SET v = slow(target.id) + s.v FROM {SUMS} s WHERE s.k = target.k"
        self.assertIn("DuckDB", self.executor(sql))
        self.cancel(sql)
        self.run_all("ROLLBACK TO a")
        self.assertEqual(self.rows("SELECT DISTINCT v FROM source WHERE k = 1099"), [("7",)])
        self.run_all("COMMIT")
        self.assertEqual(self.rows(STATE), before)

    def test_the_own_changes_are_seen(self):
        self.run_all("BEGIN", "UPDATE source SET v = 1", "DELETE FROM source WHERE k = 5",
                     "INSERT INTO source SELECT 6, 1000 FROM generate_series(1, 10)", UPDATE)
        self.assertEqual(self.rows("SELECT v FROM target WHERE id IN (5, 6, 7) ORDER BY id"), [("5",), ("10055",), ("55",)])
        self.run_all("ROLLBACK")
        self.assertEqual(self.rows("SELECT v FROM target WHERE id = 7"), [("7",)])

    def test_the_lane_is_held_until_the_rows_are_stored(self):
        other = self.connect(timeout=60)
        pid = other.simple("SELECT pg_backend_pid()")[-1].rows[0][0]
        self.run_all("BEGIN", UPDATE)
        done = []
        thread = threading.Thread(target=lambda: done.append(other.simple("UPDATE target SET v = v + 1 WHERE id = 7")[-1]))
        thread.start()
        waits_for = f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}"
        self.wait_until(lambda: self.rows(waits_for) == [("Lock",)], "the other session does not wait for the lane")
        self.assertEqual(done, [])
        self.run_all("COMMIT")
        thread.join(30)
        self.assertIsNone(done[0].error)
        self.assertEqual(self.rows("SELECT v FROM target WHERE id = 7"),
                         self.rows(f"SELECT v + 1 FROM {SUMS} s WHERE k = 7"))


class EngineCursors(LargeTables):
    QUERY = "SELECT a.k, count(*), sum(a.v) FROM target a JOIN source b ON a.k = b.k GROUP BY a.k ORDER BY a.k"

    def test_a_cursor_of_a_reader_and_of_a_writer(self):
        self.run_all("SET bop.route = sqlite")
        right = self.rows(self.QUERY)
        self.run_all("SET bop.route = auto")
        for before in ("SELECT 1", "UPDATE target SET t = t WHERE id = 1"):
            answered = self.engine_statements()
            self.run_all("BEGIN", before, f"DECLARE c SCROLL CURSOR FOR {self.QUERY}")
            self.assertEqual(self.rows("FETCH 3 FROM c"), right[:3])
            self.assertEqual(self.engine_statements(), answered + 1)
            self.run_all("DELETE FROM source WHERE k > 10")
            self.assertEqual(self.rows("FETCH ALL FROM c"), right[3:])
            self.assertEqual(self.rows("FETCH FIRST FROM c"), right[:1])
            self.run_all("ROLLBACK")

    def test_a_cursor_that_nobody_has_fetched_from(self):
        right = self.rows(self.QUERY)
        self.run_all("BEGIN", "UPDATE target SET t = t WHERE id = 1", f"DECLARE c CURSOR FOR {self.QUERY}",
                     "DELETE FROM source WHERE k < 500")
        self.assertEqual(self.rows("FETCH ALL FROM c"), right)
        self.run_all("ROLLBACK")

    def test_a_cursor_with_hold_goes_on_after_its_tables(self):
        right = self.rows(self.QUERY)
        self.run_all("BEGIN", f"DECLARE c CURSOR WITH HOLD FOR {self.QUERY}",
                     f"DECLARE d SCROLL CURSOR WITH HOLD FOR {self.QUERY}", "FETCH 2 FROM d", "COMMIT", "DROP TABLE target",
                     "DELETE FROM source")
        self.assertEqual(self.rows("FETCH 10 FROM c"), right[:10])
        self.assertEqual(self.rows("FETCH ALL FROM d"), right[2:])
        self.run_all("BEGIN", "INSERT INTO source VALUES (1, 1)")
        self.assertEqual(self.rows("FETCH ALL FROM c"), right[10:])
        self.run_all("COMMIT", "CLOSE ALL")

    def test_many_rows_with_hold(self):
        # More than portals may keep in memory.
        self.run_all("BEGIN", "DECLARE c NO SCROLL CURSOR WITH HOLD FOR "
                     "SELECT repeat(a.t, 400) AS t, a.id FROM target a JOIN target b ON b.k = a.k "
                     "WHERE a.k < 200 AND b.id < 10000 ORDER BY 2", "COMMIT")
        self.assertEqual(len(self.rows("FETCH 1000 FROM c")), 1000)
        self.assertEqual(self.connection.simple("MOVE ALL IN c")[-1].tag, "MOVE 118940")
        self.run_all("CLOSE c")

    def execute(self, portal, limit):
        """The rows of one Execute, and whether the portal was suspended."""
        self.connection.send(wire.message(b"E", wire.cstring(portal) + limit.to_bytes(4, "big")) + wire.message(b"S"))
        rows, suspended = [], False
        while True:
            kind, body = self.connection.receive()
            self.assertNotEqual(kind, b"E", body)
            if kind == b"D":
                rows.append(tuple(wire.parse_row(body)))
            suspended = suspended or kind == b"s"
            if kind == b"Z":
                return rows, suspended

    def test_a_portal_goes_on_while_its_tables_change(self):
        # More rows than portals may keep in memory.
        query = ("SELECT repeat(a.t, 400) AS t, a.id FROM target a JOIN target b ON b.k = a.k "
                 "WHERE a.k < 200 AND b.id < 10000 ORDER BY 2")
        self.run_all("BEGIN", "UPDATE target SET t = t WHERE id = 1")
        self.connection.send(wire.message(b"P", wire.cstring("") + wire.cstring(query) + bytes(2)) +
                             wire.message(b"B", wire.cstring("p") + wire.cstring("") + bytes(6)))
        rows, suspended = self.execute("p", 2)
        self.assertEqual([row[1] for row in rows], ["1", "1"])
        self.assertTrue(suspended)
        self.run_all("DELETE FROM target WHERE k < 100")
        rows, suspended = self.execute("p", 3)
        self.assertEqual([row[1] for row in rows], ["1", "1", "1"])
        self.assertTrue(suspended)
        rows, suspended = self.execute("p", 2000)
        self.assertEqual((len(rows), suspended), (2000, True))
        self.run_all("ROLLBACK")

    def test_a_cancelled_cursor(self):
        self.run_all("BEGIN", "DECLARE c CURSOR FOR SELECT count(*) FROM source a, source b, source c WHERE a.v + b.v > c.v",
                     "SAVEPOINT a")
        self.cancel("FETCH c")
        self.run_all("ROLLBACK TO a")
        self.assertEqual(self.connection.simple("FETCH c")[-1].error["C"], "55000")
        self.run_all("ROLLBACK")


if __name__ == "__main__":
    own_node.main()
