#!/usr/bin/env python3
"""`bop aof`: the tools for a log, on a log at rest and beside the node that writes it (BOP only)."""

import json
import os
import subprocess
import unittest

import own_node
from own_node import bop


class LogTools(own_node.NodeCase):
    def setUp(self):
        self.folder = self.make_folder("aof-tools")
        self.node = self.make_node(os.path.join(self.folder, "data"))
        self.node.start()
        self.ask("CREATE TABLE t (a integer, b text)")
        for number in range(20):
            self.ask(f"INSERT INTO t VALUES ({number}, repeat('x', {number * 50}))")

    def tool(self, *arguments, code=0):
        done = bop("aof", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def objects(self, *arguments, code=0):
        return [json.loads(line) for line in self.tool(*arguments, "--json", code=code).stdout.splitlines()]

    def names(self):
        log = os.path.join(self.node.directory, "log")
        return {name: os.stat(os.path.join(log, name)).st_mtime_ns for name in os.listdir(log)}

    def records(self, *arguments):
        return [one for one in self.objects("dump", self.node.directory, *arguments) if one["type"] == "record"]

    def test_at_rest(self):
        self.node.stop()
        before = self.names()
        stat = self.objects("stat", self.node.directory)[0]
        self.assertEqual(stat["index"]["state"], "none")
        self.assertTrue(stat["end"]["closed"])
        self.assertEqual(stat["segments"][-1]["state"], "active")
        self.assertEqual({one["state"] for one in stat["segments"][:-1]} - {"finalized"}, set())
        self.assertEqual(sum(one["records"] for one in stat["segments"]), stat["end"]["lsn"])
        self.assertGreater(stat["used_bytes"], 0)
        text = self.tool("stat", self.node.directory).stdout
        self.assertIn("= active, # finalized", text)
        self.assertRegex(text, r"\|=+\.*\s*\|")

        verified = self.objects("verify", self.node.directory)[0]
        self.assertEqual((verified["status"], verified["problems"]), ("sound", []))
        self.assertEqual(verified["last_lsn"], stat["end"]["lsn"])
        self.assertEqual(verified["identity"], stat["identity"])

        # Every record alone is what the whole list says, by id and by time.
        listed = [one for one in self.records() if one["kind"] not in ("filler", "heads")]
        self.assertEqual([one["lsn"] for one in listed], list(range(1, stat["end"]["lsn"] + 1)))
        for record in listed[::3]:
            self.assertEqual(self.objects("find", self.node.directory, str(record["lsn"])), [record])
            same = next(one for one in listed if one["timestamp_us"] == record["timestamp_us"])
            self.assertEqual(self.objects("find", self.node.directory, "--time", record["time"]), [same])
        self.assertEqual(self.records("--from", "5", "--to", "9"), listed[4:9])
        self.assertEqual(self.records("--from", str(listed[-1]["lsn"])), listed[-1:])
        database = listed[-1]["database"]
        self.assertEqual(self.records("--from", "1", "--database", str(database)),
                         [one for one in listed if one["database"] == database])
        self.assertEqual([one["lsn"] for one in self.objects("tail", self.node.directory, "-n", "3")],
                         [one["lsn"] for one in listed[-3:]])
        self.assertEqual(len(self.tool("tail", self.node.directory).stdout.splitlines()), 10)
        self.assertEqual(self.names(), before)  # nothing was written

    def test_what_is_not_there(self):
        self.node.stop()
        self.assertIn("no record with LSN 99999", self.tool("find", self.node.directory, "99999", code=1).stderr)
        self.assertIn("no record at or after", self.tool("find", self.node.directory, "--time", "2200-01-01 00:00",
                                                         code=1).stderr)
        self.assertIn("is no time", self.tool("find", self.node.directory, "--time", "yesterday", code=2).stderr)
        self.assertIn("one of", self.tool("find", self.node.directory, code=2).stderr)
        for name in ("stat", "dump", "verify", "tail"):
            self.assertIn("there is no folder", self.tool(name, os.path.join(self.folder, "none"), code=2).stderr)
        self.assertIn("there is no log", self.tool("stat", self.folder, code=2).stderr)
        # A folder that is no index says so and stays as it is.
        index = os.path.join(self.folder, "index")
        os.mkdir(index)
        with open(os.path.join(index, "mdbx.dat"), "wb") as file:
            file.write(b"x" * 65536)
        stat = self.objects("stat", self.node.directory, "--index", index)[0]
        self.assertEqual(stat["index"]["state"], "unusable")
        self.assertEqual(os.listdir(index), ["mdbx.dat"])

    def test_damage_is_told(self):
        self.node.stop()
        record = self.records("--from", "10", "--to", "10")[0]
        with open(record["segment"], "r+b") as file:
            file.seek(record["offset"] + 120)
            byte = file.read(1)[0]
            file.seek(record["offset"] + 120)
            file.write(bytes([byte ^ 1]))
        damaged = self.objects("verify", self.node.directory, code=1)[0]
        self.assertEqual((damaged["status"], damaged["problem_count"]), ("damaged", 1))
        self.assertEqual(damaged["problems"][0]["code"], "Corrupt")
        self.assertIn(str(record["offset"]), damaged["problems"][0]["message"])
        self.assertIn("LSN 10", self.tool("stat", self.node.directory, code=1).stdout)

    def test_beside_the_node(self):
        self.assertEqual(self.objects("verify", self.node.directory)[0]["status"], "sound")
        with subprocess.Popen([own_node.options.bop, "aof", "tail", self.node.directory, "-f", "--json", "-n", "1"],
                              stdout=subprocess.PIPE, text=True) as tail:
            try:
                first = json.loads(tail.stdout.readline())["lsn"]
                seen = [first]
                self.ask("INSERT INTO t VALUES (1000, 'followed')")
                self.ask("INSERT INTO t VALUES (1001, 'followed')")
                newest = self.objects("stat", self.node.directory)[0]["end"]["lsn"]
                self.assertGreater(newest, first)
                while seen[-1] < newest:
                    seen.append(json.loads(tail.stdout.readline())["lsn"])
                self.assertEqual(seen, list(range(first, seen[-1] + 1)))
            finally:
                tail.kill()
        self.assertEqual(self.ask("SELECT count(*) FROM t WHERE b = 'followed'"), [["2"]])


if __name__ == "__main__":
    own_node.main()
