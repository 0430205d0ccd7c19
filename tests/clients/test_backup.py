#!/usr/bin/env python3
"""bop backup and bop restore as programs, with pgbench running, and with backup and node killed in the middle.

For BOP only. The tables of pgbench carry their own proof: four sums that every state has equal.
"""

import json
import os
import random
import re
import subprocess

import own_node
from own_node import bop

SUMS = ("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches), "
        "(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)")


class Backup(own_node.NodeCase):
    def setUp(self):
        self.folder = self.make_folder("backup")
        self.node = self.make_node(self.path("data"), ["--segment-size", "4MB"])
        self.traffic = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def start_pgbench(self, seconds, scale=1):
        self.node.start()
        done = subprocess.run(["pgbench", "-i", "-q", "-s", str(scale)], env=self.node.environment("bop"), capture_output=True,
                              text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.run_pgbench(seconds)

    def run_pgbench(self, seconds):
        self.traffic = subprocess.Popen(["pgbench", "-n", "-c", "4", "-j", "2", "-T", str(seconds)], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=self.node.environment("bop"), text=True)
        self.addCleanup(self.end_traffic)

    def end_traffic(self):
        if self.traffic is None:
            return ""
        self.traffic.kill()
        text, _ = self.traffic.communicate()
        self.traffic = None
        return text

    def wait_for_commits(self, count):
        """Until pgbench has made so many more."""
        connection = self.node.connect()

        def csn():
            return int(self.ask("SELECT bop_current_csn()", connection)[0][0])

        wanted = csn() + count
        self.wait_until(lambda: csn() >= wanted, "pgbench does not commit", between=0.002)
        connection.close()

    def wait_for_bytes(self, folder, count, process):
        """Until the backup there has so many, or is done."""
        def size_of(path):
            try:
                return os.path.getsize(path)
            except FileNotFoundError:  # renamed since
                return 0

        def there():
            sizes = [size_of(os.path.join(top, name)) for top, _, names in os.walk(folder) for name in names]
            return sum(sizes) >= count or process.poll() is not None

        self.wait_until(there, "the backup does not grow", between=0.002)

    def back_up(self, name="backup", *arguments):
        done = bop("backup", self.path(name), "--data-dir", self.node.directory, "--format", "json", *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def restore(self, name, *arguments, backup="backup"):
        done = bop("restore", self.path(backup), "--data-dir", self.path(name), "--format", "json", *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def refused(self, code, text, *arguments):
        done = bop(*arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertRegex(done.stdout + done.stderr, text)

    def restored_node(self, name):
        node = self.make_node(self.path(name))
        node.start()
        return node

    def check_restored(self, name):
        """Starts a node there; its number of transactions and its CSN."""
        node = self.restored_node(name)
        sums = self.ask(SUMS, node=node)[0]
        self.assertEqual(len(set(sums)), 1, sums)
        state = self.ask("SELECT count(*), max(mtime), bop_current_csn() FROM pgbench_history", node=node)[0]
        # It goes on as a node of its own, also after a crash.
        self.ask("CREATE TABLE after_restore (a int)", node=node)
        self.ask("INSERT INTO after_restore VALUES (1)", node=node)
        node.kill()
        node.start()
        self.assertEqual(self.ask("SELECT a FROM after_restore", node=node), [["1"]])
        node.stop()
        return int(state[0]), state[1], int(state[2])

    def test_to_the_end_to_a_csn_and_to_a_time_while_pgbench_runs(self):
        self.start_pgbench(60)
        self.wait_for_commits(300)
        first = self.back_up()
        self.assertEqual((first["kind"], first["verified"]), ("new", True))
        self.wait_for_commits(300)
        middle = self.back_up()
        self.assertEqual(middle["kind"], "extended")
        self.wait_for_commits(300)
        stamp = self.ask("SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.US')")[0][0] + "Z"
        self.wait_for_commits(300)
        self.assertNotIn("ERROR", self.end_traffic())
        last = self.back_up()
        self.assertEqual((last["kind"], last["consistent_csn"]), ("extended", first["consistent_csn"]))
        now = self.ask("SELECT count(*) FROM pgbench_history")[0][0]

        self.restore("end")
        at_end = self.check_restored("end")
        self.assertEqual(at_end[0], int(now))
        at_csn = self.restore("csn", "--to", str(middle["end_csn"]))
        self.assertEqual(at_csn["csn"], middle["end_csn"])
        count, _, csn = self.check_restored("csn")
        self.assertLessEqual(csn, middle["end_csn"])
        at_time = self.restore("time", "--to", stamp)
        between = self.check_restored("time")
        self.assertLess(between[1], stamp)
        self.assertLess(middle["end_csn"], at_time["csn"])
        self.assertLess(at_time["csn"], last["end_csn"])
        self.assertTrue(count < between[0] < at_end[0], (count, between[0], at_end[0]))
        self.restore("first", "--to", str(first["consistent_csn"]))
        self.assertLess(self.check_restored("first")[0], count)

    def test_backup_killed_in_the_middle_is_gone_on_with(self):
        self.start_pgbench(40, scale=4)
        killed = 0
        for attempt in range(30):
            process = subprocess.Popen([own_node.options.bop, "backup", self.path("backup"), "--data-dir", self.node.directory],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.wait_for_bytes(self.path("backup"), random.randrange(1, 20_000_000), process)
            process.kill()
            _, errors = process.communicate()
            if process.returncode == 0:
                break
            self.assertEqual(errors, b"")
            killed += 1
            if attempt > 8:
                break
        done = self.back_up()
        self.assertTrue(done["verified"])
        self.assertGreater(killed, 0)
        self.end_traffic()
        self.restore("end")
        self.check_restored("end")

    def test_node_killed_in_the_middle(self):
        for number in range(3):
            if number == 0:
                self.start_pgbench(60, scale=2)
            else:
                self.run_pgbench(60)
            self.wait_for_commits(300)
            name = f"backup{number}"
            process = subprocess.Popen([own_node.options.bop, "backup", self.path(name), "--data-dir", self.node.directory],
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.wait_for_bytes(self.path(name), random.randrange(1, 15_000_000), process)
            self.node.kill()
            self.end_traffic()
            self.node.start()
            text, _ = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, text)
            self.assertIn(self.back_up(name)["kind"], ("extended",))
            self.restore(f"end{number}", backup=name)
            count, _, _ = self.check_restored(f"end{number}")
            self.assertEqual(str(count), self.ask("SELECT count(*) FROM pgbench_history")[0][0])

    def test_of_a_node_at_rest_with_several_databases_and_roles(self):
        self.node.start()
        self.ask("CREATE DATABASE other")
        self.ask("CREATE ROLE reader LOGIN PASSWORD 'x'")
        self.ask("CREATE SEQUENCE s")
        before = int(self.ask("SELECT nextval('s')")[0][0])
        self.node.stop()
        report = self.back_up()
        self.assertEqual(report["databases"], 3)
        self.restore("copy")
        node = self.restored_node("copy")
        self.assertEqual(self.ask("SELECT count(*) FROM pg_database WHERE datname = 'other'", node=node), [["1"]])
        self.assertEqual(self.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'reader'", node=node), [["1"]])
        self.assertGreater(int(self.ask("SELECT nextval('s')", node=node)[0][0]), before)
        self.assertEqual(node.password, self.node.password)

    def test_databases_made_and_dropped_meanwhile(self):
        self.node.start()
        self.ask("CREATE DATABASE gone")
        first = self.back_up()
        self.ask("DROP DATABASE gone")
        self.ask("CREATE DATABASE made")
        self.back_up()
        names = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE datname IN ('gone', 'made')"
        self.restore("end")
        self.assertEqual(self.ask(names, node=self.restored_node("end")), [["made"]])
        self.restore("first", "--to", str(first["end_csn"]))
        self.assertEqual(self.ask(names, node=self.restored_node("first")), [["gone"]])

    def test_what_is_refused_and_how(self):
        self.node.start()
        data, backup = self.node.directory, self.path("backup")
        self.refused(2, "is no data directory of a node", "backup", backup, "--data-dir", self.path("nowhere"))
        self.refused(2, "lie in each other", "backup", os.path.join(data, "x"), "--data-dir", data)
        os.mkdir(self.path("other"))
        with open(self.path("other/letter"), "w", encoding="utf-8") as file:
            file.write("dear")
        self.refused(1, r'is not empty \("letter"\) and holds no backup', "backup", self.path("other"), "--data-dir", data)
        self.refused(2, "holds no backup", "restore", self.path("nowhere"), "--data-dir", self.path("new"))
        report = self.back_up()
        self.refused(1, r"data directory .* is not empty .*nothing was changed", "restore", backup, "--data-dir", data)
        self.refused(1, "is not empty", "restore", backup, "--data-dir", self.path("other"))
        for to, text in ((str(report["end_csn"] + 1), "can be restored to a CSN from"), ("1", "can be restored to a CSN from"),
                         ("1999-01-01 00:00", "can be restored to a time from"), ("2999-01-01 00:00", "to a time from"),
                         ("yesterday", "must be a CSN or a time"), ("2026-02-30 10:00", "must be a CSN or a time")):
            self.refused(2, text, "restore", backup, "--data-dir", self.path("new"), "--to", to)
        self.assertFalse(os.path.exists(self.path("new")))
        self.refused(1, "in use|holds no|not empty", "serve", "--data-dir", backup)
        path = os.path.join(backup, "log", sorted(os.listdir(os.path.join(backup, "log")))[-1])
        with open(path, "r+b") as file:
            file.seek(5000)
            byte = file.read(1)
            file.seek(5000)
            file.write(bytes([byte[0] ^ 4]))
        self.refused(1, re.escape(os.path.realpath(path)), "restore", backup, "--data-dir", self.path("new"))
        failed = bop("restore", backup, "--data-dir", self.path("new"), "--format", "json")
        self.assertEqual(json.loads(failed.stdout)["sqlstate"], "XX001")

    def verify(self, *arguments, code=0):
        done = bop("verify", "--format", "json", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def flip(self, path, offset):
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 16]))

    def test_damage_is_named_refused_and_repaired(self):
        self.node.flags = ["--segment-size", "4MB", "--log-retain", "64MB"]
        self.start_pgbench(60)
        self.wait_for_commits(300)
        running = self.verify(self.node.directory)
        self.assertEqual((running["status"], running["kind"]), ("sound", "data directory"))
        self.back_up()
        self.end_traffic()
        self.ask("CHECKPOINT")
        self.back_up()
        sums = self.ask(SUMS)
        self.node.stop()
        self.back_up()  # it reaches to the node's last record
        backup = self.verify(self.path("backup"))
        self.assertEqual((backup["status"], backup["kind"], backup["complete"]), ("sound", "backup", True))
        folders = os.path.join(self.node.directory, "db")
        rows = max((os.path.join(folders, name, "rows.db") for name in os.listdir(folders)), key=os.path.getsize)
        for page in range(2, os.path.getsize(rows) // 4096):
            self.flip(rows, page * 4096 + page % 4000)
        self.refused(1, r"page \d+ of .*rows\.db does not match its checksum(.|\n)*bop verify --repair", "serve", "--data-dir",
                     self.node.directory, "--pg-port", "0", "--http-port", "0")
        for page in range(2, 50):
            self.flip(rows, page * 4096 + page % 4000)
        # Refused with its name, by the node and by verify.
        self.node.start()
        connection = self.node.connect()
        for route in ("sqlite", "duckdb"):
            connection.simple(f"SET bop.route = {route}")
            error = connection.simple("SELECT bid, sum(abalance) FROM pgbench_accounts GROUP BY bid")[-1].error
            self.assertEqual(error["C"], "XX001", route)
            self.assertRegex(error["M"], r"page \d+ of .*rows\.db does not match its checksum")
            self.assertIn("bop verify --repair", error["H"])
        connection.close()
        self.refused(1, "a node runs on", "verify", self.node.directory, "--repair")
        self.node.kill()
        found = self.verify(self.node.directory, code=1)
        self.assertGreater(found["damaged"], 0)
        self.assertEqual({finding["kind"] for finding in found["findings"]}, {"page"})
        text = bop("verify", self.node.directory)
        self.assertRegex(text.stdout, r"damaged: page \d+ of .*rows\.db does not match its checksum\n")
        mended = self.verify(self.node.directory, "--repair", "--from", self.path("backup"))
        self.assertEqual((mended["status"], mended["damaged"]), ("sound", 0))
        self.assertGreater(mended["repaired"], 0)
        self.node.start()
        self.assertEqual(self.ask(SUMS), sums)
        self.node.stop()
        self.assertEqual(self.verify(self.node.directory)["findings"], [])
        # The log.
        folder = os.path.join(self.node.directory, "log")
        self.back_up()
        segment = os.path.join(folder, sorted(name for name in os.listdir(folder) if name.endswith(".log"))[0])
        dump = bop("aof", "dump", self.node.directory).stdout.split("segment ")[1]
        offset = re.search(r"offset=(\d+) .* kind=row_commit .*payload=\d{4}", dump)[1]
        self.flip(segment, int(offset) + 500)
        found = self.verify(self.node.directory, code=1)
        self.assertIn(segment, found["findings"][0]["message"])
        self.assertEqual(self.verify(self.node.directory, "--repair", "--from", self.path("backup"))["status"], "sound")
        self.node.start()
        self.assertEqual(self.ask(SUMS), sums)
        self.refused(2, "neither a data directory nor a backup", "verify", self.path("nothing"))
        self.refused(2, "--from is for --repair", "verify", self.node.directory, "--from", self.path("backup"))


if __name__ == "__main__":
    own_node.main()
