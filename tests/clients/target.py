"""The server that the tests of this folder talk to, chosen on the command line.

`main` starts it, runs the unittest cases of the calling module against it and stops it. A test that needs room of its
own makes a database with `fresh_database`.
"""

import argparse
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slt"))

# pylint: disable=wrong-import-position
import servers

SKIPPED = 77
server = None
made = []


def fresh_database(name):
    connection = server.connect()
    connection.simple(f"DROP DATABASE IF EXISTS {name}")
    result = connection.simple(f"CREATE DATABASE {name}")[-1]
    connection.close()
    if result.error is not None:
        raise AssertionError(f"CREATE DATABASE {name}: {result.error}")
    made.append(name)
    return name


def run(arguments, database=None, stdin=None, environment=None, timeout=120):
    """Runs a program of PostgreSQL's clients with the server in its environment."""
    return subprocess.run(arguments, env={**server.environment(database), **(environment or {})}, input=stdin,
                          capture_output=True, text=True, timeout=timeout, check=False)


def with_tests_python(module):
    """Starts this program again with the Python that has `module`, if this one has not (BOP_PYTHON)."""
    try:
        __import__(module)
    except ImportError:
        other = os.environ.get("BOP_PYTHON", "")
        if other and "BOP_PYTHON_USED" not in os.environ:
            os.environ["BOP_PYTHON_USED"] = "1"
            os.execv(other, [other, *sys.argv])
        print(f"skipped: {sys.executable} has no module {module}; scripts/setup makes one that has (BOP_PYTHON)")
        sys.exit(SKIPPED)


def main():
    global server
    parser = argparse.ArgumentParser()
    servers.add_target_options(parser, default="pg")
    parser.add_argument("tests", nargs="*", help="Case or Case.test_name")
    options = parser.parse_args()
    if options.target == "pg" and servers.postgres_bin() is None:
        print("skipped: PostgreSQL 15 is not installed")
        sys.exit(SKIPPED)
    server = servers.open_target(options)
    server.start()
    try:
        program = unittest.main(module="__main__", argv=[sys.argv[0], *options.tests], exit=False, verbosity=2)
    finally:
        server.stop()
    sys.exit(0 if program.result.wasSuccessful() else 1)
