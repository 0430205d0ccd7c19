#!/usr/bin/env python3
"""SQLAlchemy's own suite for dialects (psycopg), against BOP and PostgreSQL 15 with the same options.

What counts is the share of PostgreSQL's passed tests that BOP passes. Tests that it fails stand in
sqlalchemy_suite/failures.txt, a list that only shrinks: a failure that is not in it, or an entry that passes, fails the
run. `--rewrite` writes the list anew, but takes no new entries without `--grow`.

The suite is long (minutes): label long-sqlalchemy. `--only PATTERN` runs a part (pytest's -k) and compares nothing else.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "slt"))

# pylint: disable=wrong-import-position
import servers

SKIPPED = 77
SUITE = os.path.join(HERE, "sqlalchemy_suite")
FAILURES = os.path.join(SUITE, "failures.txt")
GOAL = 0.90
HEAD = """# Tests of SQLAlchemy's dialect suite that PostgreSQL 15 passes and BOP does not, one a line. The list only shrinks;
# tests/clients/test_sqlalchemy.py checks it. What stands behind them is in README's list of what is not there.
"""


def run_suite(server, python, only, seconds):
    """{test: "passed", "failed" or "skipped"}."""
    connection = server.connect()
    for sql in ("CREATE DATABASE sqlalchemy_suite",):
        result = connection.simple(sql)[-1]
        if result.error is not None:
            raise SystemExit(f"{sql}: {result.error}")
    connection.close()
    connection = server.connect("sqlalchemy_suite")
    connection.simple("CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2")
    connection.close()
    url = server.url("sqlalchemy_suite").replace("postgresql:", "postgresql+psycopg:")
    with tempfile.TemporaryDirectory(prefix="bop-sqlalchemy-") as folder:
        report = os.path.join(folder, "report.xml")
        log = os.path.join(folder, "log")
        command = [python, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "--maxfail=100000",
                   "--dburi", url, "--junitxml", report, *(["-k", only] if only else [])]
        with open(log, "w", encoding="utf-8") as output:
            subprocess.run(command, cwd=SUITE, stdout=output, stderr=output, timeout=seconds, check=False,
                           env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        if not os.path.exists(report):
            raise SystemExit(f"the suite did not run on {server.name}:\n{servers.tail(log, 4000)}")
        return {name_of(case): outcome_of(case)
                for case in xml.etree.ElementTree.parse(report).iter("testcase")}


def name_of(case):
    """Without the server's version, which pytest writes into the class."""
    group = re.sub(r"_postgresql\+psycopg_[0-9_]+", "", case.get("classname")).replace("test_suite.", "")
    return re.sub(r"\s+", " ", f"{group}::{case.get('name')}")


def outcome_of(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def known_failures():
    with open(FAILURES, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bop", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--rewrite", action="store_true")
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--timeout", type=int, default=3000, help="seconds for the suite on one server")
    options = parser.parse_args()
    python = os.environ.get("BOP_PYTHON") or sys.executable
    if subprocess.run([python, "-c", "import sqlalchemy, pytest, psycopg"], capture_output=True, check=False).returncode:
        print("skipped: SQLAlchemy is not installed; scripts/setup does it")
        return SKIPPED
    if servers.postgres_bin() is None:
        print("skipped: PostgreSQL 15 is not installed")
        return SKIPPED

    outcomes = {}

    def run(server):
        server.start()
        try:
            outcomes[server.name] = run_suite(server, python, options.only, options.timeout)
        finally:
            server.stop()

    threads = [threading.Thread(target=run, args=(server,))
               for server in (servers.Postgres(fsync=False), servers.Bop(options.bop))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(outcomes) != 2:
        return 1
    wanted = {name for name, outcome in outcomes["postgresql"].items() if outcome == "passed"}
    failed = sorted(name for name in wanted if outcomes["bop"].get(name) != "passed")
    share = 1 - len(failed) / len(wanted)
    print(f"PostgreSQL passes {len(wanted)} tests, BOP {len(wanted) - len(failed)} of them: {share:.1%} "
          f"(goal {GOAL:.0%})")
    if options.only:
        print("\n".join(failed))
        return 0
    known = known_failures() if os.path.exists(FAILURES) else []
    new = [name for name in failed if name not in set(known)]
    gone = [name for name in known if name not in set(failed)]
    if options.rewrite:
        kept = [name for name in failed if options.grow or name in set(known)]
        with open(FAILURES, "w", encoding="utf-8") as file:
            file.write(HEAD + "".join(name + "\n" for name in kept))
        print(f"wrote {len(kept)} failures")
        return 0
    for name in new:
        print(f"fails and is not in failures.txt: {name}")
    for name in gone:
        print(f"passes, or is gone, and is still in failures.txt: {name}")
    return 1 if new or gone or share < GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
