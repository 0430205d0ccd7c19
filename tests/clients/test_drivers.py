#!/usr/bin/env python3
"""Drivers of other languages: node pg, pgjdbc, Go pgx, Rust sqlx. Each has a program in drivers/, which runs its checks
and prints a line for each, "ok NAME" or "FAIL NAME: REASON".

Packages are pinned by the language's own lock file and are kept below the cache of scripts/environment.sh, one folder
a language and lock file; `--install` (scripts/setup) fetches them, and a driver whose language is not on the machine,
or whose packages are not there and cannot be fetched, is skipped with the reason.
"""

import argparse
import glob
import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "slt"))

# pylint: disable=wrong-import-position
import servers

SKIPPED = 77
CACHE = os.environ.get("BOP_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                                                    "bop")
JDBC = "org.postgresql:postgresql:42.7.7"
JDBC_SHA256 = "157963d60ae66d607e09466e8c0cdf8087e9cb20d0159899ffca96bca2528460"
COPY_JAR = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


# Checks that BOP fails, with the reason; a check of these that passes fails the test, so that the list only shrinks.
KNOWN = {("java", "keysAndIndexes"): "asks for fields of the records of information_schema._pg_expandarray"}


class Skip(Exception):
    pass


def run(command, folder, seconds=600, environment=None):
    done = subprocess.run(command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True,
                          timeout=seconds, check=False)
    if done.returncode != 0:
        raise Skip(f"{' '.join(command[:3])} failed: {(done.stdout + done.stderr).strip()[-500:]}")


class Driver:
    """`tools` must be on the machine; `locks` say which packages; `sources` are what the program is made of."""

    tools, locks, sources = (), (), ()

    def __init__(self):
        self.source = os.path.join(HERE, "drivers", self.name)
        digest = hashlib.sha256()
        for name in (*self.locks, *self.sources):
            with open(os.path.join(self.source, name), "rb") as file:
                digest.update(file.read())
        self.folder = os.path.join(CACHE, "drivers", f"{self.name}-{digest.hexdigest()[:12]}")

    def is_installed(self):
        return os.path.exists(os.path.join(self.folder, "complete"))

    def missing_tools(self):
        return [tool for tool in self.tools if shutil.which(tool) is None]

    def install(self):
        """The packages and the program in `folder`."""
        if missing := self.missing_tools():
            raise Skip(f"there is no {missing[0]} on this machine")
        if self.is_installed():
            return
        for old in glob.glob(os.path.join(CACHE, "drivers", self.name + "-*")):
            shutil.rmtree(old)
        os.makedirs(os.path.dirname(self.folder), exist_ok=True)
        shutil.copytree(self.source, self.folder)
        self.fetch()
        with open(os.path.join(self.folder, "complete"), "w", encoding="utf-8"):
            pass


class Node(Driver):
    name = "node"
    tools, locks, sources = ("node", "npm"), ("package-lock.json",), ("check.js",)
    command = ("node", "check.js")

    def fetch(self):
        run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], self.folder)


class Java(Driver):
    name = "java"
    tools, sources = ("java", "javac", "mvn"), ("Check.java",)
    command = ("java", "-cp", "packages/postgresql-42.7.7.jar:.", "Check")

    def fetch(self):
        run(["mvn", "-q", "-B", COPY_JAR, f"-Dartifact={JDBC}", "-DoutputDirectory=packages"], self.folder)
        with open(os.path.join(self.folder, "packages", "postgresql-42.7.7.jar"), "rb") as jar:
            if hashlib.sha256(jar.read()).hexdigest() != JDBC_SHA256:
                raise SystemExit("pgjdbc is not what it was")
        run(["javac", "-cp", "packages/postgresql-42.7.7.jar", "Check.java"], self.folder)


class Go(Driver):
    name = "go"
    tools, locks, sources = ("go",), ("go.mod", "go.sum"), ("main.go",)
    command = ("./check",)

    def fetch(self):
        run(["go", "build", "-mod=readonly", "-o", "check", "."], self.folder, environment={"GOTOOLCHAIN": "local"})


class Rust(Driver):
    name = "rust"
    tools, locks, sources = ("cargo",), ("Cargo.lock",), ("Cargo.toml", "src/main.rs")
    command = ("./target/debug/bop-clients",)

    def fetch(self):
        run(["cargo", "build", "--locked"], self.folder, seconds=1500)


DRIVERS = {driver.name: driver for driver in (Node, Java, Go, Rust)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    servers.add_target_options(parser, default="pg")
    parser.add_argument("--install", action="store_true", help="fetch the packages and build the program, no test")
    parser.add_argument("--installed", action="store_true", help="whether there is nothing to --install")
    parser.add_argument("driver", choices=DRIVERS)
    options = parser.parse_args()
    driver = DRIVERS[options.driver]()
    if options.installed:
        return 0 if driver.is_installed() or driver.missing_tools() else 1
    try:
        driver.install()
    except Skip as why:
        print(f"skipped: {why}")
        return SKIPPED
    if options.install:
        return 0
    if options.target == "pg" and servers.postgres_bin() is None:
        print("skipped: PostgreSQL 15 is not installed")
        return SKIPPED
    server = servers.open_target(options)
    server.start()
    try:
        done = subprocess.run(driver.command, cwd=driver.folder, env=server.environment(), capture_output=True, text=True,
                              timeout=240, check=False)
    finally:
        server.stop()
    print(done.stdout + done.stderr)
    lines = [line.replace(":", "").split() for line in done.stdout.splitlines()]
    outcome = {words[1]: words[0] for words in lines if len(words) > 1 and words[0] in ("ok", "FAIL")}
    known = {check for (name, check) in KNOWN if name == driver.name and options.target == "bop"}
    wrong = [check for check, how in outcome.items() if (how == "FAIL") != (check in known)]
    for check in wrong:
        print(f"{check}: {outcome[check]}" + (" though it is in the list of known failures" if check in known else ""))
    return 1 if wrong or not outcome or done.returncode not in (0, 1) else 0


if __name__ == "__main__":
    sys.exit(main())
