#!/usr/bin/env python3
"""Clients that mean harm, or have gone mad: the answers are clear, the memory stays bounded and others are served.

For BOP only: limits are its own. `--limited` (label long-attacks) adds what needs minutes: a node in 512 MB of memory
with ten million rows, a COPY of 1 GB and a large sort.
"""

import os
import socket
import struct
import threading
import time
import unittest
import unittest.mock

import own_node
import servers
import wire
from wire import cstring, message

MB = 1 << 20


def memory_of(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise AssertionError(field)


class Base(own_node.SharedNodeCase):
    def setUp(self):
        self.before = memory_of(self.node.process.pid)

    def tearDown(self):
        """Whatever was done: the node is there, serves, and has not kept much."""
        connection = self.node.connect()
        self.assertEqual(connection.simple("SELECT 1")[-1].rows, [["1"]])
        connection.close()
        self.wait_until(lambda: memory_of(self.node.process.pid) - self.before <= 200 * MB, "too much memory is kept", 0.2)

    def raw(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), 60)
        self.addCleanup(raw.close)
        return raw

    def everything(self, raw):
        out = b""
        try:
            while chunk := raw.recv(65536):
                out += chunk
        except ConnectionError:
            pass
        return out

    def ended_with(self, raw, code, words=b""):
        out = self.everything(raw)
        self.assertIn(b"C" + code + b"\0", out)
        self.assertIn(words, out)

    def error(self, sql):
        connection = self.node.connect()
        try:
            return connection.simple(sql)[-1].error
        finally:
            connection.close()


class Attacks(Base):
    def test_wrong_passwords_of_many_at_once(self):
        refused = []

        def knock():
            for _ in range(10):
                try:
                    wire.Connection("127.0.0.1", self.node.port, "bop", "wrong", "bop", 60).close()
                except wire.ConnectError as error:
                    refused.append(error.fields["C"])

        threads = [threading.Thread(target=knock) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(refused, ["28P01"] * 100)

    def test_a_gigabyte_is_announced_before_the_login(self):
        for head in (struct.pack("!i", 1 << 30), struct.pack("!i", -1), struct.pack("!i", 0x7FFFFFFF)):
            raw = self.raw()
            raw.sendall(head)
            self.ended_with(raw, b"08P01", b"invalid length of startup packet")
        raw = self.raw()
        body = struct.pack("!i", 196608) + b"user\0bop\0\0"
        raw.sendall(struct.pack("!i", len(body) + 4) + body)
        raw.recv(100)
        raw.sendall(b"p" + struct.pack("!i", 1 << 30))
        self.ended_with(raw, b"54000")

    def test_a_gigabyte_is_announced_behind_the_login(self):
        for kind in b"QPBdEDCFHS":
            connection = self.node.connect()
            connection.send(bytes([kind]) + struct.pack("!i", 1 << 30))
            received, body = connection.receive()
            self.assertEqual((received, wire.parse_fields(body)["C"], wire.parse_fields(body)["S"]),
                             (b"E", "54000", "FATAL"))
            connection.close()

    def test_many_announce_what_they_never_send(self):
        """Room is taken for bytes that came, not for bytes that were announced."""
        connections = [self.node.connect() for _ in range(100)]
        for connection in connections:
            connection.send(b"Q" + struct.pack("!i", 60 * MB) + b"SELECT")
        self.assertLess(memory_of(self.node.process.pid) - self.before, 100 * MB)
        for connection in connections:
            connection.socket.close()

    def test_half_closed_sockets(self):
        connection = self.node.connect()
        connection.send(message(b"Q", cstring("SELECT repeat('x', 100000)")))
        connection.socket.shutdown(socket.SHUT_WR)
        kind, _ = connection.receive()
        self.assertEqual(kind, b"T")
        kind, body = connection.receive()
        self.assertEqual((kind, len(body)), (b"D", 100006))
        # One that runs for long is not worth it: nobody will ask again.
        connection = self.node.connect()
        connection.send(message(b"Q", cstring("SELECT count(*) FROM generate_series(1, 100000000000)")))
        connection.socket.close()
        deadline = time.monotonic() + 30
        watch = self.node.connect()
        while watch.simple("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%100000000000%' "
                           "AND pid <> pg_backend_pid()")[-1].rows != [["0"]]:
            self.assertLess(time.monotonic(), deadline)
            pid = watch.simple("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE "
                               "'%100000000000%' AND pid <> pg_backend_pid()")
            del pid
            time.sleep(0.1)
        watch.close()

    def test_a_path_over_deep_json_ends_in_time(self):
        connection = self.node.connect()
        connection.simple("SET statement_timeout = '300ms'")
        begin = time.monotonic()
        result = connection.simple("SELECT count(*) FROM jsonb_path_query((repeat('[', 4900) || repeat(']', 4900))::jsonb, "
                                   "'$.**')")[-1]
        self.assertEqual(result.error["C"], "57014")
        self.assertLess(time.monotonic() - begin, 5)
        connection.close()

    def test_clients_that_never_read(self):
        """What they asked for is not computed ahead of them."""
        connections = [self.node.connect() for _ in range(8)]
        for connection in connections:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.send(message(b"Q", cstring("SELECT repeat('x', 1000) FROM generate_series(1, 10000000)")))
        for _ in range(20):
            self.assertEqual(self.error("SELECT 1"), None)
        self.assertLess(memory_of(self.node.process.pid) - self.before, 100 * MB)
        for connection in connections:
            connection.socket.close()

    def test_sql_of_100_megabytes(self):
        connection = self.node.connect()
        connection.send(b"Q" + struct.pack("!i", 100 * MB + 5))
        kind, body = connection.receive()
        fields = wire.parse_fields(body)
        self.assertEqual((kind, fields["C"]), (b"E", "54000"))
        self.assertIn("max_message_bytes", fields["H"])
        connection.close()

    def test_ten_thousand_parentheses_and_their_like(self):
        for sql in ("SELECT " + "(" * 10_000 + "1" + ")" * 10_000, "SELECT " + "NOT " * 100_000 + "true",
                    "SELECT " + "- " * 100_000 + "1", "SELECT 1" + " + 1" * 100_000,
                    "SELECT " + "ARRAY[" * 10_000 + "1" + "]" * 10_000, "SELECT " + "abs(" * 10_000 + "1" + ")" * 10_000,
                    "SELECT " + "CASE WHEN true THEN " * 10_000 + "1" + " END" * 10_000,
                    "SELECT * FROM " + "(SELECT * FROM " * 5_000 + "t" + ") x" * 5_000,
                    "SELECT 1" + " UNION ALL SELECT 1" * 20_000, "SELECT '" + "[" * 100_000 + "]" * 100_000 + "'::jsonb",
                    "SELECT '" + "{" * 100_000 + "}" * 100_000 + "'::int[]", "SELECT 'x' ~ '" + "(" * 50_000 + ")" * 50_000 + "'",
                    "SELECT 1 WHERE 1 IN (" + ", ".join(["1"] * 200_000) + ")"):
            error = self.error(sql)
            if error is not None:
                self.assertIn(error["C"][:2], ("54", "22", "42", "2B", "0A"), sql[:60] + " " + str(error))
                self.assertNotEqual(error["C"], "XX000")

    def test_values_that_grow(self):
        for sql in ("SELECT repeat('x', 2000000000)", "SELECT repeat(repeat('x', 100000), 100000)",
                    "SELECT lpad('x', 2000000000)", "SELECT string_agg(repeat('x', 1000000), '') FROM generate_series(1, 5000)",
                    "SELECT array_agg(g) FROM generate_series(1, 1000000000) g",
                    "SELECT format('%2000000000s', 'x')"):
            connection = self.node.connect(timeout=120)
            connection.simple("SET statement_timeout = '60s'")
            error = connection.simple(sql)[-1].error
            connection.close()
            self.assertIsNotNone(error, sql)
            self.assertIn(error["C"], ("54000", "53200", "22023", "57014", "22003"), sql + str(error))


class LargeMessages(Base):
    flags = ("--max-message-bytes", "256MB")

    def test_sql_of_100_megabytes_that_is_read(self):
        """Statements have a limit of their own; values that are bound have not."""
        connection = self.node.connect()
        result = connection.simple("SELECT length('" + "x" * (100 * MB) + "')")[-1]
        self.assertEqual(result.error["C"], "54000")
        self.assertEqual(connection.simple("SELECT 1")[-1].rows, [["1"]])
        result = connection.extended("SELECT length($1)", ["x" * (100 * MB)])[-1]
        self.assertEqual(result.rows, [[str(100 * MB)]])
        result = connection.simple("SELECT length('" + "x" * (50 * MB) + "')")[-1]
        self.assertEqual(result.rows, [[str(50 * MB)]])
        connection.close()


class Limited(Base):
    """A node in a group of 512 MB."""

    group = "/sys/fs/cgroup/memory/bop-attacks"
    flags = ("--temp-limit", "16GB")  # a sort of 1 GB goes over its files several times

    @classmethod
    def setUpClass(cls):
        if not own_node.options.limited:
            raise unittest.SkipTest("needs minutes: --limited")
        try:
            os.makedirs(cls.group, exist_ok=True)
            with open(os.path.join(cls.group, "memory.limit_in_bytes"), "w", encoding="ascii") as file:
                file.write(str(512 * MB))
        except OSError as why:
            raise unittest.SkipTest(f"no group with a limit of memory can be made: {why}") from None
        cls.addClassCleanup(os.rmdir, cls.group)
        join = ["sh", "-c", f"echo $$ > {cls.group}/cgroup.procs && exec \"$@\"", "sh"]
        with unittest.mock.patch.object(servers.Bop, "prefix", join):
            super().setUpClass()

    def setUp(self):
        self.before = 300 * MB  # what it may keep: caches, and the WAL in memory

    def test_1_ten_million_rows(self):
        connection = self.node.connect()
        connection.send(message(b"Q", cstring("SELECT g, repeat('x', 100) FROM generate_series(1, 10000000) g")))
        count = 0
        while (answer := connection.receive())[0] != b"Z":
            count += answer[0] == b"D"
            self.assertNotEqual(answer[0], b"E", answer)
        self.assertEqual(count, 10_000_000)
        connection.close()

    def test_2_a_copy_of_a_gigabyte(self):
        connection = self.node.connect(timeout=600)
        self.ask("CREATE TABLE big (a int, v text)", connection)
        connection.send(message(b"Q", cstring("COPY big FROM STDIN")))
        self.assertEqual(connection.receive()[0], b"G")
        line = "x" * 1000
        for begin in range(0, 1_000_000, 1000):
            connection.send(message(b"d", "".join(f"{n}\t{line}\n" for n in range(begin, begin + 1000)).encode()))
        connection.send(message(b"c"))
        kind, body = connection.receive()
        if kind == b"E":  # refused whole: clear, and nothing of it stays
            self.assertIn(wire.parse_fields(body)["C"], ("54000", "53100", "53200"))
            connection.receive()
            self.assertEqual(self.ask("SELECT count(*) FROM big", connection), [["0"]])
            for begin in range(0, 1_000_000, 100_000):
                self.ask(f"INSERT INTO big SELECT g, repeat('x', 1000) FROM generate_series({begin}, {begin + 99_999}) g", connection)
        else:
            self.assertEqual((kind, body), (b"C", b"COPY 1000000\0"))
            self.assertEqual(connection.receive()[0], b"Z")
        self.assertEqual(self.ask("SELECT count(*), max(a) FROM big", connection), [["1000000", "999999"]])
        connection.close()

    def test_3_a_large_sort(self):
        connection = self.node.connect(timeout=600)
        for sql, rows in (("SELECT a FROM big ORDER BY v, a DESC OFFSET 999990", [[str(n)] for n in range(9, -1, -1)]),
                          ("SELECT count(*) FROM (SELECT DISTINCT a, v FROM big) t", [["1000000"]])):
            result = connection.simple(sql)[-1]
            if result.error is not None:  # the second executor has 128 MB of it
                self.assertEqual(result.error["C"], "53200", result.error)
                self.ask("SET bop.route = sqlite", connection)
                result = connection.simple(sql)[-1]
                self.ask("RESET bop.route", connection)
            self.assertIsNone(result.error)
            self.assertEqual(result.rows, rows)
        connection.close()

    def test_4_what_does_not_fit_is_refused(self):
        connection = self.node.connect(timeout=600)
        for sql in ("SELECT length(string_agg(v, '')) FROM big", "SELECT array_agg(a) FROM big b1, (VALUES (1), (2), (3)) t",
                    "SELECT length(repeat('x', 500000000))", "SELECT jsonb_agg(b) FROM (SELECT a, v FROM big) b"):
            result = connection.simple(sql)[-1]
            self.assertIn((result.error or {}).get("C"), ("53200", "54000", "0A000"), f"{sql}: {result.error}")
            self.assertEqual(self.ask("SELECT 1", connection), [["1"]])
        connection.close()


def add_options(parser):
    parser.add_argument("--limited", action="store_true", help="what needs minutes, and nothing else")


def choose_tests():
    if own_node.options.limited and not own_node.options.tests:
        own_node.options.tests = ["Limited"]


if __name__ == "__main__":
    own_node.main(add_options, choose_tests)
