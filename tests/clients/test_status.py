#!/usr/bin/env python3
"""What the page of a node is made of: /status.json, asked by hand; who may see what; whatever else HTTP is asked.

For BOP only. The page itself is in test_status_page.py.
"""

import contextlib
import http.client
import json
import os
import re
import resource
import socket
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slt"))

# pylint: disable=wrong-import-position
import own_node
import wire

NASTY = "<img src=x onerror=\"window.harmed=1\">"


def own_address():
    """An address of this machine that is not loopback, or None."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        with contextlib.suppress(OSError):
            probe.connect(("192.0.2.1", 9))  # sends nothing
            address = probe.getsockname()[0]
            return None if address.startswith("127.") else address
    return None


class Case(own_node.NodeCase):
    flags = ()

    def setUp(self):
        self.node = self.make_node(os.path.join(self.make_folder("status"), "data"), self.flags)
        self.node.start()

    def key(self):
        with open(os.path.join(self.node.directory, "http.key"), encoding="utf-8") as file:
            return file.read().strip()

    def get(self, target, host="127.0.0.1", method="GET", **headers):
        connection = http.client.HTTPConnection(host, self.node.http_port, timeout=20)
        try:
            connection.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self, details=False, **headers):
        if details:
            headers["Authorization"] = f"Bearer {self.key()}"
        code, text = self.get("/status.json", **headers)
        self.assertEqual(code, 200, text)
        return json.loads(text)

    def until(self, what, seconds=30):
        """Polls until `what` answers something true, and answers that."""
        deadline = time.monotonic() + seconds
        while True:
            value = what()
            if value:
                return value
            self.assertLess(time.monotonic(), deadline, "it did not come to be")
            time.sleep(0.05)

    @contextlib.contextmanager
    def running(self, sql, connection=None):
        """While a statement runs on a connection of its own."""
        own = connection or self.connect()
        thread = threading.Thread(target=lambda: own.simple(sql))
        thread.start()
        try:
            yield own
        finally:
            thread.join(60)

    def row_of(self, status, pid):
        return next((row for row in status["sessions"]["rows"] if row["pid"] == pid), None)

    def pid(self, connection):
        return int(self.ask("SELECT pg_backend_pid()", connection)[0][0])


class Numbers(Case):
    def test_it_counts_what_happens(self):
        self.ask("CREATE TABLE t (a int)")
        connection = self.connect()
        for i in range(50):
            self.ask(f"INSERT INTO t VALUES ({i})", connection)
        for _ in range(30):
            self.ask("SELECT 1", connection)
        self.assertIsNotNone(connection.simple("SELECT nonsense")[-1].error)
        status = self.status()
        self.assertEqual(status["health"], {"status": "ok"})
        self.assertEqual(status["attention"], [])
        self.assertGreaterEqual(status["totals"]["statements"], 81)
        self.assertGreaterEqual(status["totals"]["commits"], 51)
        self.assertGreaterEqual(status["totals"]["statement_errors"], 1)
        for name, least in (("statements", 81), ("commits", 51)):
            latency = status["latency"][name]["since_start"]
            self.assertGreaterEqual(latency["count"], least)
            self.assertEqual(sum(count for _, count in latency["buckets"]), latency["count"])
            self.assertEqual(latency["buckets"], sorted(latency["buckets"]))
            self.assertLessEqual(latency["p50_ns"], latency["p99_ns"])
            self.assertLessEqual(latency["p99_ns"], latency["p999_ns"])
            self.assertLess(1000, latency["p50_ns"])
            self.assertGreater(10**10, latency["p999_ns"])
        # Reads that wait for a commit of somebody else are no commits.
        self.assertLess(status["latency"]["commits"]["since_start"]["count"], 60)
        self.assertGreater(status["memory"]["resident_bytes"], 1 << 20)
        self.assertGreater(status["disk"]["free_bytes"], 1 << 20)
        metrics = self.get("/metrics")[1]
        self.assertIn("# TYPE bop_commit_seconds histogram", metrics)

    def test_the_last_minutes_are_there_before_anybody_looks(self):
        self.ask("CREATE TABLE t (a int)")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            self.ask("INSERT INTO t VALUES (1)")
        history = self.status()["history"]
        self.assertGreaterEqual(len(history["samples"]), 2)
        for sample in history["samples"]:
            self.assertEqual(len(sample), 4)
        self.assertGreater(max(sample[2] for sample in history["samples"]), 1, "commits a second")
        self.assertGreaterEqual(self.status()["latency"]["statements"]["last_minute"]["count"], 1)
        later = self.until(lambda: json.loads(self.get(f"/status.json?after={history['newest']}")[1])["history"]["samples"])
        self.assertLessEqual(len(later), 3)
        # A node that was started since has all to tell.
        self.assertGreaterEqual(
            len(json.loads(self.get("/status.json?after=1000000")[1])["history"]["samples"]), 2)
        for wrong in ("x", "-1", "1x", "", "99999999999999999999999"):
            self.assertEqual(self.get(f"/status.json?after={wrong}")[0], 400, wrong)

    def test_head_unknown_paths_and_other_methods(self):
        for target in ("/", "/status.js", "/status.css", "/icon.svg", "/status.json", "/health", "/metrics"):
            self.assertEqual(self.get(target)[0], 200, target)
            self.assertEqual(self.get(target, method="HEAD"), (200, ""), target)
        self.assertEqual(self.get("/nothing")[0], 404)
        self.assertEqual(self.get("/", method="DELETE")[0], 405)

    def test_who_holds_up_whom(self):
        self.ask("CREATE TABLE t (a int)")
        holder, waiter = self.connect(), self.connect()
        holder_pid, waiter_pid = self.pid(holder), self.pid(waiter)
        self.ask("BEGIN", holder)
        self.ask("INSERT INTO t VALUES (1)", holder)
        self.assertEqual(self.status()["blocking"], [])
        with self.running("INSERT INTO t VALUES (2)", waiter):
            status = self.until(lambda: (one := self.status())["blocking"] and one)
            lock = status["blocking"][0]
            self.assertEqual((lock["lock"], lock["database"], lock["count"]), ("writer_lane", "bop", 1))
            self.assertEqual([one["pid"] for one in lock["holders"]], [holder_pid])
            self.assertTrue(lock["holders"][0]["idle"])
            self.assertEqual([one["pid"] for one in lock["waiting"]], [waiter_pid])
            database = next(one for one in status["databases"]["rows"] if one["name"] == "bop")
            self.assertEqual(database["writer_pid"], holder_pid)
            row = self.row_of(status, waiter_pid)
            self.assertEqual((row["state"], row["wait"]), ("active", "writer_lane"))
            self.assertEqual(self.row_of(status, holder_pid)["state"], "idle in transaction")
            self.assertEqual(status["sessions"]["states"]["idle in transaction"], 1)
            # Who waits for long needs attention.
            needed = self.until(lambda: self.status()["attention"])
            self.assertEqual([one["name"] for one in needed], ["writers_blocked"])
            self.assertIn(f"session {holder_pid} holds", needed[0]["text"])
            self.ask("COMMIT", holder)
        self.ask("SELECT pg_advisory_lock(7)", holder)
        with self.running("SELECT pg_advisory_lock(7)", waiter):
            lock = self.until(lambda: self.status()["blocking"])[0]
            self.assertEqual((lock["lock"], lock["database"]), ("advisory", "bop"))
            self.assertEqual(lock["holders"], [{"pid": holder_pid}])
            self.assertEqual(lock["waiting"], [{"pid": waiter_pid}])
            self.ask("SELECT pg_advisory_unlock(7)", holder)
        self.assertEqual(self.status()["blocking"], [])

    def test_a_node_that_cannot_write_says_so(self):
        self.ask("CREATE TABLE t (a int)")
        resource.prlimit(self.node.process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        with contextlib.closing(self.node.connect()) as connection, contextlib.suppress(wire.WireError):
            connection.simple("INSERT INTO t VALUES (3)")
        status = self.until(lambda: (one := self.status())["health"]["status"] != "ok" and one)
        self.assertEqual(status["health"]["status"], "unavailable")
        self.assertTrue(status["health"]["reason"])
        self.assertEqual(status["attention"][0]["name"], "cannot_write")
        self.assertIn(status["health"]["reason"], status["attention"][0]["text"])
        self.assertEqual(self.get("/health")[0], 503)


    def test_every_alarm_is_documented(self):
        top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        with open(os.path.join(top, "src", "server", "node_status.cpp"), encoding="utf-8") as file:
            told = re.findall(r'say\("(\w+)",', file.read())
        with open(os.path.join(top, "docs", "operations.md"), encoding="utf-8") as file:
            section = file.read().split("\n## Alarms\n")[1].split("\n## ")[0]
        documented = re.findall(r"(?m)^\| `(\w+)` \| .* \| .* \| .* \|$", section)
        self.assertEqual(documented, told)
        known = set(re.findall(r"(?m)^# TYPE (\w+) ", self.get("/metrics")[1]))
        for name in re.findall(r"bop_\w+", section):
            if name not in ("bop_locks", "bop_engine_rebuilt_total"):  # a relation; not before its first use
                self.assertIn(name.removesuffix("_bucket"), known)


class Log(Case):
    flags = ("--segment-size", "1MB", "--log-retain", "3MB", "--wal-limit", "4MB")

    def test_segments_and_cursors(self):
        self.ask("CREATE TABLE t (a int, b text)")
        connection = self.connect()
        before = self.status()["log"]
        for _ in range(10):
            self.ask("INSERT INTO t SELECT g, repeat('x', 900) FROM generate_series(1, 1000) g", connection)
        grown = self.status()["log"]
        self.assertGreaterEqual(grown["appended"], before["appended"] + 10)
        self.assertIn("needed", [one["role"] for one in grown["segments"]])
        self.assertGreaterEqual(grown["retained_bytes"], before["retained_bytes"] + (8 << 20))
        self.node.stop_keeping()  # with a checkpoint of all
        self.node.start()
        connection = self.connect()
        self.ask("INSERT INTO t VALUES (1)", connection)
        log = self.status()["log"]
        self.assertGreater(log["base"], grown["base"])
        self.assertLessEqual(log["first"], log["base"] + 1)
        self.assertLessEqual(log["base"], log["committed"])
        self.assertLessEqual(log["committed"], log["appended"])
        self.assertEqual(log["retain_bytes"], 3 << 20)
        roles = [one["role"] for one in log["segments"]]
        self.assertEqual(roles.count("active"), 1)
        self.assertEqual(roles[-1], "active")
        self.assertEqual(roles, sorted(roles, key=["retained", "needed", "active"].index))
        self.assertIn("retained", roles)
        self.assertEqual(sum(one["bytes"] for one in log["segments"]) + log["older_bytes"], log["retained_bytes"])
        for one in log["segments"]:
            self.assertLessEqual(one["used_bytes"], one["bytes"])
        firsts = [one["first"] for one in log["segments"]]
        self.assertEqual(firsts, sorted(firsts))
        self.assertEqual(firsts[0], log["first"])


class Access(Case):
    """What sessions do is for those who may know it."""

    secrets = ("secretive_role", "secretive_app", "secretive_table", "127.0.0.1")

    def busy(self):
        self.ask("CREATE TABLE secretive_table (a int)")
        self.ask("CREATE ROLE secretive_role SUPERUSER LOGIN PASSWORD 'x'")
        self.node.user, self.node.password = "secretive_role", "x"
        connection = self.connect(options={"application_name": "secretive_app"})
        self.ask("SELECT count(*) FROM secretive_table", connection)
        return self.pid_of_app(connection)

    def pid_of_app(self, connection):
        found = int(self.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'secretive_app'")[0][0])
        self.ask("SELECT count(*) FROM secretive_table", connection)
        return found

    def hidden(self, text):
        status = json.loads(text)
        self.assertNotEqual(status["details"], "shown")
        for secret in self.secrets:
            self.assertNotIn(secret, text)
        return status

    def shown(self, text, pid):
        status = json.loads(text)
        self.assertEqual(status["details"], "shown")
        row = self.row_of(status, pid)
        self.assertEqual((row["user"], row["application"], row["statement"]),
                         ("secretive_role", "secretive_app", "SELECT count(*) FROM secretive_table"))
        self.assertIn("127.0.0.1", row["client"])
        return status

    def restart(self, *flags):
        self.node.stop()
        self.node.flags = list(flags)
        self.node.start()

    def test_by_default_they_need_the_key(self):
        pid = self.busy()
        status = self.hidden(self.get("/status.json")[1])
        self.assertEqual(status["details"], "key")
        self.assertEqual(self.row_of(status, pid)["state"], "idle", "numbers are for everybody")
        key = self.key()
        self.shown(self.get("/status.json", Authorization=f"Bearer {key}")[1], pid)
        for wrong in (f"Bearer {key}x", f"Bearer {key[:-1]}", f"Basic {key}", "Bearer", key):
            code, text = self.get("/status.json", Authorization=wrong)
            self.assertEqual(code, 401 if wrong.startswith("Bearer ") else 200)
            for secret in (*self.secrets, key):
                self.assertNotIn(secret, text)

    def test_loopback_shows_them_to_who_is_surely_here(self):
        self.restart("--http-details", "loopback", "--listen-address", "0.0.0.0")
        pid = self.busy()
        self.shown(self.get("/status.json")[1], pid)
        self.hidden(self.get("/status.json", Host="rebound.example")[1])
        self.hidden(self.get("/status.json", X_Forwarded_For="203.0.113.5")[1])
        address = own_address()
        if address is not None:
            self.hidden(self.get("/status.json", host=address)[1])
            self.shown(self.get("/status.json", host=address, Authorization=f"Bearer {self.key()}")[1], pid)

    def test_off_shows_them_to_nobody(self):
        self.restart("--http-details", "off")
        self.busy()
        for headers in ({}, {"Authorization": f"Bearer {self.key()}"}):
            code, text = self.get("/status.json", **headers)
            self.assertEqual((code, self.hidden(text)["details"]), (200, "off"))

    def test_the_key_is_the_owners_and_lasts(self):
        path = os.path.join(self.node.directory, "http.key")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        key = self.key()
        self.assertRegex(key, r"^[A-Za-z0-9_-]{24}$")
        self.assertNotEqual(key, self.node.password)
        link = f"http://127.0.0.1:{self.node.http_port}/#key={key}"
        with open(self.node.log, encoding="utf-8") as log:
            self.assertIn(f"  HTTP:    {link}, /health and /metrics\n", log.read())
        done = own_node.bop("status", "--link", "--data-dir", self.node.directory)
        self.assertEqual((done.returncode, done.stdout), (0, link + "\n"), done.stderr)
        self.restart()
        self.assertEqual(self.key(), key)
        os.unlink(path)
        self.restart()
        self.assertNotEqual(self.key(), key)
        self.assertEqual(self.get("/status.json", Authorization=f"Bearer {key}")[0], 401)
        self.node.stop()
        done = own_node.bop("status", "--link", "--data-dir", self.node.directory)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("no node serves", done.stderr)

    def test_passwords_are_shown_to_nobody(self):
        connection = self.connect()
        self.ask("CREATE ROLE guest PASSWORD 'hush-hush'", connection)
        text = self.get("/status.json", Authorization=f"Bearer {self.key()}")[1]
        self.assertNotIn("hush-hush", text)
        self.assertIn("(not shown: it names a password)", text)

    def test_any_text_is_json(self):
        connection = self.connect(options={"application_name": f"a\"\\{NASTY}\x01ä"})
        connection.send(wire.message(b"Q", b"SELECT 'x\xff\xc3" + "ä".encode() * 600 + b"'\0"))
        self.until(lambda: any("x" in row["statement"] for row in self.status(details=True)["sessions"]["rows"]))
        row = next(row for row in self.status(details=True)["sessions"]["rows"] if "onerror" in row["application"])
        self.assertIn(NASTY, row["application"])
        self.assertLessEqual(len(row["statement"].encode()), 310)


class Stop(Case):
    def test_who_asks_while_the_node_stops_does_no_harm(self):
        self.ask("CREATE TABLE t (a int, b text)")
        self.ask("INSERT INTO t SELECT g, repeat('x', 900) FROM generate_series(1, 20000) g")
        begun = threading.Barrier(9)

        def ask_on(target):
            connection = http.client.HTTPConnection("127.0.0.1", self.node.http_port, timeout=20)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                for i in range(1_000_000):
                    connection.request("GET", target)
                    connection.getresponse().read()
                    if i == 0:
                        begun.wait()

        threads = [threading.Thread(target=ask_on, args=(target,)) for target in ("/status.json", "/metrics") * 4]
        for thread in threads:
            thread.start()
        begun.wait()
        self.assertEqual(self.node.stop(), 0)
        for thread in threads:
            thread.join(60)


class Many(Case):
    def test_the_answer_is_bounded(self):
        connections = [self.connect() for _ in range(130)]
        self.ask("BEGIN", connections[-1])
        self.ask("SELECT 1", connections[-1])
        status = self.until(lambda: (one := self.status())["sessions"]["count"] >= 130 and one)
        self.assertEqual(len(status["sessions"]["rows"]), 100)
        self.assertGreaterEqual(status["sessions"]["states"]["idle"], 129)
        self.assertEqual(status["sessions"]["rows"][0]["state"], "idle in transaction", "what matters comes first")
        idle = [row["seconds"] for row in status["sessions"]["rows"][1:]]
        self.assertEqual(idle, sorted(idle, reverse=True))

    def test_answers_while_others_work(self):
        self.ask("CREATE TABLE t (a int)")
        ends = threading.Event()

        def work():
            own = self.node.connect()
            while not ends.is_set():
                own.simple("INSERT INTO t VALUES (1)")
                own.simple("CREATE TABLE u (a int); DROP TABLE u")
            own.close()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(200):
                log = self.status(details=True)["log"]
                self.assertLessEqual(log["base"], log["committed"])
                self.assertLessEqual(log["committed"], log["appended"])
        finally:
            ends.set()
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    own_node.main()
