#!/usr/bin/env python3
"""BOP and PostgreSQL 15 side by side, driven by the same pgbench, in interleaved rounds.

Both servers run with their defaults: an answered commit is on disk (fsync on), passwords by SCRAM-SHA-256 (workloads
with `trust` in their name: none on both sides). Connections
are not encrypted: a fresh PostgreSQL offers no TLS, and BOP would be asked for it. In each
round every workload runs on one and then on the other, in changing order, so that both meet the same minute of a noisy
machine. Printed is the median of the rounds' ratios with the medians of both, the load average, and what the disk
itself did in the same minutes: a write of 4 KiB with fdatasync into a file written before.

    ratio NAME VALUE ours=TPS peer=TPS (durability, load, disk probe)
    ratio NAME_cpu VALUE ours=US peer=US     the servers' processor time a transaction: below 1 BOP takes less

A ratio of rates above 1 means that BOP does more. The peer of workloads whose name begins with `null` is null_server.cpp
beside this file: BOP's wire and sockets over a session that answers one constant row.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "slt"))

# pylint: disable=wrong-import-position
import servers

PAYLOAD = "x" * 100
INSERT = f"\\set k random(1, 1000000)\nINSERT INTO bench_insert (k, v) VALUES (:k, '{PAYLOAD}');\n"
PREPARE_INSERT = ["DROP TABLE IF EXISTS bench_insert",
                  "CREATE TABLE bench_insert (id bigserial PRIMARY KEY, k int NOT NULL, v text)"]

# TPC-B in one round trip: one message of several statements.
ONE_TRIP = "\\set aid random(1, 100000 * :scale)\n\\set bid random(1, :scale)\n\\set tid random(1, 10 * :scale)\n" \
    "\\set delta random(-5000, 5000)\nBEGIN\\;\nUPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid\\;\n" \
    "SELECT abalance FROM pgbench_accounts WHERE aid = :aid\\;\n" \
    "UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid\\;\n" \
    "UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid\\;\n" \
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP)\\;\nEND;\n"
# What pgbench -S does, without its look at the catalog before.
SELECT = "\\set aid random(1, 100000 * :scale)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
SCRIPTS = {"INSERT": INSERT, "ONE_TRIP": ONE_TRIP, "SELECT": SELECT}

# name: (what it measures, pgbench arguments, statements before each run)
WORKLOADS = {
    "insert_64": ("one-row INSERT commits, 64 connections", ["-M", "prepared", "-c", "64", "-j", "2", "-f", "INSERT"],
                  PREPARE_INSERT),
    "insert_1": ("one-row INSERT commits, 1 connection", ["-M", "prepared", "-c", "1", "-f", "INSERT"],
                 PREPARE_INSERT),
    "select_8": ("-S, 8 connections", ["-M", "prepared", "-c", "8", "-j", "2", "-b", "select-only"], []),
    "select_simple_8": ("-S, 8 connections, simple protocol", ["-M", "simple", "-c", "8", "-j", "2", "-b", "select-only"],
                        []),
    "tpcb_simple_8": ("TPC-B, 8 connections, simple protocol", ["-M", "simple", "-c", "8", "-j", "2", "-b", "tpcb-like"],
                      []),
    "tpcb_8": ("TPC-B, 8 connections", ["-M", "prepared", "-c", "8", "-j", "2", "-b", "tpcb-like"], []),
    "tpcb_32": ("TPC-B, 32 connections", ["-M", "prepared", "-c", "32", "-j", "2", "-b", "tpcb-like"], []),
    "tpcb_one_trip_8": ("TPC-B in one message, 8 connections",
                        ["-M", "simple", "-c", "8", "-j", "2", "-f", "ONE_TRIP", "-D", "scale=SCALE"], []),
    "reconnect_4": ("-S with a connection for each transaction, 4 at once",
                    ["-c", "4", "-j", "2", "-C", "-b", "select-only"], []),
    "reconnect_trust_4": ("-S with a connection for each transaction, 4 at once, no passwords",
                          ["-c", "4", "-j", "2", "-C", "-b", "select-only"], []),
    "null_select_8": ("-S, 8 connections, no passwords, against a constant answer",
                      ["-M", "prepared", "-c", "8", "-j", "2", "-f", "SELECT", "-D", "scale=SCALE"], []),
}
DEFAULT_WORKLOADS = "insert_64,insert_1,select_8,tpcb_8,tpcb_one_trip_8,reconnect_4,reconnect_trust_4"


class Probe:
    """4 KiB writes with fdatasync into a file that is already allocated and written, beside the servers' data."""

    SIZE = 8 << 20

    def __init__(self, folder):
        self.file, path = tempfile.mkstemp(prefix="bop-probe-", dir=folder)
        os.unlink(path)
        os.pwrite(self.file, b"\0" * self.SIZE, 0)
        os.fsync(self.file)
        self.latencies = []

    def run(self, seconds):
        block = os.urandom(4096)
        end = time.perf_counter() + seconds
        offset = 0
        while True:
            begin = time.perf_counter()
            if begin > end:
                return
            os.pwrite(self.file, block, offset)
            os.fdatasync(self.file)
            self.latencies.append(time.perf_counter() - begin)
            offset = (offset + 4096) % self.SIZE

    def text(self, latencies):
        ordered = sorted(latencies)
        if not ordered:
            return "no probe"
        rate = len(ordered) / sum(ordered)
        return (f"fdatasync of 4 KiB {rate:.0f}/s p50 {1000 * ordered[len(ordered) // 2]:.2f} ms "
                f"p99 {1000 * ordered[int(len(ordered) * 0.99)]:.2f} ms")


class NullServer(servers.Server):
    """null_server.cpp."""

    name = "null server"
    database = "bop"

    def __init__(self, binary):
        self.binary = os.path.abspath(binary)
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.binary], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def pgbench(server, arguments, timeout):
    environment = {**server.environment(), "PGSSLMODE": "disable"}
    done = subprocess.run(["pgbench", "-n", *arguments], env=environment, capture_output=True, text=True,
                          timeout=timeout, check=False)
    if done.returncode != 0:
        raise servers.ServerError(f"pgbench {' '.join(arguments)} on {server.name}:\n{done.stderr[-2000:]}")
    return done.stdout


def statements(server, texts):
    connection = server.connect(timeout=120)
    for text in texts:
        for result in connection.simple(text):
            if result.error is not None:
                raise servers.ServerError(f"{server.name}: {text}: {result.error.get('M')}")
    connection.close()


def measure(server, workload, seconds, scripts, scale):
    """(transactions a second, mean latency in ms, microseconds of the server's processor a transaction) of one run."""
    _, arguments, before = WORKLOADS[workload]
    statements(server, before)
    arguments = [scripts.get(word, word).replace("SCALE", str(scale)) for word in arguments]
    cpu = server.cpu_seconds()
    output = pgbench(server, [*arguments, "-T", str(seconds)], seconds + 120)
    time.sleep(0.2)  # PostgreSQL's processes end, and their time counts
    failed = re.search(r"number of failed transactions: (\d+)", output)
    if failed and int(failed[1]):
        raise servers.ServerError(f"{server.name}: {failed[0]} in {workload}")
    # With -C the time to connect is what is measured.
    rate = re.search(r"tps = ([\d.]+) \((?:without initial connection time|including reconnection times)\)", output)
    latency = re.search(r"latency average = ([\d.]+) ms", output)
    transactions = int(re.search(r"transactions actually processed: (\d+)", output)[1])
    return float(rate[1]), float(latency[1]), 1e6 * (server.cpu_seconds() - cpu) / max(transactions, 1)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bop", default=os.environ.get("BOP_BINARY", ""), help="the bop program")
    parser.add_argument("--against-itself", action="store_true", help="PostgreSQL in BOP's place: ratios must be near 1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of each run")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 3 seconds, scale 1: to see that it works")
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--workloads", default=DEFAULT_WORKLOADS, help="of " + ",".join(WORKLOADS))
    parser.add_argument("--scratch", default=None, help="the folder, and so the disk, for both servers' data")
    parser.add_argument("--null-server", default="", help="the program null_server; adds the workload null_select_8")
    parser.add_argument("--flag", action="append", default=[], help="a flag for bop serve, such as --flag=--wal-limit=1")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.scale = 3, 3, 1
    return options


def run_rounds(pairs, workloads, options, probe):
    """{workload: [(our tps, ms, us of processor, peer's three, load, probe latencies)]}; `pairs`: (ours, peer) of each."""
    results = {name: [] for name in workloads}
    with tempfile.TemporaryDirectory() as folder:
        scripts = {name: os.path.join(folder, name.lower() + ".sql") for name in SCRIPTS}
        for name, path in scripts.items():
            with open(path, "w", encoding="utf-8") as file:
                file.write(SCRIPTS[name])
        for number in range(options.rounds):
            for name in workloads:
                load = os.getloadavg()[0]
                probe.latencies = []
                probe.run(0.5)
                ours, peer = pairs[name]
                order = [ours, peer] if number % 2 == 0 else [peer, ours]
                measured = {}
                for server in order:
                    measured[server] = measure(server, name, options.seconds, scripts, options.scale)
                    probe.run(0.25)
                ratio = measured[ours][0] / measured[peer][0]
                print(f"  round {number + 1} {name}: ratio {ratio:.3f} ours={measured[ours][0]:.0f} "
                      f"peer={measured[peer][0]:.0f} tps (load {load:.2f}, {probe.text(probe.latencies)})", flush=True)
                results[name].append((*measured[ours], *measured[peer], load, probe.latencies))
    return results


def lane_hold(server):
    """(transactions that held the writer lane, seconds) so far, by the node's metrics."""
    address = f"http://{server.host}:{server.http_port}/metrics"
    with urllib.request.urlopen(address, timeout=20) as answer:
        text = answer.read().decode()
    figures = dict(re.findall(r"^bop_writer_lane_hold_seconds_(count|sum) (\S+)$", text, re.M))
    return float(figures["count"]), float(figures["sum"])


def report(results, probe, durability):
    for name, rows in results.items():
        ratios = sorted(row[0] / row[3] for row in rows)
        ours, our_ms, our_cpu, peer, peer_ms, peer_cpu, load = (statistics.median(row[i] for row in rows)
                                                                for i in range(7))
        latencies = [latency for row in rows for latency in row[7]]
        print(f"ratio {name} {statistics.median(ratios):.3f} ours={ours:.0f} peer={peer:.0f} ({durability}; "
              f"load {load:.2f}; {probe.text(latencies)}; {WORKLOADS[name][0]}, {len(rows)} rounds, ratios "
              f"{ratios[0]:.3f}..{ratios[-1]:.3f}, ms ours={our_ms:.2f} peer={peer_ms:.2f})")
        print(f"ratio {name}_cpu {statistics.median(row[2] / row[5] for row in rows):.3f} ours={our_cpu:.0f} "
              f"peer={peer_cpu:.0f} (us of the server's processor a transaction)")


def main():
    options = parse_options()
    workloads = [name for name in options.workloads.split(",") if name]
    unknown = [name for name in workloads if name not in WORKLOADS]
    if unknown:
        raise servers.ServerError(f"unknown workloads {unknown}; there are {', '.join(WORKLOADS)}")
    if not options.bop and not options.against_itself:
        raise servers.ServerError("--bop PATH is needed (or --against-itself)")
    if options.null_server and "null_select_8" not in workloads:
        workloads.append("null_select_8")
    started = {}

    def server_of(kind):
        """A running server of this kind, with pgbench's tables."""
        if kind in started:
            return started[kind]
        if kind == "null":
            if not options.null_server:
                raise servers.ServerError("--null-server PROGRAM is needed")
            server = NullServer(options.null_server)
        elif kind.startswith("peer") or options.against_itself:
            password = "" if kind.endswith("trust") else "bench-password"
            server = servers.Postgres(scratch=options.scratch, password=password)
            server.name = kind
        else:
            flags = [*options.flag, *(["--trust-loopback"] if kind.endswith("trust") else [])]
            server = servers.Bop(options.bop, flags=flags, scratch=options.scratch)
        started[kind] = server
        server.start()
        if kind != "null" and not all(name.startswith("insert") for name in workloads):
            begin = time.monotonic()
            pgbench(server, ["-i", "-q", "-s", str(options.scale)], 1800)
            print(f"  pgbench -i -s {options.scale} on {server.name}: {time.monotonic() - begin:.1f} s", flush=True)
        return server

    probe = Probe(options.scratch)
    try:
        pairs = {}
        for name in workloads:
            way = "_trust" if "trust" in name or name.startswith("null") else ""
            pairs[name] = (server_of("ours" + way), server_of("null" if name.startswith("null") else "peer" + way))
        results = run_rounds(pairs, workloads, options, probe)
        if not options.against_itself and any(name.startswith("tpcb") for name in workloads):
            count, seconds = lane_hold(started["ours"])
            print(f"writer lane: held {1e6 * seconds / max(count, 1):.0f} us by each of {count:.0f} transactions, the time in "
                  "which their clients answer included")
    finally:
        for server in started.values():
            server.stop()
    durability = f"ours {'fsync=on' if options.against_itself else 'durable before the answer'}, peer fsync=on " \
                 f"synchronous_commit=on, scram-sha-256, {os.cpu_count()} processors"
    report(results, probe, durability)


if __name__ == "__main__":
    try:
        main()
    except servers.ServerError as problem:
        print(f"bench/pg: {problem}", file=sys.stderr)
        sys.exit(2)
