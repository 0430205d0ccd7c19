#!/usr/bin/env python3
"""Data directories of every format that there was open, and are brought up to date after a copy; newer ones are refused.

For BOP only. tests/golden/format-<version>.tar.xz holds a directory that the program of that time wrote and that was
killed, so its log has to be replayed, too.
"""

import os
import re
import shutil
import tarfile

import own_node
import servers

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
NEWEST = 2


class Formats(own_node.NodeCase):
    def setUp(self):
        self.folder = self.make_folder("formats")

    def golden(self, version):
        """A node over a directory of this format, not started."""
        where = os.path.join(self.folder, f"of-{version}-{len(os.listdir(self.folder))}")
        os.mkdir(where)
        with tarfile.open(os.path.join(GOLDEN, f"format-{version}.tar.xz")) as packed:
            packed.extractall(where)
        return self.make_node(os.path.join(where, "data"), ["--segment-size=1MB"])

    def read(self, node, name):
        with open(os.path.join(node.directory, name), encoding="utf-8") as file:
            return file.read()

    def write(self, node, name, text):
        with open(os.path.join(node.directory, name), "w", encoding="utf-8") as file:
            file.write(text)

    def log(self, node):
        with open(node.log, encoding="utf-8") as file:
            return file.read()

    def check_data(self, node):
        for sql, row in (("SELECT count(*), sum(id), sum(amount) FROM kept", ["500", "125250", "156562.50"]),
                         ("SELECT name, at FROM kept WHERE id = 14", ["changed 14", "2026-11-22 14:00:00+00"]),
                         ("SELECT has_table_privilege('reader', 'kept', 'SELECT')", ["t"]),
                         ("SELECT count(*) FROM pg_database WHERE datname = 'second'", ["1"])):
            self.assertEqual(self.ask(sql, node=node), [row])
        self.assertGreater(int(self.ask("SELECT nextval('numbers')", node=node)[0][0]), 101)

    def refused(self, node, *words):
        with self.assertRaises(servers.ServerError) as caught:
            node.start()
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_an_older_directory_is_upgraded_after_a_copy(self):
        for version in range(1, NEWEST):
            node = self.golden(version)
            before = self.read(node, "format")
            self.assertEqual(before.splitlines()[0], f"bop {version}")
            node.start()
            self.check_data(node)
            self.assertRegex(self.read(node, "format"), rf"^bop {NEWEST}\nlog [0-9a-f]{{32}}\n$")
            self.assertRegex(self.log(node), rf"data directory upgraded from={version} to={version + 1} .*"
                             rf"before-format-{version + 1}")
            self.assertEqual(self.read(node, f"before-format-{version + 1}/format"), before)
            self.assertFalse([name for name in os.listdir(node.directory) if name.startswith("upgrading")])
            self.ask("INSERT INTO kept VALUES (501, 'new', 0, now())", node=node)
            node.stop_keeping()
            node.start()
            self.assertEqual(self.log(node).count("data directory upgraded"), NEWEST - version)
            self.assertEqual(self.ask("SELECT name FROM kept WHERE id = 501", node=node), [["new"]])

    def test_the_copy_put_back_is_the_directory_of_before(self):
        node = self.golden(1)
        node.start()
        node.stop_keeping()
        shutil.copy(os.path.join(node.directory, "before-format-2", "format"), node.directory)
        self.assertEqual(self.read(node, "format"), "bop 1\n")
        node.start()
        self.check_data(node)

    def test_an_upgrade_that_cannot_be_made_changes_nothing(self):
        node = self.golden(1)
        segment = [name for name in os.listdir(os.path.join(node.directory, "log")) if name.endswith(".log")][0]
        path = os.path.join(node.directory, "log", segment)
        with open(path, "r+b") as file:
            head = file.read(4096)
            file.seek(100)
            file.write(bytes(byte ^ 0xFF for byte in head[100:200]))
        self.refused(node, "has format 1 and cannot be upgraded to 2", segment)
        self.assertEqual(self.read(node, "format"), "bop 1\n")
        with open(path, "r+b") as file:
            file.write(head)
        node.start()
        self.check_data(node)

    def test_a_newer_directory_is_refused(self):
        node = self.golden(1)
        self.write(node, "format", f"bop {NEWEST + 1}\nsomething new\n")
        before = sorted(os.listdir(node.directory))
        self.refused(node, f"has format {NEWEST + 1}, this version of BOP reads up to {NEWEST}", "start it with the version "
                     "that wrote it, or a newer one")
        self.assertEqual(sorted(os.listdir(node.directory)), before)

    def test_the_log_of_another_node_is_refused(self):
        first = self.golden(1)
        second = self.make_node(os.path.join(self.folder, "second"), ["--segment-size=1MB"])
        for node in (first, second):
            node.start()
            node.stop_keeping()
        self.assertRegex(self.read(second, "format"), rf"^bop {NEWEST}\nlog [0-9a-f]{{32}}\n$")
        self.assertNotEqual(self.read(first, "format"), self.read(second, "format"))
        own = os.path.join(first.directory, "log")
        shutil.move(own, own + ".own")
        shutil.copytree(os.path.join(second.directory, "log"), own)
        identity = re.search("log ([0-9a-f]+)", self.read(second, "format"))[1]
        self.refused(first, "log of another data directory", identity)
        shutil.rmtree(own)
        shutil.move(own + ".own", own)
        first.start()
        self.check_data(first)


if __name__ == "__main__":
    own_node.main()
