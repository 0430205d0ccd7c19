#!/usr/bin/env python3
"""psycopg 2: literals in text, its adapters, transactions, named cursors, COPY, errors, cancel, LISTEN."""

import datetime
import decimal
import io
import select
import threading
import time
import unittest
import uuid

import target

target.with_tests_python("psycopg2")

# pylint: disable=wrong-import-position
import psycopg2
import psycopg2.errors
import psycopg2.extras
from psycopg2 import extensions, sql

UTC = datetime.timezone.utc
D = decimal.Decimal

VALUES = [
    ("bool", [True, False, None]),
    ("int2", [0, -32768]),
    ("int8", [9223372036854775807, -9223372036854775808]),
    ("numeric", [D("0"), D("1.50"), D("123456789012345678901234567890.0987654321")]),
    ("float8", [0.0, 0.1, 1e300, float("-inf")]),
    ("text", ["", "quote ' and \\ and \n and %", "äöü 世界 😀"]),
    ("char(5)", ["ab   "]),
    ("date", [datetime.date(2024, 2, 29)]),
    ("time", [datetime.time(23, 59, 59, 999999)]),
    ("timestamp", [datetime.datetime(2024, 2, 29, 23, 59, 59, 999999)]),
    ("timestamptz", [datetime.datetime(2024, 2, 29, 12, 30, tzinfo=UTC)]),
    ("interval", [datetime.timedelta(days=3, seconds=5, microseconds=7)]),
    ("uuid", [uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
    ("int[]", [[1, None, 3], [[1, 2], [3, 4]]]),
    ("text[]", [["a b", None, 'quote " and \\ and ,']]),
]


class Base(unittest.TestCase):
    def setUp(self):
        psycopg2.extras.register_uuid()
        self.connection = self.connect()
        self.addCleanup(self.connection.close)
        self.cursor = self.connection.cursor()

    def connect(self, **options):
        return psycopg2.connect(target.server.url("psycopg2_tests"), **options)

    def ask(self, query, parameters=None):
        self.cursor.execute(query, parameters)
        return self.cursor.fetchall()

    def table(self, columns):
        name = "t_" + self.id().rsplit(".", 1)[1]
        self.cursor.execute(f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({columns})")
        self.connection.commit()
        return name


class Types(Base):
    def test_round_trip(self):
        for kind, values in VALUES:
            for value in values:
                with self.subTest(type=kind, value=str(value)[:50]):
                    self.assertEqual(self.ask(f"SELECT (%s)::{kind}", (value,)), [(value,)])

    def test_bytes_and_json(self):
        self.assertEqual(bytes(self.ask("SELECT %s::bytea", (b"\x00\x01\xff'\\",))[0][0]), b"\x00\x01\xff'\\")
        self.assertEqual(self.ask("SELECT %s::jsonb", (psycopg2.extras.Json({"a": [1, None]}),)), [({"a": [1, None]},)])

    def test_description(self):
        self.cursor.execute("SELECT 1 AS a, 'x'::varchar(5) AS b, 1.5::numeric(6,2) AS c")
        self.assertEqual([(c.name, c.type_code) for c in self.cursor.description], [("a", 23), ("b", 1043), ("c", 1700)])
        self.assertEqual((self.cursor.description[2].precision, self.cursor.description[2].scale), (6, 2))

    def test_tuples_in_and_composed_names(self):
        self.assertEqual(self.ask("SELECT 2 IN %s", ((1, 2, 3),)), [(True,)])
        query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier("relname"), sql.Identifier("pg_catalog", "pg_class"))
        self.assertGreater(len(self.ask(query)), 10)

    def test_register_hstore_lookup(self):
        # What psycopg2 asks to learn a type's OID.
        self.assertEqual(self.ask("SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid "
                                  "WHERE typname = 'int4' AND ns.nspname = 'pg_catalog'"), [(23, 1007)])


class Transactions(Base):
    def test_commit_rollback_and_status(self):
        name = self.table("a int")
        self.assertEqual(self.connection.info.transaction_status, extensions.TRANSACTION_STATUS_IDLE)
        self.cursor.execute(f"INSERT INTO {name} VALUES (1)")
        self.assertEqual(self.connection.info.transaction_status, extensions.TRANSACTION_STATUS_INTRANS)
        self.connection.rollback()
        with self.connection:
            self.cursor.execute(f"INSERT INTO {name} VALUES (2)")
        self.assertEqual(self.ask(f"SELECT * FROM {name}"), [(2,)])

    def test_session_characteristics(self):
        self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        self.assertEqual(self.ask("SHOW transaction_isolation"), [("repeatable read",)])
        with self.assertRaises(psycopg2.errors.ReadOnlySqlTransaction):
            self.cursor.execute("CREATE TABLE no (a int)")
        self.connection.rollback()

    def test_named_cursor(self):
        with self.connection.cursor("named") as named:
            named.itersize = 100
            named.execute("SELECT generate_series(1, %s)", (1000,))
            self.assertEqual([row[0] for row in named], list(range(1, 1001)))
        with self.connection.cursor("scrolls", scrollable=True) as named:
            named.execute("SELECT generate_series(1, 10)")
            named.scroll(5)
            self.assertEqual(named.fetchone(), (6,))
            named.scroll(-2)
            self.assertEqual(named.fetchmany(2), [(5,), (6,)])

    def test_named_cursor_with_hold(self):
        with self.connection.cursor("held", withhold=True) as named:
            named.execute("SELECT generate_series(1, 5)")
            self.connection.commit()
            self.assertEqual(len(named.fetchall()), 5)


class Batches(Base):
    def test_execute_values_and_batch(self):
        name = self.table("a int, b text")
        rows = [(n, f"row {n}") for n in range(2500)]
        psycopg2.extras.execute_values(self.cursor, f"INSERT INTO {name} VALUES %s", rows, page_size=500)
        psycopg2.extras.execute_batch(self.cursor, f"UPDATE {name} SET b = %s WHERE a = %s", [("x", n) for n in range(50)])
        self.assertEqual(self.ask(f"SELECT count(*), sum((b = 'x')::int) FROM {name}"), [(2500, 50)])

    def test_returning_of_execute_values(self):
        name = self.table("id serial, a int")
        got = psycopg2.extras.execute_values(self.cursor, f"INSERT INTO {name} (a) VALUES %s RETURNING id",
                                             [(n,) for n in range(10)], fetch=True)
        self.assertEqual([row[0] for row in got], list(range(1, 11)))

    def test_copy(self):
        name = self.table("a int, b text")
        self.cursor.copy_expert(f"COPY {name} FROM STDIN", io.StringIO("1\tone\n2\t\\N\n"))
        self.cursor.copy_from(io.StringIO("3|three\n"), name, sep="|", columns=("a", "b"))
        out = io.StringIO()
        self.cursor.copy_to(out, name, null="-")
        self.assertEqual(out.getvalue(), "1\tone\n2\t-\n3\tthree\n")
        with self.assertRaises(psycopg2.errors.InvalidTextRepresentation) as caught:
            self.cursor.copy_expert(f"COPY {name} FROM STDIN", io.StringIO("x\ty\n"))
        self.assertIn(f'COPY {name}, line 1, column a: "x"', str(caught.exception))

    def test_dict_and_namedtuple(self):
        with self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute("SELECT 1 AS a, 'x' AS b")
            self.assertEqual(dict(cursor.fetchone()), {"a": 1, "b": "x"})


class Errors(Base):
    def test_fields(self):
        name = self.table("a int PRIMARY KEY, b int CHECK (b > 0)")
        for query, kind in [(f"INSERT INTO {name} VALUES (1, 1), (1, 1)", psycopg2.errors.UniqueViolation),
                            (f"INSERT INTO {name} VALUES (1, -1)", psycopg2.errors.CheckViolation),
                            (f"INSERT INTO {name} VALUES (NULL, 1)", psycopg2.errors.NotNullViolation),
                            ("SELECT nothing", psycopg2.errors.UndefinedColumn),
                            ("SELECT 1/0", psycopg2.errors.DivisionByZero),
                            ("SELEC 1", psycopg2.errors.SyntaxError)]:
            with self.assertRaises(kind) as caught:
                self.cursor.execute(query)
            self.connection.rollback()
        self.assertEqual(caught.exception.diag.statement_position, "1")

    def test_notices(self):
        self.cursor.execute("DROP TABLE IF EXISTS nowhere")
        self.assertEqual(self.connection.notices, ['NOTICE:  table "nowhere" does not exist, skipping\n'])

    def test_cancel(self):
        def cancel():
            deadline = time.monotonic() + 20
            while not done and time.monotonic() < deadline:
                self.connection.cancel()
                time.sleep(0.05)
        done = []
        thread = threading.Thread(target=cancel)
        thread.start()
        with self.assertRaises(psycopg2.errors.QueryCanceled):
            self.cursor.execute("SELECT count(*) FROM generate_series(1, 1000000000)")
        done.append(True)
        thread.join()

    def test_asynchronous_connection(self):
        connection = psycopg2.connect(target.server.url("psycopg2_tests"), async_=True)
        psycopg2.extras.wait_select(connection)
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        psycopg2.extras.wait_select(connection)
        self.assertEqual(cursor.fetchone(), (1,))
        connection.close()

    def test_listen(self):
        self.connection.autocommit = True
        self.cursor.execute("LISTEN told")
        other = self.connect()
        other.autocommit = True
        other.cursor().execute("NOTIFY told, 'hello'")
        self.assertTrue(select.select([self.connection], [], [], 20)[0])
        self.connection.poll()
        self.assertEqual([(n.channel, n.payload) for n in self.connection.notifies], [("told", "hello")])
        other.close()


def setUpModule():
    target.fresh_database("psycopg2_tests")


if __name__ == "__main__":
    target.main()
