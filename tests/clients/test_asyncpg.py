#!/usr/bin/env python3
"""asyncpg: binary values of all types, its introspection queries, statements, transactions, COPY, cursors, LISTEN."""

import asyncio
import datetime
import decimal
import unittest
import uuid

import target

target.with_tests_python("asyncpg")

# pylint: disable=wrong-import-position
import asyncpg

UTC = datetime.timezone.utc
D = decimal.Decimal

VALUES = [
    ("bool", [True, False, None]),
    ("int2", [0, 32767, -32768]),
    ("int4", [0, 2147483647, -2147483648]),
    ("int8", [0, 9223372036854775807, -9223372036854775808]),
    ("numeric", [D("0"), D("1.50"), D("-0.00001"), D("123456789012345678901234567890.0987654321"), D("10000"), D("1E+10")]),
    ("float4", [0.0, 1.5, -2.25, float("inf")]),
    ("float8", [0.0, 0.1, 1e300, float("-inf")]),
    ("text", ["", "quote ' and \\ and \n", "äöü 世界 😀", "x" * 100000]),
    ("varchar(10)", ["", "ten chars."]),
    ("char(5)", ["ab   "]),
    ("name", ["a_name"]),
    ("bytea", [b"", b"\x00\x01\xff"]),
    ("date", [datetime.date(2024, 2, 29), datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
    ("time", [datetime.time(0), datetime.time(23, 59, 59, 999999)]),
    ("timestamp", [datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), datetime.datetime(1, 1, 1)]),
    ("timestamptz", [datetime.datetime(2024, 2, 29, 12, 30, tzinfo=UTC)]),
    ("interval", [datetime.timedelta(days=3, seconds=5, microseconds=7), datetime.timedelta(0)]),
    ("uuid", [uuid.UUID(int=0), uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
    ("json", ['{"a": [1, 2, null]}']),
    ("jsonb", ['{"a": [1, 2, null]}']),
    ("oid", [0, 4294967295]),
    ("int4[]", [[], [1, None, 3], [[1, 2], [3, 4]]]),
    ("text[]", [["a b", None, 'quote "']]),
    ("numeric[]", [[D("1.50")]]),
    ("timestamptz[]", [[datetime.datetime(2024, 1, 1, tzinfo=UTC)]]),
    ("uuid[]", [[uuid.UUID(int=7)]]),
    ("jsonb[]", [['{"a": 1}']]),
]


class Base(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.connection = await self.connect()
        self.addAsyncCleanup(self.connection.close)

    async def connect(self, **options):
        server = target.server
        return await asyncpg.connect(host=server.host, port=server.port, user=server.user, database="asyncpg_tests",
                                     password=server.password or None, timeout=30, **options)

    async def table(self, columns):
        name = "t_" + self.id().rsplit(".", 1)[1]
        await self.connection.execute(f"DROP TABLE IF EXISTS {name}")
        await self.connection.execute(f"CREATE TABLE {name} ({columns})")
        return name


class Types(Base):
    async def test_parameters_and_columns(self):
        for kind, values in VALUES:
            for value in values:
                with self.subTest(type=kind, value=str(value)[:50]):
                    self.assertEqual(await self.connection.fetchval(f"SELECT $1::{kind}", value), value)

    async def test_stored(self):
        for number, (kind, values) in enumerate(VALUES):
            await self.connection.execute(f"DROP TABLE IF EXISTS stored_{number}")
            await self.connection.execute(f"CREATE TABLE stored_{number} (n int, v {kind})")
            await self.connection.executemany(f"INSERT INTO stored_{number} VALUES ($1, $2)", list(enumerate(values)))
            rows = await self.connection.fetch(f"SELECT v FROM stored_{number} ORDER BY n")
            self.assertEqual([row["v"] for row in rows], values, kind)

    async def test_json_codec(self):
        import json
        await self.connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        self.assertEqual(await self.connection.fetchval("SELECT $1::jsonb", {"a": [1]}), {"a": [1]})

    async def test_enum_and_domain_are_looked_up(self):
        # The introspection query of asyncpg, which joins pg_type, pg_range, pg_attribute recursively.
        self.assertEqual(await self.connection.fetchval("SELECT ARRAY['pg_class'::regclass]::text[]"), ["pg_class"])
        row = await self.connection.fetchrow("SELECT relacl, relkind, relname FROM pg_class WHERE relname = 'pg_class'")
        self.assertEqual((row["relname"], row["relkind"]), ("pg_class", b"r"))


class Statements(Base):
    async def test_prepared(self):
        statement = await self.connection.prepare("SELECT $1::int + $2::int AS sum, $3::text AS t")
        self.assertEqual([p.name for p in statement.get_parameters()], ["int4", "int4", "text"])
        self.assertEqual([(a.name, a.type.name) for a in statement.get_attributes()], [("sum", "int4"), ("t", "text")])
        for n in range(5):
            self.assertEqual(tuple(await statement.fetchrow(n, n, "x")), (2 * n, "x"))

    async def test_ddl_invalidates_a_cached_statement(self):
        name = await self.table("a int")
        await self.connection.execute(f"INSERT INTO {name} VALUES (1)")
        self.assertEqual(len(await self.connection.fetchrow(f"SELECT * FROM {name}")), 1)
        await self.connection.execute(f"ALTER TABLE {name} ADD COLUMN b text DEFAULT 'new'")
        self.assertEqual(tuple(await self.connection.fetchrow(f"SELECT * FROM {name}")), (1, "new"))

    async def test_several_statements_and_tags(self):
        name = await self.table("a int")
        self.assertEqual(await self.connection.execute(f"INSERT INTO {name} VALUES (1), (2); UPDATE {name} SET a = 3"),
                         "UPDATE 2")
        self.assertEqual(await self.connection.execute(f"DELETE FROM {name} WHERE a = $1", 3), "DELETE 2")

    async def test_errors(self):
        name = await self.table("a int PRIMARY KEY")
        await self.connection.execute(f"INSERT INTO {name} VALUES (1)")
        with self.assertRaises(asyncpg.UniqueViolationError) as caught:
            await self.connection.execute(f"INSERT INTO {name} VALUES ($1)", 1)
        self.assertEqual((caught.exception.constraint_name, caught.exception.table_name), (name + "_pkey", name))
        with self.assertRaises(asyncpg.UndefinedTableError):
            await self.connection.fetch("SELECT * FROM nowhere")
        with self.assertRaises(asyncpg.PostgresSyntaxError):
            await self.connection.fetch("SELEC 1")
        with self.assertRaises(asyncpg.DivisionByZeroError):
            await self.connection.fetchval("SELECT 1 / $1::int", 0)
        self.assertEqual(await self.connection.fetchval("SELECT 1"), 1)

    async def test_timeout_cancels(self):
        with self.assertRaises(asyncio.TimeoutError):
            await self.connection.fetchval("SELECT count(*) FROM generate_series(1, 1000000000)", timeout=0.3)
        self.assertEqual(await self.connection.fetchval("SELECT 1"), 1)

    async def test_executemany_and_fetchmany(self):
        name = await self.table("a int, b text")
        await self.connection.executemany(f"INSERT INTO {name} VALUES ($1, $2)", [(n, f"row {n}") for n in range(1000)])
        self.assertEqual(await self.connection.fetchval(f"SELECT count(*) FROM {name}"), 1000)


class Transactions(Base):
    async def test_commit_rollback_savepoint(self):
        name = await self.table("a int")
        async with self.connection.transaction():
            await self.connection.execute(f"INSERT INTO {name} VALUES (1)")
            try:
                async with self.connection.transaction():
                    await self.connection.execute(f"INSERT INTO {name} VALUES (2)")
                    raise RuntimeError
            except RuntimeError:
                pass
        self.assertEqual([row[0] for row in await self.connection.fetch(f"SELECT a FROM {name}")], [1])

    async def test_isolation(self):
        async with self.connection.transaction(isolation="serializable", readonly=True, deferrable=True):
            self.assertEqual(await self.connection.fetchval("SHOW transaction_isolation"), "serializable")
            with self.assertRaises(asyncpg.ReadOnlySQLTransactionError):
                async with self.connection.transaction():
                    await self.connection.execute("CREATE TABLE no (a int)")

    async def test_cursor(self):
        async with self.connection.transaction():
            seen = [row[0] async for row in self.connection.cursor("SELECT generate_series(1, $1::int)", 500, prefetch=50)]
            self.assertEqual(seen, list(range(1, 501)))
            cursor = await self.connection.cursor("SELECT generate_series(1, 10)")
            self.assertEqual([row[0] for row in await cursor.fetch(2)], [1, 2])
            self.assertEqual((await cursor.fetchrow())[0], 3)

    async def test_reset_and_pool(self):
        server = target.server
        pool = await asyncpg.create_pool(host=server.host, port=server.port, user=server.user, database="asyncpg_tests",
                                         password=server.password or None, min_size=2, max_size=5)
        async with pool:
            async def work(n):
                async with pool.acquire() as connection:
                    await connection.execute("SET application_name = 'changed'")
                    return await connection.fetchval("SELECT $1::int * 2", n)
            self.assertEqual(await asyncio.gather(*[work(n) for n in range(40)]), [2 * n for n in range(40)])
            async with pool.acquire() as connection:  # RESET ALL; UNLISTEN *; CLOSE ALL; pg_advisory_unlock_all()
                self.assertEqual(await connection.fetchval("SHOW application_name"), "")


class Copy(Base):
    async def test_records(self):
        name = await self.table("a int, b text, c numeric, d timestamptz, e int[]")
        records = [(n, f"row {n}", D(n) / 8, datetime.datetime(2024, 1, 1, tzinfo=UTC), [n, None]) for n in range(2000)]
        self.assertEqual(await self.connection.copy_records_to_table(name, records=records), "COPY 2000")
        rows = await self.connection.fetch(f"SELECT * FROM {name} ORDER BY a")
        self.assertEqual([tuple(row) for row in rows], records)

    async def test_csv_in_and_out(self):
        import io
        name = await self.table("a int, b text")
        await self.connection.copy_to_table(name, source=io.BytesIO(b"1,one\n2,\n"), format="csv")
        out = io.BytesIO()
        await self.connection.copy_from_query(f"SELECT * FROM {name} WHERE a > $1 ORDER BY a", 0, output=out, format="csv")
        self.assertEqual(out.getvalue(), b"1,one\n2,\n")


class Notifications(Base):
    async def test_listener(self):
        heard = asyncio.Queue()
        await self.connection.add_listener("told", lambda *arguments: heard.put_nowait(arguments[1:]))
        other = await self.connect()
        await other.execute("SELECT pg_notify('told', 'hello')")
        self.assertEqual(await asyncio.wait_for(heard.get(), 20), (other.get_server_pid(), "told", "hello"))
        await other.close()


def setUpModule():
    target.fresh_database("asyncpg_tests")


if __name__ == "__main__":
    target.main()
