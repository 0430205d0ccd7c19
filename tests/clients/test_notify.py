#!/usr/bin/env python3
"""LISTEN and NOTIFY: who hears what, when, and in which order."""

import unittest

import target
from listener import Listener
from wire import cstring, message


class Notify(unittest.TestCase):
    maxDiff = None

    def connect(self, database="notify_tests"):
        server = target.server
        connection = Listener(server.host, server.port, server.user, server.password, database, 30)
        self.addCleanup(connection.close)
        return connection

    def setUp(self):
        self.one, self.two = self.connect(), self.connect()

    def ask(self, connection, *statements, extended=False):
        for sql in statements:
            results = connection.extended(sql) if extended else connection.simple(sql)
            for result in results:
                self.assertIsNone(result.error, sql)
        return results[-1]

    def refused(self, connection, sql, code, words):
        error = connection.simple(sql)[-1].error
        self.assertEqual((error["C"], error["M"]), (code, words))

    def heard_by(self, connection):
        connection.simple("SELECT 1")
        return [(channel, payload) for _, channel, payload in connection.take()]

    def test_tags_and_extended_protocol(self):
        for extended in (False, True):
            self.assertEqual(self.ask(self.one, "LISTEN a", extended=extended).tag, "LISTEN")
            self.assertEqual(self.ask(self.two, "NOTIFY a, 'x'", extended=extended).tag, "NOTIFY")
            self.assertEqual(self.one.wait(1), [(self.two.backend_pid, "a", "x")])
            self.assertEqual(self.ask(self.one, "UNLISTEN a", extended=extended).tag, "UNLISTEN")

    def test_own_notifications_come_with_the_answer(self):
        self.ask(self.one, "LISTEN a")
        for extended in (False, True):
            self.ask(self.one, "NOTIFY a", extended=extended)
            self.assertEqual(self.one.take(), [(self.one.backend_pid, "a", "")])

    def test_listen_and_notify_in_one_transaction(self):
        self.ask(self.one, "BEGIN", "LISTEN a", "NOTIFY a, 'in'", "COMMIT")
        self.assertEqual([p for _, _, p in self.one.take()], ["in"])
        self.ask(self.one, "UNLISTEN a; NOTIFY a")
        self.assertTrue(self.one.hears_nothing())

    def test_nobody_hears_before_the_commit(self):
        self.ask(self.one, "LISTEN a")
        self.ask(self.two, "BEGIN", "NOTIFY a, 'late'")
        self.assertTrue(self.one.hears_nothing())
        self.ask(self.two, "COMMIT")
        self.assertEqual(self.one.wait(1), [(self.two.backend_pid, "a", "late")])

    def test_a_rolled_back_transaction_says_nothing(self):
        self.ask(self.one, "LISTEN a")
        self.ask(self.two, "BEGIN", "NOTIFY a", "ROLLBACK", "BEGIN", "NOTIFY a")
        self.refused(self.two, "SELECT 1/0", "22012", "division by zero")
        self.refused(self.two, "NOTIFY a", "25P02",
                     "current transaction is aborted, commands ignored until end of transaction block")
        self.ask(self.two, "COMMIT")
        self.two.simple("NOTIFY a; SELECT 1/0")
        self.assertTrue(self.one.hears_nothing())
        self.ask(self.one, "BEGIN", "LISTEN b", "ROLLBACK")
        self.ask(self.two, "NOTIFY b", "NOTIFY a, 'end'")
        self.assertEqual([p for _, _, p in self.one.wait(1)], ["end"])

    def test_savepoints(self):
        self.ask(self.one, "LISTEN a")
        self.ask(self.two, "BEGIN", "NOTIFY a, '1'", "SAVEPOINT s", "NOTIFY a, '2'", "ROLLBACK TO s", "NOTIFY a, '3'",
                 "SAVEPOINT t", "NOTIFY a, '2'", "RELEASE t", "COMMIT")
        self.assertEqual([p for _, _, p in self.one.wait(3)], ["1", "3", "2"])
        self.ask(self.one, "BEGIN", "SAVEPOINT s", "LISTEN b", "ROLLBACK TO s", "LISTEN c", "COMMIT")
        self.assertEqual(self.ask(self.one, "SELECT * FROM pg_listening_channels() ORDER BY 1").rows, [["a"], ["c"]])

    def test_duplicates_of_a_transaction_count_once(self):
        self.ask(self.one, "LISTEN a", "LISTEN b", "LISTEN a")
        self.ask(self.two, "BEGIN", "NOTIFY a, 'x'", "NOTIFY b, 'x'", "NOTIFY a, 'x'", "NOTIFY a", "NOTIFY a", "COMMIT")
        self.assertEqual([(c, p) for _, c, p in self.one.wait(3)], [("a", "x"), ("b", "x"), ("a", "")])
        self.ask(self.two, "NOTIFY a, 'x'", "NOTIFY a, 'x'")
        self.assertEqual([p for _, _, p in self.one.wait(2)], ["x", "x"])

    def test_a_listener_in_a_transaction_hears_at_its_end(self):
        self.ask(self.one, "LISTEN a", "BEGIN")
        self.ask(self.two, "NOTIFY a, '1'", "NOTIFY a, '2'")
        self.assertTrue(self.one.hears_nothing())
        self.one.simple("SELECT 1/0")
        self.assertTrue(self.one.hears_nothing())
        self.ask(self.one, "ROLLBACK")
        heard = self.one.take() or self.one.wait(2)
        self.assertEqual([p for _, _, p in heard], ["1", "2"])

    def test_unlisten(self):
        self.ask(self.one, "LISTEN a", "LISTEN b", "LISTEN c", "UNLISTEN b", "UNLISTEN nobody")
        self.assertEqual(self.ask(self.one, "SELECT pg_listening_channels() AS c ORDER BY c").rows, [["a"], ["c"]])
        self.ask(self.one, "BEGIN", "UNLISTEN *")
        self.assertEqual(len(self.ask(self.one, "SELECT * FROM pg_listening_channels()").rows), 2)
        self.ask(self.one, "COMMIT")
        self.assertEqual(self.ask(self.one, "SELECT * FROM pg_listening_channels()").rows, [])
        self.ask(self.one, "LISTEN a", "DISCARD ALL")
        self.ask(self.two, "NOTIFY a")
        self.assertTrue(self.one.hears_nothing())

    def test_what_waits_is_not_heard_after_unlisten(self):
        self.ask(self.one, "LISTEN a", "BEGIN")
        self.ask(self.two, "NOTIFY a")
        self.ask(self.one, "UNLISTEN a", "COMMIT")
        self.assertTrue(self.one.hears_nothing())

    def test_pg_notify(self):
        self.ask(self.one, 'LISTEN "Mixed case"', "LISTEN a")
        self.assertEqual(self.ask(self.two, "SELECT pg_notify('Mixed case', 'p')").rows, [[""]])
        self.ask(self.two, "SELECT pg_notify('a', n::text) FROM generate_series(1, 3) n", "SELECT pg_notify('a', NULL)")
        self.assertEqual([(c, p) for _, c, p in self.one.wait(5)],
                         [("Mixed case", "p"), ("a", "1"), ("a", "2"), ("a", "3"), ("a", "")])

    def test_limits(self):
        self.refused(self.one, "SELECT pg_notify('', 'x')", "22023", "channel name cannot be empty")
        self.refused(self.one, "SELECT pg_notify(NULL, 'x')", "22023", "channel name cannot be empty")
        self.refused(self.one, "SELECT pg_notify(repeat('c', 64), 'x')", "22023", "channel name too long")
        self.refused(self.one, "SELECT pg_notify('a', repeat('x', 8000))", "22023", "payload string too long")
        self.refused(self.one, f"NOTIFY a, '{'x' * 8000}'", "22023", "payload string too long")
        channel = "c" * 63
        self.ask(self.one, f"LISTEN {channel}")
        self.ask(self.two, f"SELECT pg_notify('{channel}', repeat('x', 7999))")
        self.assertEqual(self.one.wait(1), [(self.two.backend_pid, channel, "x" * 7999)])
        self.ask(self.two, f"NOTIFY {channel}cut, 'y'")  # names are cut at 63 bytes
        self.assertEqual(self.one.wait(1)[0][1:], (channel, "y"))
        self.assertEqual(self.ask(self.one, "SELECT pg_notification_queue_usage()").rows, [["0"]])

    def test_every_listener_hears_and_other_databases_do_not(self):
        others = [self.connect() for _ in range(5)]
        foreign = self.connect("notify_other")
        for connection in [self.one, *others, foreign]:
            self.ask(connection, "LISTEN a")
        self.ask(self.two, "NOTIFY a, 'all'")
        for connection in [self.one, *others]:
            self.assertEqual([p for _, _, p in connection.wait(1)], ["all"])
        self.assertTrue(foreign.hears_nothing())

    def test_commits_are_heard_in_their_order(self):
        self.ask(self.two, "DROP TABLE IF EXISTS counter", "CREATE TABLE counter (n int)", "INSERT INTO counter VALUES (0)")
        self.ask(self.one, "LISTEN a")
        senders = [self.connect() for _ in range(4)]
        for _ in range(10):
            for sender in senders:
                sender.send(message(b"Q", cstring("UPDATE counter SET n = n + 1 RETURNING pg_notify('a', n::text)")))
            for sender in senders:
                self.assertIsNone(sender._results(None)[-1].error)  # pylint: disable=protected-access
        self.assertEqual([int(p) for _, _, p in self.one.wait(40)], list(range(1, 41)))

    def test_a_notified_row_is_visible(self):
        self.ask(self.two, "DROP TABLE IF EXISTS seen", "CREATE TABLE seen (n int PRIMARY KEY)")
        self.ask(self.one, "LISTEN a")
        for n in range(50):
            self.ask(self.two, f"BEGIN; INSERT INTO seen VALUES ({n}); NOTIFY a, '{n}'; COMMIT")
            self.assertEqual([p for _, _, p in self.one.wait(1)], [str(n)])
            self.assertEqual(self.ask(self.one, f"SELECT n FROM seen WHERE n = {n}").rows, [[str(n)]])

    def test_read_only_transactions_notify(self):
        self.ask(self.one, "LISTEN a")
        self.ask(self.two, "BEGIN READ ONLY", "NOTIFY a, 'ro'", "COMMIT")
        self.assertEqual([p for _, _, p in self.one.wait(1)], ["ro"])

    def test_many(self):
        self.ask(self.one, "LISTEN a")
        self.ask(self.two, "SELECT count(*) FROM (SELECT pg_notify('a', n::text || repeat('x', 100)) "
                           "FROM generate_series(1, 20000) n) t")
        heard = self.one.wait(20000)
        self.assertEqual([int(p.rstrip("x")) for _, _, p in heard], list(range(1, 20001)))

    def test_between_messages_of_a_pipeline_nothing_is_heard(self):
        self.ask(self.one, "LISTEN a")
        self.one.send(message(b"P", b"\0SELECT 1\0\0\0") + message(b"B", b"\0\0\0\0\0\0\0\0")
                      + message(b"E", b"\0\0\0\0\0") + message(b"H"))
        while self.one.receive()[0] != b"C":
            pass
        self.ask(self.two, "NOTIFY a, 'x'")
        self.assertEqual(self.one.heard, [])
        self.one.send(message(b"S"))
        while self.one.receive()[0] != b"Z":
            pass
        heard = self.one.take() or self.one.wait(1)
        self.assertEqual([p for _, _, p in heard], ["x"])

    def test_psql_shows_them(self):
        done = target.run(["psql", "-X", "-At", "-c", "LISTEN a", "-c", "NOTIFY a, 'hello'"], "notify_tests")
        self.assertRegex(done.stdout, 'LISTEN\nNOTIFY\nAsynchronous notification "a" with payload "hello" received from '
                                      r"server process with PID \d+\.\n")


def setUpModule():
    target.fresh_database("notify_tests")
    target.fresh_database("notify_other")


if __name__ == "__main__":
    target.main()
