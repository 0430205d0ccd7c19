#!/usr/bin/env python3
"""psycopg 3 and less common types, text and binary, in both directions: enums (looked up in the catalog), ranges,
multiranges, network addresses, bit strings, times with a zone."""

import datetime
import enum
import ipaddress
import unittest

import target

target.with_tests_python("psycopg")

# pylint: disable=wrong-import-position
import psycopg
from psycopg import errors
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

UTC = datetime.timezone.utc

# (type in SQL, Python values that must come back equal)
VALUES = [
    ("int4range", [Range(1, 5), Range(None, 5), Range(3, None), Range(empty=True)]),
    ("int8range", [Range(1, 2 ** 40)]),
    ("daterange", [Range(datetime.date(2024, 1, 1), datetime.date(2024, 2, 1))]),
    ("tsrange", [Range(datetime.datetime(2024, 1, 1, 10), datetime.datetime(2024, 1, 1, 12), "[]")]),
    ("tstzrange", [Range(datetime.datetime(2024, 1, 1, 10, tzinfo=UTC), None)]),
    ("int4multirange", [Multirange([Range(1, 3), Range(5, 8)]), Multirange([])]),
    ("inet", [ipaddress.ip_address("10.0.0.1"), ipaddress.ip_interface("10.0.0.1/24"), ipaddress.ip_address("::1")]),
    ("cidr", [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")]),
    ("timetz", [datetime.time(10, 30, 15, 500, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))]),
    ("inet[]", [[ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1")]]),
]


def setUpModule():
    target.fresh_database("psycopg_types_tests")


class Base(unittest.TestCase):
    def setUp(self):
        self.connection = psycopg.connect(target.server.url("psycopg_types_tests"), autocommit=True)
        self.addCleanup(self.connection.close)

    def ask(self, sql, parameters=None, **options):
        return self.connection.execute(sql, parameters, **options).fetchall()


class Enums(Base):
    def setUp(self):
        super().setUp()
        self.connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')")
        self.connection.execute("CREATE TABLE person (id int, m mood, ms mood[])")
        self.addCleanup(self.drop)

    def drop(self):
        self.connection.execute("DROP TABLE person")
        self.connection.execute("DROP TYPE mood")

    def test_registered_enum_comes_and_goes_in_text_and_binary(self):
        info = EnumInfo.fetch(self.connection, "mood")
        self.assertEqual(list(info.labels), ["sad", "ok", "happy"])
        mood = enum.Enum("Mood", [(label, label) for label in info.labels])
        register_enum(info, self.connection, mood)
        self.connection.execute("INSERT INTO person VALUES (1, %s, %s)", (mood.ok, [mood.happy, mood.sad]))
        self.connection.execute("INSERT INTO person VALUES (2, %b, %b)", (mood.sad, [mood.ok]))
        for binary in (False, True):
            self.assertEqual(self.ask("SELECT m, ms FROM person ORDER BY m", binary=binary),
                             [(mood.sad, [mood.ok]), (mood.ok, [mood.happy, mood.sad])])

    def test_strings_are_labels(self):
        self.connection.execute("INSERT INTO person VALUES (%s, %s, %s)", (1, "happy", ["ok", None]))
        self.assertEqual(self.ask("SELECT m::text, ms::text FROM person WHERE m = %s", ("happy",)),
                         [("happy", "{ok,NULL}")])
        with self.assertRaises(errors.InvalidTextRepresentation):
            self.connection.execute("INSERT INTO person VALUES (%s, %s)", (1, "glad"))

    def test_prepared_statement_goes_on_after_a_new_label(self):
        sql = "SELECT id FROM person WHERE m >= %s ORDER BY m"
        self.connection.execute("INSERT INTO person VALUES (1, 'ok'), (2, 'happy')")
        for _ in range(3):
            self.assertEqual(self.ask(sql, ("ok",), prepare=True), [(1,), (2,)])
        self.connection.execute("ALTER TYPE mood ADD VALUE 'fine' BEFORE 'happy'")
        self.connection.execute("INSERT INTO person VALUES (3, 'fine')")
        self.assertEqual(self.ask(sql, ("ok",), prepare=True), [(1,), (3,), (2,)])

    def test_two_connections_see_a_new_type_when_it_is_committed(self):
        with psycopg.connect(target.server.url("psycopg_types_tests")) as other:
            with self.connection.transaction():
                self.connection.execute("CREATE TYPE passing AS ENUM ('a')")
                with self.assertRaises(errors.UndefinedObject):
                    other.execute("SELECT 'a'::passing")
                other.rollback()
            self.assertEqual(other.execute("SELECT 'a'::passing::text").fetchall(), [("a",)])
            other.rollback()
        self.connection.execute("DROP TYPE passing")


class Values(Base):
    def test_values_come_back(self):
        for sql_type, values in VALUES:
            for value in values:
                for placeholder in ("%s", "%t", "%b"):
                    for binary in (False, True):
                        with self.subTest(sql_type, value=value, placeholder=placeholder, binary=binary):
                            self.assertEqual(self.ask(f"SELECT {placeholder}::{sql_type}", (value,), binary=binary),
                                             [(value,)])

    def test_values_are_stored(self):
        for number, (sql_type, values) in enumerate(VALUES):
            with self.subTest(sql_type):
                self.connection.execute(f"CREATE TABLE stored_{number} (id int, v {sql_type})")
                for value in enumerate(values):
                    self.connection.execute(f"INSERT INTO stored_{number} VALUES (%s, %s)", value)
                self.assertEqual(self.ask(f"SELECT v FROM stored_{number} ORDER BY id", binary=True),
                                 [(value,) for value in values])

    def test_texts_of_types_without_an_adapter(self):
        self.assertEqual(self.ask("SELECT B'101', '08:00:2b:01:02:03'::macaddr, '1.50'::money"),
                         [("101", "08:00:2b:01:02:03", "$1.50")])


if __name__ == "__main__":
    target.main()
