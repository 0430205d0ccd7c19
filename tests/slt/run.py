#!/usr/bin/env python3
"""Runs tests/slt/*.slt on PostgreSQL 15 (the oracle) and on BOP, through the simple and the extended protocol.

The answers of PostgreSQL are recorded in the files (`--record`), so BOP is tested where PostgreSQL is absent; where it
is present, the recording itself is checked against it first. A difference that known_differences.txt lists with its
reason does not fail; a listed one that passes does. Each file and protocol has a fresh database.
"""

import argparse
import difflib
import glob
import os
import sys
import time

import script
import servers
import wire

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_KNOWN_PERCENT = 2.0


class Session:
    """The connections of one file in one protocol."""

    def __init__(self, server, database, schema, timeout):
        self.server, self.database, self.schema, self.timeout = server, database, schema, timeout
        self.connections = {}

    def run(self, test, protocol):
        try:
            connection = self.connections.get(test.connection)
            if connection is None:
                connection = self.server.connect(self.database, timeout=self.timeout)
                for setting in MODES.get(protocol, ()):
                    connection.simple(f"SET {setting}")
                if self.schema:
                    connection.simple(f"SET search_path TO {self.schema}")
                self.connections[test.connection] = connection
            data = None if test.copy_data is None else test.copy_data.encode()
            if protocol != "extended":
                results = connection.simple(test.sql, data)
            else:
                results = connection.extended(test.sql, test.parameters or (), data)
            return script.render(results, test)
        except (wire.WireError, wire.ConnectError) as error:
            broken = self.connections.pop(test.connection, None)
            if broken is not None:
                broken.close()
            return [f"broken {error}"]

    def close(self):
        for connection in self.connections.values():
            connection.close()


def make_room(server, name, isolate):
    """A fresh database or schema on `server`; answers (database, schema)."""
    admin = server.connect()
    try:
        kind = "SCHEMA" if isolate == "schema" else "DATABASE"
        tail = " CASCADE" if isolate == "schema" else ""
        admin.simple(f"DROP {kind} IF EXISTS {name}{tail}")
        answer = admin.simple(f"CREATE {kind} {name}")
        if answer[-1].error:
            raise servers.ServerError(f"CREATE {kind} {name}: {answer[-1].error.get('M')}")
    finally:
        admin.close()
    return (server.database, name) if isolate == "schema" else (name, None)


# The simple protocol under settings that must change no answer: a shared plan for each statement that differs from
# another in literals only; DuckDB for each query that is proven there.
MODES = {"literals": ["bop.literal_plans = always"], "engine": ["bop.route = duckdb"]}


def wire_protocol(protocol):
    return "simple" if protocol in MODES else protocol


def run_file(server, path, tests, options):
    """{(label, protocol): answer lines} of one file on one server."""
    answers = {}
    area = os.path.splitext(os.path.basename(path))[0]
    for protocol in options.protocols:
        database, schema = make_room(server, f"slt_{area}_{wire_protocol(protocol)}", options.isolate)
        session = Session(server, database, schema, options.timeout)
        for test in tests:
            if wire_protocol(protocol) in test.protocols():
                lines = session.run(test, protocol)
                answers[test.label, protocol] = lines
                if lines and lines[0].startswith("broken") and getattr(server, "process", None) is not None \
                        and server.process.poll() is not None:
                    lines.append(f"the server ended with {server.process.returncode}")
                    server.start()
        session.close()
    return answers


def read_known(path):
    """{(file, label, protocol or '*'): reason}. A line: `file label[@protocol] reason`."""
    known = {}
    if not os.path.exists(path):
        return known
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            parts = line.split(None, 2)
            if len(parts) < 3:
                raise script.ScriptError(f"{path}:{number}: needs a file, a label and a reason")
            label, _, protocol = parts[1].partition("@")
            known[parts[0], label, protocol or "*"] = parts[2]
    return known


def compare(expected, actual):
    return list(difflib.unified_diff(expected or ["(nothing recorded)"], actual, "postgresql", "answer", lineterm="",
                                     n=1))[2:]


class Report:
    """Counts and failures of one server, and the lines to print."""

    def __init__(self, title, known):
        self.title, self.known, self.used = title, known, set()
        self.counts = {}
        self.failures = []

    def add(self, area, test, protocol, actual):
        counts = self.counts.setdefault(protocol, {"passed": 0, "failed": 0, "known": 0})
        protocol = wire_protocol(protocol)
        expected = test.expected_for(protocol)
        same = expected == actual
        key = next((k for k in [(area, test.label, protocol), (area, test.label, "*")] if k in self.known), None)
        if key is not None:
            self.used.add(key)
        if same and key is None:
            counts["passed"] += 1
        elif same:
            counts["failed"] += 1
            self.failures.append((area, test, protocol, ["passes, but known_differences.txt lists it: "
                                                         + self.known[key]]))
        elif key is not None:
            counts["known"] += 1
        else:
            counts["failed"] += 1
            self.failures.append((area, test, protocol, compare(expected, actual)))

    def print(self, show):
        last = None
        shown = 0
        for area, test, protocol, lines in self.failures:
            # The same difference in both protocols is told once.
            if last == (area, test.label, lines):
                continue
            last = (area, test.label, lines)
            shown += 1
            if shown > show:
                continue
            print(f"FAIL {self.title} {area} {test.label} [{protocol}]  {one_line(test.sql, 150)}")
            for line in lines:
                print(f"    {line}")
        if shown > show:
            print(f"... and {shown - show} more")
        total_known = total = 0
        for protocol, counts in self.counts.items():
            total += sum(counts.values())
            total_known += counts["known"]
            print(f"{self.title} {protocol}: {counts['passed']} passed, {counts['failed']} failed, "
                  f"{counts['known']} known")
        percent = 100.0 * total_known / total if total else 0.0
        print(f"{self.title}: {total_known} known differences of {total} ({percent:.2f} %, at most "
              f"{MAX_KNOWN_PERCENT} %)")
        return not self.failures and percent <= MAX_KNOWN_PERCENT


def one_line(text, size):
    flat = " ".join(text.split())
    return flat if len(flat) <= size else flat[:size - 3] + "..."


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("selection", nargs="*", help="files or areas, or AREA:LABEL (runs the file up to that label)")
    parser.add_argument("--record", action="store_true", help="write PostgreSQL's answers into the files")
    parser.add_argument("--oracle", choices=["auto", "always", "never"], default="auto",
                        help="check the recording against PostgreSQL 15 (auto: where it is installed)")
    parser.add_argument("--bop", default=os.environ.get("BOP_BINARY", ""), help="the bop program to test")
    parser.add_argument("--url", default="", help="test the running server at this URL")
    parser.add_argument("--protocols", default="simple,extended", type=lambda text: text.split(","),
                        help="of simple, extended; of BOP alone also literals, engine")
    parser.add_argument("--isolate", choices=["database", "schema"], default="database")
    parser.add_argument("--timeout", type=float, default=15.0, help="seconds for one statement")
    parser.add_argument("--show", type=int, default=1000, help="how many failures to print")
    parser.add_argument("--known", default=os.path.join(HERE, "known_differences.txt"))
    parser.add_argument("--list", action="store_true", help="print the labels and their number")
    return parser.parse_args()


def select(selection):
    """[(path, label or None)], sorted by path."""
    if not selection:
        return [(path, None) for path in sorted(glob.glob(os.path.join(HERE, "*.slt")))]
    chosen = []
    for word in selection:
        name, _, label = word.partition(":")
        path = name if os.path.exists(name) else os.path.join(HERE, os.path.basename(name).removesuffix(".slt") + ".slt")
        if not os.path.exists(path):
            raise script.ScriptError(f"there is no file {name}")
        chosen.append((path, label or None))
    return chosen


def cut(tests, label):
    if label is None:
        return tests
    for at, test in enumerate(tests):
        if test.label == label:
            return tests[:at + 1]
    raise script.ScriptError(f"there is no label {label}")


def run_on(server, files, title, known, options, visit=None):
    """Runs all files on one server and prints the report; answers whether everything is as it should be."""
    report = Report(title, known)
    started = time.monotonic()
    server.start()
    try:
        for path, label, tests, trailing in files:
            area = os.path.splitext(os.path.basename(path))[0]
            answers = run_file(server, path, tests, options)
            if visit is not None:
                visit(path, tests, trailing, answers)
            for protocol in options.protocols:
                for test in tests:
                    if (test.label, protocol) in answers and label in (None, test.label):
                        report.add(area, test, protocol, answers[test.label, protocol])
    finally:
        server.stop()
    if not options.selection and options.protocols == ["simple", "extended"]:
        for area, stale, protocol in sorted(set(known) - report.used):
            report.failures.append((area, script.Test(stale, set(), "main", "", 0), protocol,
                                    ["known_differences.txt lists it, but no such test ran"]))
    good = report.print(options.show)
    print(f"{title}: {time.monotonic() - started:.1f} s")
    return good


def record(path, tests, trailing, answers):
    for test in tests:
        test.expected = {protocol: answers[test.label, protocol] for protocol in test.protocols()}
    script.write(path, tests, trailing)


def main():
    options = parse_options()
    files = []
    for path, label in select(options.selection):
        tests, trailing = script.read(path)
        files.append((path, label, cut(tests, label), trailing))
    if options.list:
        for path, _, tests, _ in files:
            print(os.path.basename(path), len(tests), " ".join(test.label for test in tests))
        print(sum(len(tests) for _, _, tests, _ in files), "statements")
        return 0
    good = True
    with_oracle = options.oracle == "always" or (options.oracle == "auto"
                                                    and servers.postgres_bin() is not None)
    if options.record:
        options.show = 0
        run_on(servers.Postgres(fsync=False), files, "postgresql", {}, options, record)
        print("recorded", sum(len(tests) for _, _, tests, _ in files), "statements")
        return 0
    if with_oracle:
        good = run_on(servers.Postgres(fsync=False), files, "postgresql", {}, options)
    if options.bop or options.url:
        subject = servers.External(options.url) if options.url else servers.Bop(options.bop)
        good = run_on(subject, files, subject.name, read_known(options.known), options) and good
    elif not with_oracle:
        print("nothing to run: PostgreSQL 15 is not installed and neither --bop nor --url is given")
        return 2
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (script.ScriptError, servers.ServerError) as problem:
        print(f"slt: {problem}", file=sys.stderr)
        sys.exit(2)
