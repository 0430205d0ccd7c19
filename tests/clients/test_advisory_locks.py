"""pg_advisory_lock and its like between connections: who waits, who goes on, what ends them."""

import threading
import time
import unittest

import target


class AdvisoryLocks(unittest.TestCase):
    def setUp(self):
        self.a, self.b, self.c = (target.server.connect() for _ in range(3))

    def tearDown(self):
        for connection in (self.a, self.b, self.c):
            connection.close()

    def one(self, connection, sql):
        result = connection.simple(sql)[-1]
        if result.error:
            return result.error["C"]
        return result.rows[0][0] if result.rows else None

    def waits(self, sql):
        """Runs `sql` on b in a thread; returns once it is seen to wait."""
        out = []
        thread = threading.Thread(target=lambda: out.append(self.one(self.b, sql)))
        thread.start()
        deadline = time.monotonic() + 20
        while self.one(self.c, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != "1":
            self.assertLess(time.monotonic(), deadline, "nobody waits")
            self.assertTrue(thread.is_alive(), out)
            time.sleep(0.01)

        def end():
            thread.join(20)
            self.assertFalse(thread.is_alive())
            return out[0]
        return end

    def test_exclusive_and_shared(self):
        self.assertEqual(self.one(self.a, "SELECT pg_try_advisory_lock(7)"), "t")
        self.assertEqual(self.one(self.a, "SELECT pg_try_advisory_lock(7)"), "t")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock(7)"), "f")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock_shared(7)"), "f")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock(0, 7)"), "t")
        self.assertEqual(self.one(self.b, "SELECT pg_advisory_unlock(0, 7)"), "t")
        self.assertEqual(self.one(self.b, "SELECT pg_advisory_unlock(7)"), "f")
        self.assertEqual(self.one(self.a, "SELECT pg_advisory_unlock(7)"), "t")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock(7)"), "f")
        self.assertEqual(self.one(self.a, "SELECT pg_advisory_unlock(7)"), "t")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock_shared(7)"), "t")
        self.assertEqual(self.one(self.a, "SELECT pg_try_advisory_lock_shared(7)"), "t")
        self.assertEqual(self.one(self.c, "SELECT pg_try_advisory_lock(7)"), "f")

    def test_who_waits_goes_on(self):
        self.one(self.a, "SELECT pg_advisory_lock(-5)")
        end = self.waits("SELECT pg_advisory_lock(-5)")
        self.assertEqual(self.one(self.a, "SELECT pg_advisory_unlock(-5)"), "t")
        self.assertEqual(end(), "")
        self.assertEqual(self.one(self.a, "SELECT pg_try_advisory_lock(-5)"), "f")

    def test_shared_does_not_pass_a_waiting_exclusive(self):
        self.one(self.a, "SELECT pg_advisory_lock_shared(9)")
        end = self.waits("SELECT pg_advisory_lock(9)")
        self.assertEqual(self.one(self.c, "SELECT pg_try_advisory_lock_shared(9)"), "f")
        self.assertEqual(self.one(self.a, "SELECT pg_try_advisory_lock_shared(9)"), "t")
        self.one(self.a, "SELECT pg_advisory_unlock_all()")
        self.assertEqual(end(), "")

    def test_of_a_transaction(self):
        self.one(self.a, "BEGIN")
        self.one(self.a, "SELECT pg_advisory_xact_lock(1)")
        self.one(self.a, "SAVEPOINT s")
        self.one(self.a, "SELECT pg_advisory_xact_lock(2)")
        self.assertEqual(self.one(self.a, "SELECT pg_advisory_unlock(1)"), "f")
        self.one(self.a, "ROLLBACK TO s")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock(1)"), "f")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock(2)"), "t")
        self.one(self.a, "COMMIT")
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock(1)"), "t")
        self.one(self.a, "SELECT pg_advisory_xact_lock(3)")  # its own transaction has ended
        self.assertEqual(self.one(self.b, "SELECT pg_try_advisory_lock(3)"), "t")

    def test_the_end_of_a_session_and_discard(self):
        self.one(self.a, "SELECT pg_advisory_lock(4)")
        end = self.waits("SELECT pg_advisory_lock(4)")
        self.a.close()
        self.assertEqual(end(), "")
        self.one(self.b, "DISCARD ALL")
        self.assertEqual(self.one(self.c, "SELECT pg_try_advisory_lock(4)"), "t")

    def test_time_limits_and_deadlocks(self):
        self.one(self.a, "SELECT pg_advisory_lock(6)")
        self.one(self.b, "SET lock_timeout = '50ms'")
        self.assertEqual(self.one(self.b, "SELECT pg_advisory_lock(6)"), "55P03")
        self.one(self.b, "SET lock_timeout = 0")
        self.one(self.b, "SET statement_timeout = '50ms'")
        self.assertEqual(self.one(self.b, "SELECT pg_advisory_lock(6)"), "57014")
        self.one(self.b, "SET statement_timeout = 0")
        self.one(self.b, "SELECT pg_advisory_lock(8)")
        end = self.waits("SELECT pg_advisory_lock(6)")
        out = []
        other = threading.Thread(target=lambda: out.append(self.one(self.a, "SELECT pg_advisory_lock(8)")))
        other.start()
        deadline = time.monotonic() + 20
        while not out and self.one(self.c, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != "1":
            self.assertLess(time.monotonic(), deadline, "no deadlock was found")
            time.sleep(0.01)
        # Either is told; the other one goes on when the locks of that session are released.
        if out:
            self.assertEqual(out, ["40P01"])
            self.one(self.a, "SELECT pg_advisory_unlock_all()")
            self.assertEqual(end(), "")
        else:
            self.assertEqual(end(), "40P01")
            self.one(self.b, "SELECT pg_advisory_unlock_all()")
        other.join(20)
        self.assertFalse(other.is_alive())

    def test_shown(self):
        self.one(self.a, "SELECT pg_advisory_lock_shared(1, 2)")
        shown = self.c.simple("SELECT classid, objid, objsubid, mode, granted FROM pg_locks "
                              "WHERE locktype = 'advisory'")[-1].rows
        self.assertEqual(shown, [["1", "2", "2", "ShareLock", "t"]])


if __name__ == "__main__":
    target.main()
