#!/usr/bin/env python3
"""A disk that is full for real: at zero bytes free reads, checkpoints, trims and restarts work, writes answer 53100 and go
on by themselves when space is back.

For BOP only, on a small file system of its own (small_disk.py); skipped, with the reasons, where the machine allows none.
`--kind` chooses one.
"""

import os
import sys

import own_node
import servers
import small_disk

SKIPPED = 77
MB = 1 << 20


def kinds():
    return (own_node.options.kind,) if own_node.options.kind else small_disk.KINDS


class DiskFull(own_node.NodeCase):
    size = 96 * MB
    flags = ["--segment-size=4MB", "--ballast-bytes=6MB", "--disk=pwritev"]

    def setUp(self):
        self.disk = small_disk.open_disk(self.size, kinds())
        self.addCleanup(self.disk.close)
        self.data = os.path.join(self.disk.path, "data")
        outside = self.make_folder("disk-full")
        self.node = self.make_node(self.data, self.flags)
        self.node.log = os.path.join(outside, "node.log")
        self.acknowledged = 0
        self.next = 0

    def start_with_rows(self):
        self.node.start()
        self.ask("CREATE TABLE t (id int PRIMARY KEY, v text)")
        self.ask("CREATE TABLE counter (n int)")
        self.ask("INSERT INTO counter VALUES (0)")
        for _ in range(20):
            self.assertIsNone(self.write())

    def write(self, connection=None, size=2000):
        """One row; answers the error code, None when it was acknowledged."""
        own = connection or self.node.connect()
        error = own.simple(f"INSERT INTO t VALUES ({self.next}, repeat('{self.next % 10}', {size}))")[-1].error
        self.next += 1
        if error is None:
            self.acknowledged += 1
        if connection is None:
            own.close()
        return error and error["C"]

    def write_until(self, wanted, connection=None, keep_full=False):
        """Writes until the answer is `wanted`; other answers may only be None and 53100."""
        def answered():
            if keep_full:
                self.disk.fill()
            seen = self.write(connection)
            self.assertIn(seen, (None, "53100"))
            return seen == wanted

        self.wait_until(answered, f"the answer is never {wanted}", between=0)

    def check_rows(self, connection=None):
        """All that was acknowledged is there, nothing that was refused."""
        self.assertEqual(self.ask("SELECT count(*), coalesce(sum(length(v)), 0) FROM t", connection),
                         [[str(self.acknowledged), str(self.acknowledged * 2000)]])
        self.assertEqual(self.ask("SELECT v FROM t WHERE id = 7", connection), [["7" * 2000]])

    def ballast(self):
        try:
            return os.path.getsize(os.path.join(self.data, "log", "ballast"))
        except FileNotFoundError:
            return None

    def wait_for_ballast(self, size):
        self.wait_until(lambda: self.ballast() == size, f"the ballast does not become {size}")

    def segments(self):
        return sorted(name for name in os.listdir(os.path.join(self.data, "log")) if name.endswith(".log"))

    def test_writes_are_refused_and_go_on_by_themselves(self):
        self.start_with_rows()
        reader, writer = self.connect(), self.connect()
        self.check_rows(reader)
        filler = self.disk.fill()
        # What the node gives back is taken, too: the disk is and stays full.
        self.write_until("53100", writer, keep_full=True)
        self.disk.fill()
        self.assertLess(self.disk.free_bytes(), 4096)
        for _ in range(20):
            self.check_rows(reader)
            self.check_rows()
        self.assertEqual(self.write(writer), "53100")
        self.assertEqual(self.ask("SELECT count(*) FROM t a JOIN t b USING (id)", reader), [[str(self.acknowledged)]])
        self.assertEqual(self.health(), 200)
        self.assertGreater(self.metric("bop_disk_full_total") + self.metric("bop_room_refused_total"), 0)
        os.unlink(filler)
        self.write_until(None, writer)  # the same session, the same process
        for _ in range(50):
            self.assertIsNone(self.write(writer))
        self.check_rows(reader)
        self.wait_for_ballast(6 * MB)

    def test_restarts_work_with_no_byte_free(self):
        self.start_with_rows()
        for end in ("kill", "stop", "kill"):
            filler = self.disk.fill()
            self.write_until("53100", keep_full=True)
            self.disk.fill()
            getattr(self.node, end)()
            self.disk.fill()
            self.node.owned = False
            self.assertLess(self.disk.free_bytes(), 4096)
            self.node.start()
            self.disk.fill()
            self.check_rows()
            self.write_until("53100", keep_full=True)
            self.check_rows()
            os.unlink(filler)
            self.write_until(None)
            self.check_rows()

    def test_the_log_is_trimmed_with_no_byte_free(self):
        self.node.flags = ["--segment-size=1MB", "--ballast-bytes=1MB", "--log-limit=1GB", "--log-retain=1GB"]
        self.start_with_rows()
        while len(self.segments()) < 8:
            self.assertIsNone(self.write())
        oldest = self.segments()[0]
        self.disk.fill()
        self.write_until("53100", keep_full=True)

        def trimmed():
            self.disk.fill()
            self.write()
            return oldest not in self.segments()

        self.wait_until(trimmed, "the log is not trimmed", between=0)
        self.check_rows()
        self.write_until(None)  # in what the trim has given back
        self.check_rows()
        self.node.kill()
        self.node.start()
        self.check_rows()

    def test_the_rows_of_the_log_have_room_although_others_take_all(self):
        """Much is in the log and not in the tables' files, when the room for it goes to somebody else."""
        self.node.flags = ["--segment-size=4MB", "--ballast-bytes=24MB", "--log-limit=1GB"]
        self.start_with_rows()
        self.wait_for_ballast(24 * MB)
        self.ask("CHECKPOINT")
        writer = self.connect()
        for _ in range(3000):
            self.assertIsNone(self.write(writer))
        self.node.kill()
        self.disk.fill()
        self.assertLess(self.disk.free_bytes(), 4096)
        self.node.start()
        self.check_rows()

    def test_the_ballast_is_the_setting(self):
        for size in ("6MB", "2MB", "8MB", "0"):
            self.node.flags = ["--segment-size=4MB", f"--ballast-bytes={size}"]
            self.node.start()
            self.wait_for_ballast(int(size.rstrip("MB")) * MB or None)
            self.node.stop()

    def test_a_first_start_without_room_says_so(self):
        self.disk.fill()
        with self.assertRaises(servers.ServerError) as caught:
            self.node.start()
        self.assertRegex(str(caught.exception), r"No space left|no room")


def add_options(parser):
    parser.add_argument("--kind", choices=small_disk.KINDS, help="of file system; else the first that can be had")


def check_machine():
    try:
        disk = small_disk.open_disk(8 * MB, kinds())
    except small_disk.Unavailable as why:
        print(f"skipped: this machine allows no small file system: {why}")
        sys.exit(SKIPPED)
    print(f"on a small file system: {disk.kind}", flush=True)
    disk.close()


if __name__ == "__main__":
    own_node.main(add_options, check_machine)
