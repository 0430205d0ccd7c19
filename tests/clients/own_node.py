"""What tests have in common that start nodes of their own (BOP only): the program, asking, health, metrics, waiting."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slt"))

# pylint: disable=wrong-import-position
import servers

PATIENCE = 60.0
options = argparse.Namespace()  # `bop` is the path of the program


def bop(*arguments, timeout=120, **more):
    """Runs the program until it ends by itself."""
    return subprocess.run([options.bop, *arguments], capture_output=True, text=True, timeout=timeout, check=False, **more)


class NodeCase(unittest.TestCase):
    """Its `node` is the one that is asked where no other is named."""

    node = None

    def make_folder(self, name):
        """A new one, gone at the end of the test."""
        folder = tempfile.mkdtemp(prefix=f"bop-{name}-")
        self.addCleanup(shutil.rmtree, folder, True)
        return folder

    def make_node(self, directory, flags=()):
        """A node over this directory, not started, stopped at the end of the test."""
        node = servers.Bop(options.bop, directory=directory, flags=flags)
        self.addCleanup(node.stop)
        return node

    def connect(self, database=None, **settings):
        """A session that ends with the test at the latest."""
        connection = self.node.connect(database, **settings)
        self.addCleanup(connection.socket.close)
        return connection

    def ask(self, sql, connection=None, node=None):
        """The last statement's rows; all of them succeed. Without a connection in a session of its own."""
        own = connection or (node or self.node).connect()
        results = own.simple(sql)
        if connection is None:
            own.close()
        for result in results:
            self.assertIsNone(result.error, f"{sql}: {result.error}")
        return results[-1].rows

    def page(self, path):
        """What the HTTP port answers: (status, text)."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.node.http_port}/{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, ""

    def health(self):
        return self.page("health")[0]

    def metric(self, name, page=None, absent=None):
        """Its value, the sum of all where it has labels; of a page of metrics that was asked for before. `absent` is
        answered where there is none, which fails otherwise."""
        text = self.page("metrics")[1] if page is None else page
        values = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\d+)$", text, re.MULTILINE)
        if not values and absent is not None:
            return absent
        self.assertTrue(values, f"there is no metric {name}")
        return sum(map(int, values))

    def wait_until(self, holds, what, between=0.02):
        """Looks again and again: for what nobody tells of. `what` is said if it never holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(between)


class SharedNodeCase(NodeCase):
    """One node, over `folder`/data, for all tests of the class."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix=f"bop-{cls.__name__.lower()}-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.node = servers.Bop(options.bop, directory=os.path.join(cls.folder, "data"), flags=cls.flags)
        cls.addClassCleanup(cls.node.stop)
        cls.start()

    @classmethod
    def start(cls):
        cls.node.start()


def main(add_options=None, before=None):
    """Runs the cases of the calling program. `add_options` gets the parser, `before` is called with the options set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bop", default=os.environ.get("BOP_BINARY"), required="BOP_BINARY" not in os.environ,
                        help="the program")
    if add_options is not None:
        add_options(parser)
    parser.add_argument("tests", nargs="*", help="Case or Case.test_name")
    parser.parse_args(namespace=options)
    options.bop = os.path.abspath(options.bop)
    if before is not None:
        before()
    unittest.main(module="__main__", argv=[sys.argv[0], *options.tests], verbosity=2)
