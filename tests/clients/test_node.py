#!/usr/bin/env python3
"""The node as a program: how it starts, what it says when it cannot, how it stops, what HTTP tells.

For BOP only; PostgreSQL has none of this.
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import threading
import time

import own_node
import wire
from own_node import bop



def serve(*flags):
    """Runs `bop serve` until it ends by itself."""
    return bop("serve", *flags, timeout=30)


class Node(own_node.NodeCase):
    def setUp(self):
        self.folder = self.make_folder("node")
        self.node = self.make_node(os.path.join(self.folder, "data"))

    def ready_lines(self):
        with open(self.node.log, encoding="utf-8") as log:
            return [line for line in log if line.startswith("ready: ")]

    def refused(self, done, *words):
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("ready:", done.stdout)
        for word in words:
            self.assertIn(word, done.stdout + done.stderr)
        self.assertNotIn("terminate called", done.stderr)

    def test_ready_line_and_password(self):
        self.node.start()
        self.assertRegex(self.ready_lines()[0],
                         rf"^ready: postgresql://bop:[A-Za-z0-9._~-]{{12,}}@127\.0\.0\.1:{self.node.port}/bop\n$")
        path = os.path.join(self.node.directory, "admin.password")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read().strip(), self.node.password)

    def test_where_sequences_stand_is_not_told_to_those_who_may_not_read_them(self):
        self.node.start()
        connection = self.connect()
        self.addCleanup(connection.close)
        self.ask("CREATE SEQUENCE s", connection)
        self.assertEqual(self.ask("SELECT last_value, is_called FROM s", connection), [["1", "f"]])
        for sql in ("SELECT * FROM pg_catalog.bop_sequence_state", "CREATE VIEW v AS TABLE bop_sequence_state",
                    "CREATE FUNCTION g() RETURNS bigint LANGUAGE sql AS 'SELECT max(last_value) FROM bop_sequence_state'"):
            self.assertEqual(connection.simple(sql)[-1].error["C"], "42501", sql)

    def test_current_csn_moves_with_commits_and_locks_show_the_writer(self):
        self.node.start()
        self.ask("CREATE TABLE written (a int)")
        before = int(self.ask("SELECT bop_current_csn()")[0][0])
        self.ask("INSERT INTO written VALUES (1)")
        after = int(self.ask("SELECT bop_current_csn()")[0][0])
        self.assertGreater(after, before)
        self.assertEqual(self.ask("SELECT pg_typeof(bop_current_csn())")[0][0], "bigint")
        writer = self.connect()
        self.ask("BEGIN", writer)
        self.ask("INSERT INTO written VALUES (2)", writer)
        self.assertEqual(self.ask("SELECT granted FROM bop_locks"), [["t"]])
        self.assertEqual(int(self.ask("SELECT bop_current_csn()")[0][0]), after)
        self.ask("COMMIT", writer)
        writer.close()
        self.assertEqual(self.ask("SELECT count(*) FROM bop_locks"), [["0"]])

    def failed(self, sql, connection):
        error = connection.simple(sql)[-1].error
        self.assertIsNotNone(error, sql)
        return error["C"]

    def connect_as(self, user, database):
        return wire.Connection(self.node.host, self.node.port, user, "x", database, 10)

    def test_a_client_that_never_sends_sync_does_not_hold_the_lane_for_ever(self):
        self.node.flags = ["--idle-in-transaction-timeout-ms", "300"]
        self.node.start()
        self.ask("CREATE TABLE t (a int)")
        silent = self.connect()
        silent.send(wire.message(b"P", b"\0INSERT INTO t VALUES (1)\0\0\0") +
                    wire.message(b"B", b"\0\0\0\0\0\0\0\0") + wire.message(b"E", b"\0\0\0\0\0") + wire.message(b"H"))
        while silent.receive()[0] != b"C":
            pass
        self.ask("INSERT INTO t VALUES (2)")
        silent.send(wire.message(b"S"))
        kind, body = silent.receive()
        self.assertEqual((kind, wire.parse_fields(body)["C"]), (b"E", "25P03"))
        silent.close()
        self.assertEqual(self.ask("SELECT a FROM t"), [["2"]])

    def test_a_checkpoint_with_a_full_wal_waits_for_no_transaction_of_its_own(self):
        self.node.flags = ["--wal-limit", "1MB", "--wal-memory", "1MB", "--idle-in-transaction-timeout-ms", "0"]
        self.node.start()
        fill = "INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 5000)"
        self.ask("CREATE TABLE big (v text)")
        writer, other = self.connect(), self.connect()
        self.ask("SET statement_timeout = '100ms'", other)
        for _ in range(3):
            for sql in (fill, "BEGIN", fill):
                self.ask(sql, writer)
            done = other.simple("CHECKPOINT")[-1]  # if the WAL is full, it waits for the other's transaction
            self.assertIn((done.error or {}).get("C"), (None, "57014"))
            self.ask("CHECKPOINT", writer)
            self.ask("COMMIT", writer)
        self.ask("CHECKPOINT", writer)
        self.assertEqual(self.ask("SELECT count(*) FROM big"), [["30000"]])

    def test_idle_readers_give_way_and_waits_are_limited(self):
        self.node.flags = ["--reader-pool", "2", "--idle-in-transaction-timeout-ms", "1500"]
        self.node.start()
        self.ask("CREATE TABLE t (a int)")
        holders = [self.connect() for _ in range(2)]
        for holder in holders:
            self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ", holder)
            self.ask("SELECT count(*) FROM t", holder)
        other = self.connect()
        self.ask("SET lock_timeout = '50ms'", other)
        self.assertEqual(self.failed("SELECT 1", other), "55P03")
        gone = self.connect()
        gone.send(wire.message(b"Q", b"SELECT 1\0"))
        gone.socket.close()
        self.ask("SET lock_timeout = 0", other)
        self.assertEqual(self.ask("SELECT count(*) FROM t", other), [["0"]])
        self.assertEqual(sorted(str(holder.simple("SELECT 1")[-1].error is None) for holder in holders),
                         ["False", "True"])
        for connection in [*holders, other]:
            connection.close()

    def test_a_listener_that_stands_still_is_ended_and_nobody_else(self):
        self.node.flags = ["--notify-queue", "64kB"]
        self.node.start()
        idle, in_block, sender = [self.connect() for _ in range(3)]
        for sql in ("LISTEN a", "BEGIN"):
            self.ask_nothing(sql, in_block)
        self.ask_nothing("LISTEN a", idle)
        for _ in range(20):
            self.ask("SELECT count(pg_notify('a', n || repeat('x', 1000))) FROM generate_series(1, 20) n", sender)
        kind, body = in_block.receive()
        self.assertEqual((kind, wire.parse_fields(body)["C"]), (b"E", "54000"))
        in_block.close()
        self.ask_nothing("UNLISTEN a", idle)  # its notifications were read on the way
        self.assertEqual(self.failed("SELECT count(pg_notify('a', n || repeat('x', 1000))) FROM generate_series(1, 100) n",
                                     sender), "54000")
        self.assertEqual(self.ask("SELECT pg_notification_queue_usage()"), [["0"]])
        for connection in (idle, sender):
            connection.close()

    def ask_nothing(self, sql, connection):
        self.assertIsNone(connection.simple(sql)[-1].error, sql)

    def test_nobody_with_a_cursor_waits_for_another_reader(self):
        self.node.flags = ["--reader-pool", "2"]
        self.node.start()
        self.ask("CREATE TABLE t (a int)")
        self.ask("INSERT INTO t VALUES (1), (2)")
        writer, *holders = [self.connect() for _ in range(3)]
        self.ask("BEGIN", writer)
        self.ask("INSERT INTO t VALUES (3)", writer)
        for holder in holders:
            for sql in ("SET lock_timeout = '5s'", "BEGIN", "DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a", "FETCH c"):
                self.ask(sql, holder)
        self.ask("COMMIT", writer)
        for holder in holders:
            self.assertIn(self.ask("SELECT count(*) FROM t", holder), ([["2"]], [["3"]]))
            self.assertEqual(self.ask("FETCH ALL FROM c", holder), [["2"]])
        for connection in (writer, *holders):
            connection.close()

    def test_limits_of_roles_and_databases_hold(self):
        self.node.start()
        for sql in ("CREATE DATABASE small CONNECTION LIMIT 1", "CREATE ROLE expired LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'",
                    "CREATE ROLE valid LOGIN PASSWORD 'x' VALID UNTIL 'infinity'",
                    "CREATE ROLE nobody LOGIN PASSWORD 'x' CONNECTION LIMIT 0"):
            self.ask(sql)
        with self.assertRaisesRegex(wire.ConnectError, "password authentication failed"):
            self.connect_as("expired", "bop")
        with self.assertRaisesRegex(wire.ConnectError, "too many connections for role"):
            self.connect_as("nobody", "bop")
        first = self.connect_as("valid", "small")
        with self.assertRaisesRegex(wire.ConnectError, "too many connections for database"):
            self.connect_as("valid", "small")
        self.node.connect("small").close()  # superusers pass
        first.close()
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'small'"
        self.wait_until(lambda: self.ask(left) == [["0"]], "the session does not end")
        self.connect_as("valid", "small").close()

    def test_explain_analyze_counts(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int PRIMARY KEY, b int)")
        self.ask("INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 30) g")
        plan = "\n".join(row[0] for row in self.ask("EXPLAIN ANALYZE SELECT * FROM t WHERE b = 1"))
        self.assertIn("Seq Scan on t (actual rows=10 loops=1)", plan)
        plan = "\n".join(row[0] for row in self.ask("EXPLAIN ANALYZE SELECT * FROM t x JOIN t y ON y.a = x.b"))
        self.assertIn("Nested Loop (actual rows=20 loops=1)", plan)
        self.assertIn("Seq Scan on t (actual rows=30 loops=1)", plan)
        self.assertRegex(plan, r"Index Scan on t \(.*\) \(actual rows=1 loops=30\)")
        plan = json.loads(self.ask("EXPLAIN (ANALYZE, FORMAT JSON) UPDATE t SET b = 0 WHERE a <= 5 RETURNING a")[0][0])
        self.assertEqual((plan[0]["Plan"]["Node Type"], plan[0]["Plan"]["Actual Rows"]), ("Update", 5))
        self.assertGreater(plan[0]["Execution Time"], 0)

    def test_an_index_is_looked_up_by_the_primary_key_of_another_table(self):
        self.node.start()
        for sql in ("CREATE TABLE c (id int PRIMARY KEY, name text)",
                    "CREATE TABLE o (id int PRIMARY KEY, c int, at date)", "CREATE INDEX ON o (c, at DESC)"):
            self.ask(sql)
        for sql in ("SELECT * FROM c JOIN o ON o.c = c.id WHERE c.name = 'x'",
                    "SELECT * FROM c, o WHERE c.id = o.c AND c.name = 'x'",
                    "SELECT (SELECT at FROM o WHERE o.c = c.id ORDER BY at DESC LIMIT 1) FROM c",
                    "SELECT * FROM c WHERE EXISTS (SELECT 1 FROM o WHERE o.c = c.id)",
                    "SELECT * FROM o WHERE c IN (SELECT id FROM c WHERE name = 'x')",
                    "SELECT * FROM c CROSS JOIN LATERAL (SELECT at FROM o WHERE o.c = c.id ORDER BY at DESC LIMIT 3) p",
                    "SELECT * FROM c LEFT JOIN LATERAL (SELECT at FROM o WHERE o.c = c.id ORDER BY at DESC LIMIT 1) p "
                    "ON true"):
            plan = "\n".join(row[0] for row in self.ask("EXPLAIN " + sql))
            self.assertRegex(plan, r"Index Scan on o \(.*o_c_at_idx \(c.*=\?\)\)", sql)
            self.assertNotIn("Sort", plan, sql)
        plan = "\n".join(row[0] for row in self.ask("EXPLAIN SELECT * FROM o JOIN c ON o.c = c.id WHERE o.id = 7"))
        self.assertRegex(plan, r"Index Scan on c \(INTEGER PRIMARY KEY")

    def test_sequences_are_their_owners(self):
        self.node.start()
        for sql in ("CREATE ROLE stranger LOGIN PASSWORD 'x'", "CREATE SEQUENCE numbers", "SELECT nextval('numbers')"):
            self.ask(sql)
        holder, stranger = self.connect(), self.connect_as("stranger", "bop")
        shown = stranger.simple("SELECT DISTINCT query FROM pg_stat_activity WHERE usename = 'bop'")[-1].rows
        self.assertEqual(shown, [["<insufficient privilege>"]])
        holder.close()
        for sql in ("SELECT nextval('numbers')", "SELECT currval('numbers')", "SELECT setval('numbers', 1)"):
            self.assertEqual(self.failed(sql, stranger), "42501", sql)
        stranger.close()
        self.assertEqual(self.ask("SELECT nextval('numbers')"), [["2"]])

    def test_tables_are_referenced_and_given_away_by_their_owners(self):
        self.node.start()
        for sql in ("CREATE ROLE alice LOGIN PASSWORD 'x'", "CREATE SCHEMA s AUTHORIZATION alice",
                    "CREATE SCHEMA mine", "CREATE TABLE keys (id int PRIMARY KEY)", "INSERT INTO keys VALUES (1)",
                    "CREATE VIEW keys_view AS SELECT * FROM keys"):
            self.ask(sql)
        alice = self.connect_as("alice", "bop")
        for sql in ("CREATE TABLE s.f (a int REFERENCES public.keys)", "CREATE SCHEMA t AUTHORIZATION bop",
                    "CREATE TABLE s.f AS SELECT * FROM public.keys", "CREATE TABLE s.f AS SELECT * FROM public.keys_view",
                    "CREATE TABLE s.f (LIKE public.keys)", "ALTER SCHEMA s RENAME TO t"):
            self.assertEqual(self.failed(sql, alice), "42501", sql)
        for sql in ("CREATE TABLE s.m (a int PRIMARY KEY, b serial)", "CREATE VIEW s.v AS SELECT 1",
                    "CREATE SEQUENCE s.q", "CREATE TABLE s.own (a int REFERENCES s.m)"):
            self.ask(sql, alice)
        for sql in ("ALTER TABLE s.own ADD FOREIGN KEY (a) REFERENCES public.keys",
                    "ALTER TABLE s.own ADD COLUMN k int REFERENCES public.keys", "ALTER TABLE s.m OWNER TO bop",
                    "ALTER TABLE s.m ADD COLUMN c int, OWNER TO bop", "ALTER VIEW s.v OWNER TO bop",
                    "ALTER SEQUENCE s.q OWNER TO bop", "ALTER SCHEMA s OWNER TO bop"):
            self.assertEqual(self.failed(sql, alice), "42501", sql)
        self.assertEqual(self.failed("ALTER SEQUENCE s.q OWNED BY public.keys.id", alice), "55000")
        for sql in ("ALTER TABLE s.m OWNER TO alice", "ALTER SCHEMA s OWNER TO CURRENT_USER"):
            self.ask(sql, alice)
        self.assertEqual(self.ask("SELECT has_schema_privilege('mine', 'usage'), has_schema_privilege('s', 'usage')",
                                  alice), [["f", "t"]])
        alice.close()
        self.ask("ALTER TABLE s.m OWNER TO bop")
        self.ask("DELETE FROM keys")

    def test_rights_hold_at_once_and_survive_a_restart(self):
        self.node.start()
        for sql in ("CREATE ROLE reader LOGIN PASSWORD 'x'", "CREATE ROLE readers", "CREATE TABLE t (a int PRIMARY KEY)",
                    "CREATE TABLE u (a int)", "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (2)",
                    "GRANT SELECT ON t TO readers", "GRANT readers TO reader", "CREATE DATABASE closed",
                    "REVOKE CONNECT ON DATABASE closed FROM PUBLIC"):
            self.ask(sql)
        self.node.stop()
        self.node.start()
        with self.assertRaisesRegex(wire.ConnectError, 'permission denied for database "closed"'):
            self.connect_as("reader", "closed")
        reader = self.connect_as("reader", "bop")
        self.ask("PREPARE p AS SELECT * FROM t", reader)
        self.assertEqual(self.ask("EXECUTE p", reader), [["1"]])
        self.assertEqual(self.failed("SELECT * FROM u", reader), "42501")
        # Of a session that is there already.
        self.ask("REVOKE readers FROM reader")
        self.assertEqual(self.failed("EXECUTE p", reader), "42501")
        self.ask("GRANT SELECT ON t, u TO reader")
        self.assertEqual(self.ask("EXECUTE p", reader), [["1"]])
        self.assertEqual(self.ask("SELECT * FROM u", reader), [["2"]])
        # One transaction sees what it began with, rights are asked of the newest state that it reads.
        self.ask("BEGIN", reader)
        self.ask("SELECT * FROM u", reader)
        self.ask("REVOKE SELECT ON u FROM reader")
        self.assertEqual(self.failed("SELECT * FROM u", reader), "42501")
        self.ask("ROLLBACK", reader)
        self.ask("ALTER ROLE reader SUPERUSER")
        self.assertEqual(self.ask("SELECT * FROM u", reader), [["2"]])
        self.ask("ALTER ROLE reader NOSUPERUSER")
        self.assertEqual(self.failed("DELETE FROM t", reader), "42501")
        reader.close()
        self.ask("GRANT CONNECT ON DATABASE closed TO reader")
        self.connect_as("reader", "closed").close()

    def test_rights_that_are_not_there_say_so(self):
        self.node.start()
        self.ask("CREATE ROLE reader")
        self.ask("CREATE TABLE t (a int)")
        connection = self.connect()
        for sql in ("GRANT USAGE ON TYPE text TO reader", "GRANT SELECT ON pg_class TO reader",
                    "GRANT SELECT ON ALL TABLES IN SCHEMA pg_catalog TO reader",
                    "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO reader"):
            self.assertEqual(self.failed(sql, connection), "0A000", sql)
        self.ask("BEGIN", connection)
        self.assertEqual(self.failed("GRANT CREATE ON DATABASE bop TO reader", connection), "0A000")
        connection.close()

    def test_errors_tell_nothing_of_rows_that_may_not_be_read(self):
        self.node.start()
        for sql in ("CREATE ROLE writer LOGIN PASSWORD 'x'",
                    "CREATE TABLE t (a int PRIMARY KEY, b int CHECK (b < 10), secret text NOT NULL DEFAULT 'hush')",
                    "CREATE TABLE f (a int REFERENCES t, secret text)", "INSERT INTO t VALUES (1, 1), (2, 2)",
                    "INSERT INTO f VALUES (1, 'hush')", "GRANT INSERT, UPDATE, DELETE ON t, f TO writer"):
            self.ask(sql)
        writer = self.connect_as("writer", "bop")
        for sql, code, detail in (("UPDATE t SET b = 10", "23514", None), ("UPDATE t SET secret = NULL", "23502", None),
                                  ("UPDATE t SET a = 1", "23505", None),
                                  ("UPDATE f SET a = 7", "23503", 'Key is not present in table "t".'),
                                  ("DELETE FROM t", "23503", 'Key is still referenced from table "f".')):
            error = writer.simple(sql)[-1].error
            self.assertEqual((error.get("C"), error.get("D")), (code, detail), sql)
        self.ask("CREATE TABLE late (a int REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
        self.ask("GRANT INSERT ON late TO writer")
        for sql, detail in (("INSERT INTO late VALUES (9)", 'Key is not present in table "t".'),
                            ("BEGIN; INSERT INTO late VALUES (9); COMMIT", 'Key is not present in table "t".')):
            error = writer.simple(sql)[-1].error
            self.assertEqual((error.get("C"), error.get("D")), ("23503", detail), sql)
        self.ask("GRANT SELECT ON late TO writer")
        self.assertEqual(writer.simple("INSERT INTO late VALUES (9)")[-1].error.get("D"),
                         'Key (a)=(9) is not present in table "t".')
        writer.close()

    def test_literals_of_a_statement_that_waits_get_the_types_of_the_tables_that_it_finds(self):
        """A statement of a known shape has bound '007' to an int column already when it queues for the writer lane."""
        self.node.start()
        holder, waiter = self.connect(), self.connect()
        pid = self.ask("SELECT pg_backend_pid()", waiter)[0][0]
        queues = f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}"
        for number, (sql, rows) in enumerate((("INSERT INTO {} (c) VALUES ('{}')", ["5", "007"]),
                                              ("SELECT 1; INSERT INTO {} (c) VALUES ('{}')", ["5", "007"]),
                                              ("UPDATE {} SET c = '{}'", ["007"]))):
            table = f"t{number}"
            self.ask(f"CREATE TABLE {table} (c int)", holder)
            self.ask(f"INSERT INTO {table} VALUES (5)", holder)
            for value in ("001", "002", "003"):  # a shape is planned when it comes for the second time
                self.ask("BEGIN", waiter)
                known = self.metric("bop_literal_plans_total")
                self.ask(sql.format(table, value), waiter)
                self.ask("ROLLBACK", waiter)
            self.assertGreater(self.metric("bop_literal_plans_total"), known, "the shape is not known")
            self.ask("BEGIN", holder)
            self.ask(f"ALTER TABLE {table} ALTER c TYPE text", holder)
            waiting = threading.Thread(target=self.ask, args=(sql.format(table, "007"), waiter))
            waiting.start()
            self.wait_until(lambda: self.ask(queues) == [["Lock"]], "it does not wait for the lane")
            self.ask("COMMIT", holder)
            waiting.join(own_node.PATIENCE)
            self.assertEqual(self.ask(f"SELECT c FROM {table} ORDER BY c DESC"), [[row] for row in rows], sql)

    def test_long_statements_hold_up_nobody_who_needs_no_reader(self):
        """As many as a database may have readers, and some that wait for one, on one reactor."""
        self.node.flags = ["--reactors", "1"]
        self.node.start()
        self.ask("CREATE DATABASE beside")
        writer, watcher = self.connect(), self.connect("beside")
        self.ask("CREATE TABLE t (a int)", writer)
        sleepers = [self.connect() for _ in range(40)]
        # Their deadline is far behind the test's end: it waits for none of them.
        for sleeper in sleepers:
            sleeper.send(wire.message(b"Q", b"SELECT pg_sleep(60)\0"))
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND wait_event IS NULL"
        self.wait_until(lambda: self.ask(asleep, watcher) == [["32"]], "they do not run")
        for _ in range(5):
            self.ask("INSERT INTO t VALUES (1)", writer)
            self.ask("BEGIN; INSERT INTO t VALUES (2); COMMIT")  # a new session
            self.assertEqual(self.health(), 200)
        self.assertEqual(self.ask(asleep, watcher), [["32"]])
        self.node.kill()

    def test_a_large_commit_leaves_its_reactor(self):
        self.node.flags = ["--page-cache", "1GB"]  # nothing is written before COMMIT
        self.node.start()
        connection = self.connect()
        self.ask("CREATE TABLE t (a text)", connection)

        def hands_off(rows):
            self.ask("BEGIN", connection)
            self.ask(f"INSERT INTO t SELECT repeat('x', 2000) FROM generate_series(1, {rows})", connection)
            before = self.metric("bop_hand_offs_total")
            self.ask("COMMIT", connection)
            return self.metric("bop_hand_offs_total") > before

        self.assertFalse(hands_off(10))
        # Not every time: a task that has left its reactor before has nothing to hand off, and the INSERT has.
        self.assertTrue(any(hands_off(5000) for _ in range(6)))
        connection.close()

    def test_sessions_are_ended(self):
        self.node.start()
        idle, busy = self.connect(), self.connect()
        self.ask("SET idle_in_transaction_session_timeout = '100ms'", idle)
        self.ask("BEGIN", idle)
        kind, body = idle.receive()
        self.assertEqual((kind, wire.parse_fields(body)["C"]), (b"E", "25P03"))
        with self.assertRaises(wire.WireError):
            idle.receive()
        pid = self.ask("SELECT pg_backend_pid()", busy)[0][0]
        busy.send(wire.message(b"Q", b"WITH RECURSIVE r(n) AS (SELECT 1::bigint UNION ALL SELECT n + 1 FROM r "
                                     b"WHERE n < 1000000000) SELECT max(n) FROM r\0"))
        self.assertEqual(self.ask(f"SELECT pg_terminate_backend({pid}, 10000)"), [["t"]])
        fatal = []
        with self.assertRaises(wire.WireError):
            while True:
                kind, body = busy.receive()
                if kind == b"E":
                    fatal.append(wire.parse_fields(body)["C"])
        self.assertEqual(fatal[-1], "57P01")

    def test_stages_are_timed(self):
        self.node.flags = ["--log-slow-statement-ms", "1"]
        self.node.start()
        connection = self.connect()
        connection.extended("SELECT count(*) FROM generate_series(1, 300000)", ())
        connection.simple("CREATE TABLE t (a int)")
        connection.close()
        page = self.page("metrics")[1]
        for stage in ("wire", "parse", "bind", "execute", "commit", "durable", "flush"):
            self.assertGreater(self.metric(f'bop_statement_stage_seconds_count{{stage="{stage}"}}', page), 0, stage)
        with open(self.node.log, encoding="utf-8") as log:
            self.assertIn("SELECT count(*) FROM generate_series(1, 300000)", log.read())

    def test_restart_keeps_url_and_data(self):
        self.node.start()
        self.ask("CREATE TABLE kept (a int PRIMARY KEY, b text)")
        self.ask("INSERT INTO kept VALUES (1, 'x')")
        self.ask("CREATE DATABASE second")
        self.assertEqual(self.node.stop(), 0)
        self.node.start()
        self.assertEqual(self.ready_lines()[0], self.ready_lines()[1])
        self.assertEqual(self.ask("SELECT * FROM kept"), [["1", "x"]])
        self.node.connect("second").close()

    def test_sigterm_ends_sessions_and_rolls_back(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int)")
        idle, busy = self.connect(), self.connect()
        self.ask("BEGIN", busy)
        self.ask("INSERT INTO t VALUES (1)", busy)
        started = time.monotonic()
        self.assertEqual(self.node.stop(), 0)
        self.assertLess(time.monotonic() - started, 20)
        for connection in (idle, busy):
            with self.assertRaises(wire.WireError):
                while connection.receive()[0] != b"Z":
                    pass
        self.node.start()
        self.assertEqual(self.ask("SELECT count(*) FROM t"), [["0"]])

    def test_wrong_password_is_refused(self):
        self.node.start()
        self.node.password = "wrong" + self.node.password
        with self.assertRaises(wire.ConnectError) as caught:
            self.connect()
        self.assertEqual(caught.exception.fields["C"], "28P01")

    def test_unknown_role_looks_like_a_wrong_password(self):
        self.node.start()
        self.node.user = "nobody_here"
        with self.assertRaises(wire.ConnectError) as caught:
            self.connect("bop")
        self.assertEqual(caught.exception.fields["C"], "28P01")

    def test_data_directory_in_use(self):
        self.node.start()
        other = self.make_node(self.node.directory)
        self.refused(serve("--data-dir", other.directory, "--pg-port", str(other.port), "--http-port",
                           str(other.http_port)), other.directory)
        self.assertEqual(self.ask("SELECT 1"), [["1"]])

    def test_taken_port(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.refused(serve("--data-dir", self.node.directory, "--pg-port", port, "--http-port",
                               str(self.node.http_port)), port)

    def test_path_that_cannot_be_written(self):
        blocker = os.path.join(self.folder, "file")
        with open(blocker, "w", encoding="utf-8"):
            pass
        path = os.path.join(blocker, "data")
        self.refused(serve("--data-dir", path, "--pg-port", str(self.node.port)), path)

    def test_unknown_flag_names_the_nearest(self):
        self.refused(serve("--data-dri", self.folder), "--data-dri", "--data-dir")

    def test_value_that_is_not_a_number(self):
        self.refused(serve("--data-dir", self.node.directory, "--pg-port", "many"), "many")

    def test_start_after_sigkill_is_the_same_node(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int)")
        self.ask("INSERT INTO t VALUES (1)")
        self.node.kill()
        self.node.start()
        self.assertEqual(self.ask("SELECT * FROM t"), [["1"]])

    def test_types_survive_sigkill(self):
        self.node.start()
        self.ask("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        self.ask("ALTER TYPE mood ADD VALUE 'ok' BEFORE 'happy'")
        self.ask("CREATE TABLE person (m mood PRIMARY KEY DEFAULT 'ok', past mood[])")
        self.ask("INSERT INTO person VALUES ('happy', '{sad}'), (DEFAULT, '{ok,happy}'), ('sad', NULL)")
        self.ask("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'")
        self.ask("CREATE DOMAIN glad AS mood DEFAULT 'happy' NOT NULL CHECK (VALUE >= 'fine'::mood)")
        self.ask("CREATE TABLE day (id int, g glad)")
        self.node.kill()
        self.node.start()
        self.ask("ALTER TYPE mood ADD VALUE 'meh' AFTER 'sad'")
        self.ask("INSERT INTO person VALUES ('meh')")
        self.assertEqual(self.ask("SELECT m, past FROM person ORDER BY m"),
                         [["sad", None], ["meh", None], ["fine", "{fine,happy}"], ["happy", "{sad}"]])
        self.assertEqual(self.ask("INSERT INTO day VALUES (1) RETURNING g"), [["happy"]])
        refused = self.connect().simple("INSERT INTO day VALUES (2, 'meh')")[-1]
        self.assertEqual((refused.error["C"], refused.error["n"]), ("23514", "glad_check"))

    def test_health_and_metrics(self):
        self.node.start()
        self.assertEqual(self.health(), 200)
        self.ask("SELECT 1")
        text = self.page("metrics")[1]
        self.assertRegex(text, r"(?m)^# TYPE bop_\w+ (counter|gauge|histogram|summary)$")
        for line in text.splitlines():
            self.assertTrue(line.startswith("#") or re.fullmatch(r'[a-zA-Z_:][\w:]*(\{.*\})? \S+', line), line)

    def test_after_a_failed_write_of_the_log_reads_go_on(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int)")
        self.ask("INSERT INTO t VALUES (1), (2)")
        reader = self.connect()
        resource.prlimit(self.node.process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        with self.assertRaises(wire.WireError):
            writer = self.connect()
            failed = writer.simple("INSERT INTO t VALUES (3)")[-1]
            self.assertEqual(failed.error["C"], "58030")  # FATAL: the outcome is unknown
            writer.simple("SELECT 1")
        for _ in range(20):
            self.assertEqual(self.ask("SELECT sum(a) FROM t", reader), [["3"]])
            self.assertEqual(self.ask("SELECT sum(a) FROM t"), [["3"]])
        for sql in ("INSERT INTO t VALUES (4)", "BEGIN; UPDATE t SET a = 5", "CREATE TABLE u (a int)"):
            own = self.connect()
            refused = own.simple(sql)[-1]
            self.assertEqual((refused.error["S"], refused.error["C"]), ("ERROR", "58030"), sql)
            own.close()
        self.assertEqual(self.health(), 503)
        self.node.kill()
        self.node.start()
        self.ask("INSERT INTO t VALUES (7)")
        self.assertIn(self.ask("SELECT sum(a) FROM t"), ([["10"]], [["13"]]))

    def test_databases_without_their_log_are_refused(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int)")
        self.node.kill()
        log = os.path.join(self.node.directory, "log")
        kept = os.path.join(self.folder, "kept")
        os.mkdir(kept)
        for name in os.listdir(log):
            shutil.move(os.path.join(log, name), kept)
        self.refused(serve("--data-dir", self.node.directory, "--pg-port", str(self.node.port), "--http-port",
                           str(self.node.http_port)), log, "Put the files of the log back")
        for name in os.listdir(kept):
            shutil.move(os.path.join(kept, name), os.path.join(log, name))
        self.node.start()
        self.assertEqual(self.ask("SELECT count(*) FROM t"), [["0"]])

    def test_databases_are_dropped_while_clients_connect(self):
        self.node.start()
        end = time.monotonic() + 6
        seen, broken, worked = set(), [], threading.Event()

        def work(number):
            while time.monotonic() < end:
                try:
                    connection = self.node.connect("fleeting")
                except wire.ConnectError as refused:
                    seen.add(refused.fields["C"])
                    continue
                for sql in (f"CREATE TABLE IF NOT EXISTS t{number} (a int, b text)", "BEGIN",
                            f"INSERT INTO t{number} SELECT g, repeat('x', 500) FROM generate_series(1, 100) g", "COMMIT"):
                    error = connection.simple(sql)[-1].error
                    if error is not None:
                        broken.append((sql, error))
                seen.add("worked")
                connection.close()
                worked.set()
                for _ in range(3):  # leaves it alone for a while
                    self.node.connect().close()

        workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
        admin = self.connect()
        dropped = 0
        while time.monotonic() < end:
            worked.clear()
            self.ask("CREATE DATABASE fleeting", admin)
            worked.wait(5)
            while True:
                error = admin.simple("DROP DATABASE fleeting")[-1].error
                if error is None:
                    break
                self.assertEqual(error["C"], "55006")
            dropped += 1
        for worker in workers:
            worker.join()
        self.assertEqual(broken, [])
        self.assertEqual(seen, {"worked", "3D000"})
        self.assertGreater(dropped, 3)

    def test_drop_database_waits_for_clients_that_are_leaving(self):
        self.node.start()
        admin = self.connect()
        self.ask("CREATE DATABASE left_alone", admin)
        guest = self.connect("left_alone")
        threading.Timer(0.5, guest.close).start()
        self.ask("DROP DATABASE left_alone", admin)
        self.ask("CREATE DATABASE used", admin)
        guest = self.connect("used")
        error = admin.simple("DROP DATABASE used")[-1].error
        self.assertEqual((error["C"], error["M"], error["D"]),
                         ("55006", 'database "used" is being accessed by other users',
                          "There is 1 other session using the database."))
        self.assertEqual(self.ask("SELECT 1", guest), [["1"]])
        self.node.connect("used").close()

    def test_create_database_that_failed_has_not_happened(self):
        self.node.start()
        admin = self.connect()
        ids = [int(name) for name in os.listdir(os.path.join(self.node.directory, "db"))]
        blocker = os.path.join(self.node.directory, "db", str(max(ids) + 1))
        with open(blocker, "w", encoding="utf-8"):
            pass
        self.assertIsNotNone(admin.simple("CREATE DATABASE blocked")[-1].error)
        self.assertEqual(self.ask("SELECT count(*) FROM pg_database WHERE datname = 'blocked'"), [["0"]])
        os.unlink(blocker)
        self.ask("CREATE DATABASE blocked", admin)
        self.node.connect("blocked").close()
        self.ask("DROP DATABASE blocked", admin)

    def test_one_of_many_creates_and_one_of_many_drops_wins(self):
        self.node.start()
        clients = [self.connect() for _ in range(6)]
        for sql, late in (("CREATE DATABASE contested", "42P04"), ("CREATE ROLE contested", "42710"),
                          ("DROP DATABASE contested", "3D000")):
            codes = []

            def run(client, text):
                error = client.simple(text)[-1].error
                codes.append(error and error["C"])

            threads = [threading.Thread(target=run, args=(client, sql)) for client in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(codes, key=str), sorted([None, *[late] * 5], key=str), sql)
        for client in clients:
            client.close()

    def test_create_and_drop_database_do_not_depend_on_the_client(self):
        self.node.start()
        for round_ in range(20):
            for sql in (f"CREATE DATABASE orphan{round_}", f"DROP DATABASE orphan{round_}"):
                client = self.node.connect()
                client.send(wire.message(b"Q", sql.encode() + b"\0"))
                client.close()
                listed = [["1"]] if sql.startswith("CREATE") else [["0"]]
                deadline = time.monotonic() + 10
                while self.ask(f"SELECT count(*) FROM pg_database WHERE datname = 'orphan{round_}'") != listed:
                    if time.monotonic() > deadline:  # the node may have seen the end before the statement
                        self.ask(sql)
            self.assertFalse([name for name in os.listdir(os.path.join(self.node.directory, "db"))
                              if not os.listdir(os.path.join(self.node.directory, "db", name))])

    def test_folder_of_something_else_is_refused_and_not_touched(self):
        scratch = os.path.join(self.node.directory, "tmp")
        os.makedirs(scratch)
        mine = os.path.join(scratch, "precious.txt")
        with open(mine, "w", encoding="utf-8"):
            pass
        self.refused(serve("--data-dir", self.node.directory, "--pg-port", str(self.node.port), "--http-port",
                           str(self.node.http_port)), self.node.directory, "not empty")
        self.assertEqual(os.listdir(self.node.directory), ["tmp"])
        self.assertTrue(os.path.exists(mine))

    def test_max_connections_holds_for_superusers_too(self):
        self.node.flags += ["--max-connections", "4", "--superuser-reserved-connections", "2"]
        self.node.start()
        first = self.connect()
        self.ask("CREATE ROLE guest LOGIN PASSWORD 'secret'", first)
        with_password = (self.node.user, self.node.password)
        self.node.user, self.node.password = "guest", "secret"
        guest = self.connect()
        with self.assertRaises(wire.ConnectError) as caught:
            self.connect()
        self.assertEqual((caught.exception.fields["C"], caught.exception.fields["M"]),
                         ("53300", "remaining connection slots are reserved for non-replication superuser connections"))
        self.node.user, self.node.password = with_password
        others = [self.connect(), self.connect()]
        with self.assertRaises(wire.ConnectError) as caught:
            self.connect()
        self.assertEqual((caught.exception.fields["C"], caught.exception.fields["M"]),
                         ("53300", "sorry, too many clients already"))
        for connection in (first, guest, *others):
            connection.close()
        self.refused(serve("--data-dir", os.path.join(self.folder, "other"), "--max-connections", "3"),
                     "superuser_reserved_connections (3) must be less than max_connections (3)")

    def test_clients_leave_descriptors_for_the_storage(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.node.flags += ["--segment-size", "1MB"]
        self.node.start()
        writer = self.connect()
        self.ask("CREATE TABLE t (a int PRIMARY KEY, b text)", writer)
        with open(f"/proc/{self.node.process.pid}/limits", encoding="utf-8") as limits:
            soft = [line.split()[3] for line in limits if line.startswith("Max open files")][0]
        self.assertEqual(soft, str(hard))
        self.node.stop()
        shell = os.path.join(self.folder, "few-descriptors")
        with open(shell, "w", encoding="utf-8") as script:
            script.write(f'#!/bin/sh\nulimit -n 120\nexec "{own_node.options.bop}" "$@"\n')
        os.chmod(shell, 0o755)
        self.node.binary = shell
        self.node.start()
        with open(self.node.log, encoding="utf-8") as log:
            self.assertIn("limit of open files", log.read())
        writer = self.connect()
        silent = [socket.create_connection((self.node.host, self.node.port)) for _ in range(150)]
        with self.assertRaises(wire.ConnectError) as caught:
            self.connect()
        self.assertEqual(caught.exception.fields["C"], "53300")
        for step in range(10):  # several segments
            self.ask(f"INSERT INTO t SELECT g, repeat('x', 900) FROM generate_series({step * 300}, {step * 300 + 299}) g",
                     writer)
        for client in silent:
            client.close()
        writer.close()

    def test_sql_command_loads_the_standard_input(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int, b text)")
        done = bop("sql", "--data-dir", self.node.directory, "-c", "COPY t FROM STDIN", "-c",
                   "COPY t FROM STDIN (FORMAT csv); SELECT count(*) FROM t", input="1\tone\n2\ttwo\n\\.\n3,three\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.ask("SELECT * FROM t ORDER BY a"), [["1", "one"], ["2", "two"], ["3", "three"]])

    def test_documented_settings_are_those_of_the_program(self):
        done = bop("settings", "--markdown")
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operations.md")
        with open(page, encoding="utf-8") as file:
            documented = [line for line in file.read().splitlines() if line.startswith("| `") and "`BOP_" in line]
        self.assertEqual(documented, [line for line in done.stdout.splitlines() if line.startswith("| `")])

    def test_misspelt_variable_is_one_sentence(self):
        misspelt = {**os.environ, "BOP_PG_PROT": "3"}
        done = bop("serve", "--data-dir", self.node.directory, "--pg-port", "many", env=misspelt)
        self.assertIn("pg_port", done.stderr)
        done = bop("serve", "--data-dir", "/dev/null/data", env=misspelt)
        self.assertEqual(done.stderr.splitlines()[0],
                         "warning: BOP_PG_PROT is no setting: did you mean BOP_PG_PORT?")

    def test_errors_tell_nothing_of_rows_to_those_who_may_not_read(self):
        self.node.start()
        connection = self.connect()
        connection.simple("CREATE TABLE hidden (id int PRIMARY KEY, secret text DEFAULT 'hush', n int CHECK (n < 100)); "
                          "CREATE TABLE seen (id int); "
                          "CREATE VIEW some_rows AS SELECT id, n FROM hidden WHERE n < 10 WITH CHECK OPTION; "
                          "GRANT SELECT, INSERT ON some_rows, seen TO public; GRANT INSERT ON hidden TO public")
        connection.simple("CREATE ROLE teller")
        connection.simple("SET ROLE teller")
        for statement, code in (("INSERT INTO some_rows VALUES (1, 50)", "44000"),
                                ("WITH a AS (INSERT INTO hidden VALUES (1, 'x', 500)) SELECT 1", "23514"),
                                ("WITH a AS (INSERT INTO hidden VALUES (1, 'x', 500)) INSERT INTO seen VALUES (1)", "23514"),
                                ("WITH a AS (INSERT INTO hidden (n) VALUES (5)) INSERT INTO seen VALUES (1)", "23502")):
            error = connection.simple(statement)[-1].error
            self.assertEqual(error["C"], code)
            self.assertNotIn("D", error)
        connection.close()

    def test_changes_that_keys_of_other_parts_act_on_are_refused(self):
        self.node.start()
        connection = self.connect()
        connection.simple("CREATE TABLE meet_p (id int PRIMARY KEY); "
                          "CREATE TABLE meet_c (id int PRIMARY KEY, pid int REFERENCES meet_p ON DELETE CASCADE); "
                          "INSERT INTO meet_p VALUES (1); INSERT INTO meet_c VALUES (1, 1)")
        for statement in ("WITH d AS (DELETE FROM meet_p RETURNING id) UPDATE meet_c SET pid = NULL WHERE pid IN "
                          "(SELECT id FROM d)",
                          "WITH d AS (DELETE FROM meet_p RETURNING id) INSERT INTO meet_c VALUES (2, 1)"):
            self.assertEqual(connection.simple(statement)[-1].error["C"], "0A000")
        self.assertEqual(connection.simple("SELECT * FROM meet_c")[-1].rows, [["1", "1"]])
        connection.close()

    def test_version_and_help(self):
        for flag in ("--version", "--help"):
            done = bop(flag)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout.strip())

    def test_two_signals_while_busy_do_not_hang(self):
        self.node.start()
        connection = self.connect()
        connection.send(wire.message(b"Q", b"WITH RECURSIVE r(n) AS (SELECT 1::bigint UNION ALL SELECT n + 1 FROM r "
                                           b"WHERE n < 1000000000) SELECT max(n) FROM r\0"))
        self.node.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.node.stop(), 0)


if __name__ == "__main__":
    own_node.main()
