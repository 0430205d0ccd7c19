#!/usr/bin/env python3
"""psycopg 3 and types that it looks up in the catalog: enums, text and binary, in both directions."""

import enum
import unittest

import target

target.with_tests_python("psycopg")

# pylint: disable=wrong-import-position
import psycopg
from psycopg import errors
from psycopg.types.enum import EnumInfo, register_enum


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


if __name__ == "__main__":
    target.main()
