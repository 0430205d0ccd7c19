#!/usr/bin/env python3
"""psycopg 3: types in text and binary, transactions, batches, COPY, errors, cancel and notices."""

import datetime
import decimal
import threading
import time
import unittest
import uuid

import target

target.with_tests_python("psycopg")

# pylint: disable=wrong-import-position
import psycopg
from psycopg import errors
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.json import Jsonb

UTC = datetime.timezone.utc
NAN = decimal.Decimal("NaN")

# (type in SQL, Python values that must come back equal)
VALUES = [
    ("bool", [True, False]),
    ("int2", [0, 1, -1, 32767, -32768]),
    ("int4", [0, 2147483647, -2147483648]),
    ("int8", [0, 9223372036854775807, -9223372036854775808]),
    ("numeric", [decimal.Decimal(text) for text in
                 ("0", "1", "-1", "0.1", "1.500", "1E+10", "-0.00001", "123456789012345678901234567890.0987654321",
                  "10000", "9999.9999", "0.0001", "12345678.9")]),
    ("numeric(12,3)", [decimal.Decimal("1.500"), decimal.Decimal("-999999999.999")]),
    ("real", [0.0, 1.5, -2.25, float("inf")]),
    ("double precision", [0.0, 0.1, 1e300, -1e-300, float("inf"), float("-inf")]),
    ("text", ["", "plain", "quote ' and \\ and \n", "äöü 世界 😀", "x" * 100000]),
    ("varchar(10)", ["", "ten chars."]),
    ("char(5)", ["ab   ", "abcde"]),
    ("bytea", [b"", b"\x00\x01\xff", bytes(range(256)) * 300]),
    ("date", [datetime.date(2024, 2, 29), datetime.date(1, 1, 1), datetime.date(9999, 12, 31),
              datetime.date(1969, 12, 31)]),
    ("timestamp", [datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), datetime.datetime(1970, 1, 1),
                   datetime.datetime(1, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 1)]),
    ("timestamptz", [datetime.datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
                     datetime.datetime(1969, 7, 20, 20, 17, 40, 5, tzinfo=UTC),
                     datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=5)))]),
    ("uuid", [uuid.UUID(int=0), uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), uuid.UUID(int=2**128 - 1)]),
]


class Base(unittest.TestCase):
    def setUp(self):
        self.connection = psycopg.connect(target.server.url("psycopg_tests"), autocommit=True)
        self.addCleanup(self.connection.close)

    def ask(self, sql, parameters=None, **options):
        return self.connection.execute(sql, parameters, **options).fetchall()

    def table(self, columns):
        name = "t_" + self.id().rsplit(".", 1)[1]
        self.connection.execute(f"DROP TABLE IF EXISTS {name}")
        self.connection.execute(f"CREATE TABLE {name} ({columns})")
        return name


def setUpModule():  # pylint: disable=invalid-name
    target.fresh_database("psycopg_tests")


class Types(Base):
    def check(self, kind, values, send, receive_binary):
        name = self.table(f"id int PRIMARY KEY, v {kind}")
        # psycopg sends str as text, and text keeps the spaces that char(n) does not compare.
        cast = f"::{kind}" if kind.startswith("char") else ""
        with self.connection.cursor(binary=receive_binary) as cursor:
            for number, value in enumerate(values):
                cursor.execute(f"INSERT INTO {name} VALUES (%s, {send}) RETURNING v", (number, value))
                self.assertEqual(cursor.fetchone()[0], value)
            cursor.execute(f"SELECT v FROM {name} ORDER BY id")
            self.assertEqual([row[0] for row in cursor], values)
            for value in values:
                cursor.execute(f"SELECT count(*) FROM {name} WHERE v = {send}{cast}", (value,))
                self.assertEqual(cursor.fetchone()[0], 1, f"{kind} {value!r} is found by equality")
            cursor.execute(f"INSERT INTO {name} VALUES (-1, {send}) RETURNING v", (None,))
            self.assertIsNone(cursor.fetchone()[0])

    def test_literal_parameters(self):
        with psycopg.ClientCursor(self.connection) as cursor:
            cursor.execute("SELECT %s, %s, %s", (5, "it's", decimal.Decimal("1.50")))
            self.assertEqual(cursor.fetchone(), (5, "it's", decimal.Decimal("1.50")))

    def test_nan(self):
        for binary in (False, True):
            row = self.connection.execute("SELECT 'NaN'::numeric, 'NaN'::float8, 'NaN'::real", binary=binary).fetchone()
            self.assertTrue(row[0].is_nan() and row[1] != row[1] and row[2] != row[2])
            row = self.connection.execute("SELECT %b::numeric > 1e10, %b::float8 > 1e300", (NAN, float("nan"))).fetchone()
            self.assertEqual(row, (True, True))

    def test_jsonb(self):
        name = self.table("v jsonb")
        document = {"a": [1, 2.5, None, True], "b": {"c": "äö\n"}, "": ""}
        for binary in (False, True):
            self.connection.execute(f"INSERT INTO {name} VALUES (%s)", (Jsonb(document),))
            rows = self.connection.execute(f"SELECT v FROM {name}", binary=binary).fetchall()
            self.assertEqual(rows[-1][0], document)

    def test_arrays(self):
        for binary in (False, True):
            rows = self.connection.execute("SELECT ARRAY[1, NULL, 3], ARRAY['a b', '', NULL, 'q\"']", binary=binary)
            self.assertEqual(rows.fetchone(), ([1, None, 3], ["a b", "", None, 'q"']))
            rows = self.connection.execute("SELECT n FROM generate_series(1, 9) n WHERE n = ANY(%s) ORDER BY n",
                                           ([2, 5, 77],), binary=binary)
            self.assertEqual(rows.fetchall(), [(2,), (5,)])

    def test_description(self):
        cursor = self.connection.execute("SELECT 1::int2 AS a, 'x'::varchar(7) AS b, 1.5::numeric(9,4) AS c, now() AS d")
        self.assertEqual([(c.name, c.type_code) for c in cursor.description],
                         [("a", 21), ("b", 1043), ("c", 1700), ("d", 1184)])
        self.assertEqual(cursor.description[1].display_size, 7)
        self.assertEqual((cursor.description[2].precision, cursor.description[2].scale), (9, 4))

    def test_many_parameters(self):
        count = 65535
        marks = ", ".join(["%s::int"] * count)
        cursor = self.connection.cursor()
        row = cursor.execute(f"SELECT sum(v), count(*) FROM (VALUES {marks.replace('%s::int', '(%s::int)')}) x(v)",
                             list(range(count))).fetchone()
        self.assertEqual(row, (sum(range(count)), count))

    def test_large_value(self):
        text = "0123456789abcdef" * (1 << 20)
        row = self.connection.execute("SELECT length(%s::text), md5(%s::text) = md5(%s::text)", (text, text, text))
        self.assertEqual(row.fetchone(), (len(text), True))


def add_type_test(kind, values, send, binary):
    name = kind.split("(")[0].replace(" ", "_")
    suffix = {"%t": "text", "%b": "binary", "%s": "automatic"}[send]

    def test(self):
        self.check(kind, values, send, binary)
    title = f"test_{name}{'_limited' if '(' in kind else ''}_{suffix}_{'binary' if binary else 'text'}"
    setattr(Types, title, test)


for sql_type, examples in VALUES:
    for way in ("%t", "%b"):
        for answer_binary in (False, True):
            add_type_test(sql_type, examples, way, answer_binary)


class Transactions(Base):
    def test_commit_and_rollback(self):
        name = self.table("a int")
        with psycopg.connect(target.server.url("psycopg_tests")) as other:
            other.execute(f"INSERT INTO {name} VALUES (1)")
            self.assertEqual(self.ask(f"SELECT count(*) FROM {name}"), [(0,)])
            other.commit()
            self.assertEqual(self.ask(f"SELECT count(*) FROM {name}"), [(1,)])
            other.execute(f"INSERT INTO {name} VALUES (2)")
            other.rollback()
            self.assertEqual(self.ask(f"SELECT count(*) FROM {name}"), [(1,)])

    def test_blocks(self):
        name = self.table("a int")
        with self.assertRaises(ZeroDivisionError):
            with self.connection.transaction():
                self.connection.execute(f"INSERT INTO {name} VALUES (1)")
                raise ZeroDivisionError
        with self.connection.transaction():
            self.connection.execute(f"INSERT INTO {name} VALUES (2)")
        self.assertEqual(self.ask(f"SELECT a FROM {name}"), [(2,)])

    def test_nested_blocks_are_savepoints(self):
        name = self.table("a int PRIMARY KEY")
        with self.connection.transaction():
            self.connection.execute(f"INSERT INTO {name} VALUES (1)")
            with self.assertRaises(errors.UniqueViolation):
                with self.connection.transaction():
                    self.connection.execute(f"INSERT INTO {name} VALUES (2)")
                    self.connection.execute(f"INSERT INTO {name} VALUES (1)")
            with self.connection.transaction():
                self.connection.execute(f"INSERT INTO {name} VALUES (3)")
        self.assertEqual(self.ask(f"SELECT a FROM {name} ORDER BY a"), [(1,), (3,)])

    def test_aborted_state(self):
        with psycopg.connect(target.server.url("psycopg_tests")) as other:
            with self.assertRaises(errors.DivisionByZero):
                other.execute("SELECT 1/0")
            self.assertEqual(other.info.transaction_status, psycopg.pq.TransactionStatus.INERROR)
            with self.assertRaises(errors.InFailedSqlTransaction):
                other.execute("SELECT 1")
            other.rollback()
            self.assertEqual(other.execute("SELECT 1").fetchone(), (1,))

    def test_isolation_and_read_only(self):
        with psycopg.connect(target.server.url("psycopg_tests")) as other:
            other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self.assertEqual(other.execute("SHOW transaction_isolation").fetchone(), ("repeatable read",))
            other.rollback()
            other.read_only = True
            with self.assertRaises(errors.ReadOnlySqlTransaction):
                other.execute("CREATE TABLE never (a int)")

    def test_connection_parameters(self):
        with psycopg.connect(target.server.url("psycopg_tests"), application_name="a client",
                             options="-c statement_timeout=4321") as other:
            self.assertEqual(other.execute("SHOW application_name").fetchone(), ("a client",))
            self.assertEqual(other.execute("SHOW statement_timeout").fetchone(), ("4321ms",))
            self.assertGreaterEqual(other.info.server_version, 150000)
            self.assertEqual(other.info.parameter_status("server_encoding"), "UTF8")
            self.assertEqual(other.info.parameter_status("integer_datetimes"), "on")

    def test_wrong_password(self):
        if not target.server.password:
            self.skipTest("this server trusts everybody")
        url = target.server.url("psycopg_tests").replace(target.server.password, "wrong")
        with self.assertRaises(psycopg.OperationalError) as caught:
            psycopg.connect(url)
        self.assertIn('password authentication failed for user "bop"', str(caught.exception))


class Batches(Base):
    def test_executemany(self):
        name = self.table("a int, b text")
        with self.connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {name} VALUES (%s, %s)", [(i, f"row {i}") for i in range(500)])
            self.assertEqual(cursor.rowcount, 500)
        self.assertEqual(self.ask(f"SELECT count(*), sum(a) FROM {name}"), [(500, 124750)])

    def test_executemany_returning(self):
        name = self.table("a serial, b text")
        with self.connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {name} (b) VALUES (%s) RETURNING a", [("x",), ("y",)], returning=True)
            got = []
            while True:
                got += cursor.fetchall()
                if not cursor.nextset():
                    break
        self.assertEqual(got, [(1,), (2,)])

    def test_pipeline(self):
        name = self.table("a int")
        with self.connection.pipeline():
            cursors = [self.connection.execute(f"INSERT INTO {name} VALUES (%s) RETURNING a * 2", (i,))
                       for i in range(50)]
            total = self.connection.execute(f"SELECT count(*) FROM {name}")
            self.assertEqual([cursor.fetchone()[0] for cursor in cursors], [i * 2 for i in range(50)])
            self.assertEqual(total.fetchone(), (50,))

    def test_pipeline_error_skips_to_sync(self):
        name = self.table("a int PRIMARY KEY")
        with self.assertRaises(errors.UniqueViolation):
            with self.connection.pipeline() as pipeline:
                self.connection.execute(f"INSERT INTO {name} VALUES (1)")
                pipeline.sync()
                self.connection.execute(f"INSERT INTO {name} VALUES (1)")
                self.connection.execute(f"INSERT INTO {name} VALUES (2)")
                pipeline.sync()
        self.assertEqual(self.ask(f"SELECT a FROM {name}"), [(1,)])
        self.assertEqual(self.ask("SELECT 'usable'"), [("usable",)])

    def test_prepared_by_itself(self):
        self.connection.prepare_threshold = 2
        for i in range(20):
            self.assertEqual(self.ask("SELECT %s::int + 1", (i,)), [(i + 1,)])
        self.assertEqual(self.ask("SELECT %s::text", ("x",), prepare=True), [("x",)])

    def test_prepared_statement_after_alter(self):
        name = self.table("a int")
        self.connection.execute(f"INSERT INTO {name} VALUES (1)")
        self.assertEqual(self.ask(f"SELECT a FROM {name}", prepare=True), [(1,)])
        self.connection.execute(f"ALTER TABLE {name} ADD COLUMN b int")
        self.assertEqual(self.ask(f"SELECT a FROM {name}", prepare=True), [(1,)])

    def test_stream(self):
        with self.connection.cursor() as cursor:
            rows = cursor.stream("SELECT n FROM generate_series(1, 2000) n ORDER BY n")
            self.assertEqual([row[0] for row in rows], list(range(1, 2001)))

    def test_many_rows(self):
        rows = self.ask("SELECT n, 'row ' || n FROM generate_series(1, 50000) n ORDER BY n")
        self.assertEqual((len(rows), rows[0], rows[-1]), (50000, (1, "row 1"), (50000, "row 50000")))

    def test_server_side_cursors(self):
        rows = "SELECT g, 'row ' || g AS name FROM generate_series(1, %s) AS g ORDER BY g"
        with psycopg.connect(target.server.url("psycopg_tests")) as connection:
            with connection.cursor(name="forward") as cursor:
                cursor.itersize = 100
                cursor.execute(rows, (1000,))
                self.assertEqual([column.name for column in cursor.description], ["g", "name"])
                self.assertEqual(cursor.fetchone(), (1, "row 1"))
                self.assertEqual(len(cursor.fetchmany(10)), 10)
                self.assertEqual(sum(1 for _ in cursor), 989)
            with connection.cursor(name="scrolls", scrollable=True, binary=False) as cursor:
                cursor.execute(rows, (20,))
                cursor.scroll(10)
                self.assertEqual(cursor.fetchone()[0], 11)
                cursor.scroll(-5)
                self.assertEqual(cursor.fetchone()[0], 7)
                cursor.scroll(2, mode="absolute")
                self.assertEqual([g for g, _ in cursor.fetchall()], list(range(3, 21)))
            kept = connection.cursor(name="kept", withhold=True)
            kept.execute(rows, (5,))
            kept.fetchone()
            connection.commit()
            self.assertEqual([g for g, _ in kept.fetchall()], [2, 3, 4, 5])
            kept.close()

    def test_row_factories(self):
        with self.connection.cursor(row_factory=dict_row) as cursor:
            self.assertEqual(cursor.execute("SELECT 1 AS a, 'x' AS b").fetchone(), {"a": 1, "b": "x"})
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            self.assertEqual(cursor.execute("SELECT 1 AS a").fetchone().a, 1)

    def test_rowcount_and_status(self):
        name = self.table("a int")
        cursor = self.connection.execute(f"INSERT INTO {name} VALUES (1), (2), (3)")
        self.assertEqual((cursor.rowcount, cursor.statusmessage), (3, "INSERT 0 3"))
        self.assertEqual(self.connection.execute(f"UPDATE {name} SET a = 0 WHERE a > 1").rowcount, 2)
        self.assertEqual(self.connection.execute(f"DELETE FROM {name}").statusmessage, "DELETE 3")

    def test_several_statements_in_one_string(self):
        cursor = self.connection.execute("SELECT 1; SELECT 2, 3")
        self.assertEqual(cursor.fetchall(), [(1,)])
        self.assertTrue(cursor.nextset())
        self.assertEqual(cursor.fetchall(), [(2, 3)])

    def test_empty_statement(self):
        self.assertIsNone(self.connection.execute("").description)


class Copy(Base):
    def test_in_by_rows(self):
        name = self.table("a int, b text, c numeric")
        with self.connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
            copy.write_row((1, "tab\t and \\ and \n", decimal.Decimal("1.5")))
            copy.write_row((2, None, None))
        self.assertEqual(self.ask(f"SELECT * FROM {name} ORDER BY a"),
                         [(1, "tab\t and \\ and \n", decimal.Decimal("1.5")), (2, None, None)])

    def test_in_raw_in_pieces(self):
        name = self.table("a int, b text")
        data = "".join(f"{i}\trow {i}\n" for i in range(5000)).encode()
        with self.connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
            for begin in range(0, len(data), 777):
                copy.write(data[begin:begin + 777])
        self.assertEqual(self.ask(f"SELECT count(*), sum(a), max(b) FROM {name}"), [(5000, 12497500, "row 999")])

    def test_in_csv(self):
        name = self.table("a int, b text")
        with self.connection.cursor().copy(f"COPY {name} (b, a) FROM STDIN (FORMAT csv)") as copy:
            copy.write('"one, two",1\n"",2\n,3\n')
        self.assertEqual(self.ask(f"SELECT a, b FROM {name} ORDER BY a"), [(1, "one, two"), (2, ""), (3, None)])

    def test_out(self):
        with self.connection.cursor().copy("COPY (SELECT n, 'x' || n FROM generate_series(1, 3) n) TO STDOUT") as copy:
            self.assertEqual(b"".join(bytes(piece) for piece in copy), b"1\tx1\n2\tx2\n3\tx3\n")

    def test_out_by_rows(self):
        with self.connection.cursor().copy("COPY (VALUES (1, NULL), (2, 'b')) TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            self.assertEqual(list(copy.rows()), [(1, None), (2, "b")])

    def test_binary_by_rows(self):
        name = self.table("a int, b text, c numeric, d timestamptz, e uuid, f int[], g jsonb, h bytea")
        types = ["int4", "text", "numeric", "timestamptz", "uuid", "int4[]", "jsonb", "bytea"]
        rows = [(n, f"row {n}", decimal.Decimal(n) / 4, datetime.datetime(2024, 1, 1, tzinfo=UTC), uuid.UUID(int=n),
                 [n, n + 1], {"n": n}, bytes([n % 256])) for n in range(3000)]
        with self.connection.cursor().copy(f"COPY {name} FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row((*row[:6], Jsonb(row[6]), row[7]))
            copy.write_row((None,) * 8)
        self.assertEqual(self.ask(f"SELECT count(*), sum(c) FROM {name}"), [(3001, sum(row[2] for row in rows))])
        with self.connection.cursor().copy(f"COPY (SELECT * FROM {name} ORDER BY a) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(types)
            self.assertEqual(list(copy.rows()), [*rows, (None,) * 8])

    def test_binary_error(self):
        name = self.table("a int")
        with self.assertRaises(errors.BadCopyFileFormat):
            with self.connection.cursor().copy(f"COPY {name} FROM STDIN (FORMAT binary)") as copy:
                copy.write(b"1\n2\n3\n4\n5\n6\n")
        self.assertEqual(self.ask(f"SELECT count(*) FROM {name}"), [(0,)])

    def test_error_undoes_everything(self):
        name = self.table("a int PRIMARY KEY")
        with self.assertRaises(errors.UniqueViolation):
            with self.connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                copy.write("1\n2\n1\n")
        self.assertEqual(self.ask(f"SELECT count(*) FROM {name}"), [(0,)])

    def test_given_up_by_the_client(self):
        name = self.table("a int")
        with self.assertRaises(RuntimeError):
            with self.connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                copy.write("1\n")
                raise RuntimeError("given up")
        self.assertEqual(self.ask(f"SELECT count(*) FROM {name}"), [(0,)])


class Errors(Base):
    def test_classes(self):
        parent = self.table("id int PRIMARY KEY, v varchar(3) NOT NULL, n numeric(3,1) CHECK (n > 0)")
        self.connection.execute(f"DROP TABLE IF EXISTS {parent}_c")
        self.connection.execute(f"CREATE TABLE {parent}_c (p int REFERENCES {parent})")
        self.addCleanup(lambda: psycopg.connect(target.server.url("psycopg_tests"), autocommit=True).execute(
            f"DROP TABLE {parent}_c").connection.close())
        self.connection.execute(f"INSERT INTO {parent} VALUES (1, 'a', 1)")
        for wanted, sql in [
                (errors.UniqueViolation, f"INSERT INTO {parent} VALUES (1, 'b', 1)"),
                (errors.NotNullViolation, f"INSERT INTO {parent} VALUES (2, NULL, 1)"),
                (errors.CheckViolation, f"INSERT INTO {parent} VALUES (2, 'b', -1)"),
                (errors.ForeignKeyViolation, f"INSERT INTO {parent}_c VALUES (9)"),
                (errors.StringDataRightTruncation, f"INSERT INTO {parent} VALUES (2, 'long', 1)"),
                (errors.NumericValueOutOfRange, f"INSERT INTO {parent} VALUES (2, 'b', 1000)"),
                (errors.InvalidTextRepresentation, "SELECT 'x'::int"),
                (errors.InvalidDatetimeFormat, "SELECT 'x'::date"),
                (errors.DatetimeFieldOverflow, "SELECT '2024-02-30'::date"),
                (errors.DivisionByZero, "SELECT 1/0"),
                (errors.UndefinedTable, "SELECT * FROM no_such_table"),
                (errors.UndefinedColumn, f"SELECT nope FROM {parent}"),
                (errors.UndefinedFunction, "SELECT nofunc(1)"),
                (errors.DuplicateTable, f"CREATE TABLE {parent} (a int)"),
                (errors.SyntaxError, "SELEC 1"),
                (errors.AmbiguousColumn, f"SELECT id FROM {parent} a, {parent} b"),
                (errors.DatatypeMismatch, f"SELECT 1 FROM {parent} WHERE id"),
                (errors.GroupingError, f"SELECT id, v, count(*) FROM {parent} GROUP BY v")]:
            with self.subTest(sql=sql), self.assertRaises(wanted):
                self.connection.execute(sql)

    def test_diagnostics(self):
        name = self.table("id int PRIMARY KEY")
        with self.assertRaises(errors.UniqueViolation) as caught:
            self.connection.execute(f"INSERT INTO {name} VALUES (5), (5)")
        diag = caught.exception.diag
        self.assertEqual((diag.sqlstate, diag.severity, diag.table_name, diag.constraint_name, diag.schema_name),
                         ("23505", "ERROR", name, f"{name}_pkey", "public"))
        self.assertEqual(diag.message_detail, "Key (id)=(5) already exists.")
        with self.assertRaises(errors.UndefinedColumn) as caught:
            self.connection.execute(f"SELECT  nope FROM {name}")
        self.assertEqual(caught.exception.diag.statement_position, "9")

    def test_connection_survives_errors(self):
        for _ in range(100):
            with self.assertRaises(psycopg.Error):
                self.connection.execute("SELECT %s::int / 0", (1,))
        self.assertEqual(self.ask("SELECT 1"), [(1,)])

    def test_notices(self):
        heard = []
        self.connection.add_notice_handler(
            lambda notice: heard.append((notice.severity, notice.sqlstate, notice.message_primary)))
        self.connection.execute("DROP TABLE IF EXISTS never_was_there")
        self.assertEqual(heard, [("NOTICE", "00000", 'table "never_was_there" does not exist, skipping')])

    def test_cancel_from_another_thread(self):
        started = time.monotonic()
        timer = threading.Timer(0.3, self.connection.cancel)
        timer.start()
        with self.assertRaises(errors.QueryCanceled):
            # Long without waiting for a clock, so that cancel has to reach work in progress.
            self.connection.execute("WITH RECURSIVE r(n) AS (SELECT 1::bigint UNION ALL SELECT n + 1 FROM r WHERE "
                                    "n < 1000000000) SELECT max(n) FROM r")
        timer.join()
        self.assertLess(time.monotonic() - started, 20)
        self.assertEqual(self.ask("SELECT 'alive'"), [("alive",)])

    def test_statement_timeout(self):
        self.connection.execute("SET statement_timeout = 200")
        with self.assertRaises(errors.QueryCanceled) as caught:
            self.connection.execute("WITH RECURSIVE r(n) AS (SELECT 1::bigint UNION ALL SELECT n + 1 FROM r WHERE "
                                    "n < 1000000000) SELECT max(n) FROM r")
        self.assertIn("canceling statement due to statement timeout", str(caught.exception))


class Notifications(Base):
    def test_generator(self):
        other = psycopg.connect(target.server.url("psycopg_tests"), autocommit=True)
        self.addCleanup(other.close)
        self.connection.execute("LISTEN told")
        for number in range(3):
            other.execute("SELECT pg_notify('told', %s)", (str(number),))
        heard = list(self.connection.notifies(timeout=20, stop_after=3))
        self.assertEqual([(n.channel, n.payload, n.pid) for n in heard],
                         [("told", str(number), other.info.backend_pid) for number in range(3)])

    def test_handler_is_called_during_another_query(self):
        heard = []
        self.connection.add_notify_handler(lambda n: heard.append(n.payload))
        self.connection.execute("LISTEN told")
        self.connection.execute("NOTIFY told, 'own'")
        self.assertEqual(heard, ["own"])


class Concurrency(Base):
    def test_counter_of_many_threads(self):
        name = self.table("v int")
        self.connection.execute(f"INSERT INTO {name} VALUES (0)")
        seen, failed = [], []

        def count():
            try:
                with psycopg.connect(target.server.url("psycopg_tests"), autocommit=True) as own:
                    for _ in range(25):
                        seen.append(own.execute(f"UPDATE {name} SET v = v + 1 RETURNING v").fetchone()[0])
            except psycopg.Error as error:
                failed.append(error)
        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        self.assertEqual(sorted(seen), list(range(1, 201)))

    def test_many_connections(self):
        connections = [psycopg.connect(target.server.url("psycopg_tests"), autocommit=True) for _ in range(60)]
        try:
            for number, own in enumerate(connections):
                self.assertEqual(own.execute("SELECT %s::int", (number,)).fetchone(), (number,))
        finally:
            for own in connections:
                own.close()


if __name__ == "__main__":
    target.main()
