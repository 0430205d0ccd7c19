#!/usr/bin/env python3
"""A disk whose writes and syncs fail or stall, under the real program: reads of committed data go on, writes answer 58030,
/health says 503, nothing is tried again and trusted, and a restart recovers.

For BOP only. Two ways: system calls that fail (disk_faults.c; the durable writes by `disk = pwritev`), and a real block
device that fails (a loop device, small_disk.py; skipped where the machine allows none), which reaches io_uring, too.
"""

import os
import select
import threading
import time

import own_node
import servers
import small_disk
import wire
from disk_faults import EIO, DiskFaults
from listener import Listener

MB = 1 << 20
FAILED = "58030"


class Case(own_node.NodeCase):
    flags = ["--disk=pwritev", "--segment-size=1MB", "--trust-loopback=on"]

    def setUp(self):
        self.folder = self.make_folder("disk-faults")
        self.open_disk()
        self.acknowledged = set()
        self.unknown = set()
        self.next = 0

    def open_disk(self):
        """The disk that can fail, and the node over it, not started."""
        self.faults = DiskFaults(self.folder)
        self.node = self.make_node(os.path.join(self.folder, "data"), self.flags)
        self.node.prefix = self.faults.prefix

    def start_with_rows(self):
        self.node.start()
        self.ask("CREATE TABLE t (id int PRIMARY KEY, v text)")
        for _ in range(10):
            self.assertIsNone(self.write())

    def write(self, connection=None, size=100):
        """One row; answers the error code, None when it was acknowledged. A session that ends says nothing of it."""
        number = self.next
        self.next += 1
        own = connection or self.node.connect()
        try:
            error = own.simple(f"INSERT INTO t VALUES ({number}, repeat('x', {size}))")[-1].error
        except wire.WireError:
            self.unknown.add(number)
            return "ended"
        finally:
            if connection is None:
                own.socket.close()
        if error is None:
            self.acknowledged.add(number)
            return None
        if error["S"] == "FATAL":
            self.unknown.add(number)
        return error["C"]

    def rows(self, connection=None):
        return {int(row[0]) for row in self.ask("SELECT id FROM t", connection)}

    def check_rows(self, connection=None):
        rows = self.rows(connection)
        self.assertEqual(self.acknowledged - rows, set(), "acknowledged rows are gone")
        self.assertEqual(rows - self.acknowledged - self.unknown, set(), "there are rows that were refused")

    def check_readable(self, reader):
        for _ in range(10):
            for connection in (reader, None):
                self.assertEqual(self.rows(connection), self.acknowledged, "only what is committed is shown")

    def check_no_writes(self):
        for sql in ("INSERT INTO t VALUES (1000000, 'x')", "BEGIN; UPDATE t SET v = 'y'", "CREATE TABLE u (a int)",
                    "CREATE DATABASE other", "CREATE ROLE somebody"):
            connection = self.node.connect()
            error = connection.simple(sql)[-1].error
            self.assertIsNotNone(error, sql)
            self.assertEqual((error["S"], error["C"]), ("ERROR", FAILED), sql)
            connection.close()
        self.assertEqual(self.health(), 503)

    def check_failed(self, reader):
        """The node can write no more, whatever the disk does from now on."""
        self.check_readable(reader)
        self.check_no_writes()
        self.faults.set()
        self.check_no_writes()
        self.check_readable(reader)

    def check_restart(self):
        self.node.kill()
        self.node.start()
        self.check_rows()
        self.acknowledged = self.rows()
        self.unknown = set()
        for _ in range(5):
            self.assertIsNone(self.write())
        self.check_rows()
        self.assertEqual(self.health(), 200)


class Faults(Case):
    def test_a_failed_write_of_the_log(self):
        self.start_with_rows()
        reader = self.connect()
        self.faults.set(("write", ".log", EIO))
        self.assertIn(self.write(), (FAILED, "ended"))
        self.check_failed(reader)
        self.check_restart()

    def check_failed_checkpoint(self, *rule):
        self.start_with_rows()
        reader = self.connect()
        self.ask("CHECKPOINT")
        self.assertIsNone(self.write())
        self.faults.set(rule)
        error = self.connect().simple("CHECKPOINT")[-1].error
        self.assertEqual(error["C"], FAILED)
        self.check_readable(reader)
        self.assertEqual(self.write(), FAILED)
        self.unknown.clear()
        self.assertEqual(self.health(), 503)
        self.faults.set()
        self.assertEqual(self.write(), FAILED)
        self.assertEqual(self.health(), 503)
        self.check_readable(reader)
        self.check_restart()

    def test_a_failed_sync_of_the_tables(self):
        self.check_failed_checkpoint("sync", "rows.db", EIO)

    def test_a_failed_sync_of_the_manifest(self):
        self.check_failed_checkpoint("sync", "manifest", EIO)

    def test_a_failed_sync_of_a_new_segment(self):
        """Its file holds nothing yet: it is given up, and made anew when writes are asked for again."""
        self.start_with_rows()
        reader = self.connect()
        self.faults.set(("sync", ".log", EIO))
        answers = set()
        for _ in range(300):  # of 20 kB, into segments of 1 MB
            answers.add(self.write(size=20000))
        self.assertEqual(answers, {None, FAILED})
        self.check_readable(reader)
        self.faults.set()
        self.check_restart()

    def test_a_start_whose_sync_fails_is_refused(self):
        self.start_with_rows()
        self.node.kill()
        self.faults.set(("sync", ".log", EIO))
        with self.assertRaises(servers.ServerError) as caught:
            self.node.start()
        self.assertRegex(str(caught.exception), r'bop: cannot sync ".*\.log": Input/output error')
        self.faults.set()
        self.node.start()
        self.check_rows()

    def test_a_stalled_disk_holds_answers_and_nothing_else(self):
        self.start_with_rows()
        reader = self.connect()
        self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ", reader)
        self.check_rows(reader)
        self.faults.set(("write", ".log", "stall"))
        seen = []
        # Who reads the newest state is shown the commit, and so waits with it.
        waiting = [threading.Thread(target=self.write), threading.Thread(target=lambda: seen.append(self.rows()))]
        waiting[0].start()
        self.wait_until(lambda: self.metric("bop_log_unacknowledged_bytes") > 0, "nothing is written")
        waiting[1].start()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            self.check_rows(reader)
            self.assertEqual(self.health(), 200)
        self.assertTrue(all(thread.is_alive() for thread in waiting), "an answer came before the write")
        self.faults.set()
        for thread in waiting:
            thread.join(own_node.PATIENCE)
        self.assertEqual(len(self.acknowledged), 11)
        self.assertEqual(seen, [self.acknowledged])

    def listener(self):
        node = self.node
        session = Listener(node.host, node.port, node.user, node.password, node.database)
        self.addCleanup(session.socket.close)
        return session

    def test_a_stalled_disk_holds_notifications_and_nobody_else_of_their_reactor(self):
        self.node.flags = [*self.flags, "--reactors=1"]
        self.start_with_rows()
        reader, *senders = (self.connect() for _ in range(4))
        listener, in_block, late, leaving = (self.listener() for _ in range(4))
        self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ", reader)
        self.check_rows(reader)
        self.ask("LISTEN news", listener)
        self.ask("LISTEN news", leaving)
        self.ask("LISTEN news", in_block)
        self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ", in_block)
        self.check_rows(in_block)
        self.faults.set(("write", ".log", "stall"))
        waiting = []

        def commit_in_a_thread(sender, sql):
            before = self.metric("bop_notifications_total")
            waiting.append(threading.Thread(target=self.ask, args=(sql, sender)))
            waiting[-1].start()
            self.wait_until(lambda: self.metric("bop_notifications_total") > before, f"{sql} is not committed")

        commit_in_a_thread(senders[0], "BEGIN; UPDATE t SET v = 'y' WHERE id = 0; NOTIFY news, 'one'; COMMIT")
        # What has nothing in the log and has read nothing is answered; who listens hears it in its turn.
        self.ask("NOTIFY news, 'two'", senders[1])
        self.ask("LISTEN news", late)
        self.ask("UNLISTEN news", leaving)
        commit_in_a_thread(senders[2], "UPDATE t SET v = 'z' WHERE id = 1; NOTIFY news, 'three'")
        until = time.monotonic() + 1
        while time.monotonic() < until:
            for session in (reader, in_block):
                self.assertEqual(self.rows(session), self.acknowledged)
            self.assertEqual(self.health(), 200)
        self.assertTrue(all(thread.is_alive() for thread in waiting), "an answer came before the write")
        self.assertEqual(select.select([listener.socket], [], [], 0)[0], [], "it heard of what is not durable")
        self.assertEqual(in_block.heard, [])
        self.faults.set()
        for thread in waiting:
            thread.join(own_node.PATIENCE)
            self.assertFalse(thread.is_alive())
        self.ask("COMMIT", in_block)
        for session in (listener, in_block):
            self.assertEqual([text for _, _, text in session.wait(3)], ["one", "two", "three"])
        self.assertEqual([text for _, _, text in late.wait(1)], ["three"])
        self.assertTrue(leaving.hears_nothing())


class BrokenDevice(Case):
    """The same of a device that answers nothing any more, until somebody repairs it."""

    disk_kind = "pwritev"

    def open_disk(self):
        try:
            self.disk = small_disk.open_disk(128 * MB, ("loop",))
        except small_disk.Unavailable as why:
            self.skipTest(f"this machine allows no loop device: {why}")
        self.addCleanup(self.disk.close)
        flags = [f"--disk={self.disk_kind}", "--segment-size=8MB", "--ballast-bytes=0"]
        self.node = self.make_node(os.path.join(self.disk.path, "data"), flags)
        self.node.log = os.path.join(self.folder, "node.log")
        try:
            self.node.start()
        except servers.ServerError as why:
            if self.disk_kind == "io_uring" and "io_uring" in str(why):
                self.skipTest(f"this machine allows no io_uring: {why}")
            raise
        self.node.stop_keeping()

    def check_device(self):
        self.start_with_rows()
        reader = self.connect()
        self.check_rows(reader)
        self.disk.break_device()
        self.assertIn(self.write(), (FAILED, "ended"))
        self.check_readable(reader)
        self.check_no_writes()
        self.node.kill()
        self.disk.repair_device()
        self.node.start()
        self.check_rows()
        self.assertIsNone(self.write())
        self.assertEqual(self.health(), 200)

    def test_a_failed_write_of_the_log(self):
        self.check_device()


class BrokenDeviceUnderIoUring(BrokenDevice):
    disk_kind = "io_uring"


if __name__ == "__main__":
    own_node.main()
