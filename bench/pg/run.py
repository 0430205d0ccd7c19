#!/usr/bin/env python3
"""BOP and PostgreSQL 15 side by side, driven by the same pgbench, in interleaved rounds.

Both servers run with their defaults: an answered commit is on disk (fsync on), passwords by SCRAM-SHA-256. Connections
are not encrypted: a fresh PostgreSQL offers no TLS, and BOP would be asked for it. In each
round every workload runs on one and then on the other, in changing order, so that both meet the same minute of a noisy
machine. Printed is the median of the rounds' ratios with the medians of both, the load average, and what the disk
itself did in the same minutes: a write of 4 KiB with fdatasync into a file written before.

    ratio NAME VALUE ours=TPS peer=TPS (durability, load, disk probe)

A ratio above 1 means that BOP does more.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "slt"))

# pylint: disable=wrong-import-position
import servers

PAYLOAD = "x" * 100
INSERT = f"\\set k random(1, 1000000)\nINSERT INTO bench_insert (k, v) VALUES (:k, '{PAYLOAD}');\n"
PREPARE_INSERT = ["DROP TABLE IF EXISTS bench_insert",
                  "CREATE TABLE bench_insert (id bigserial PRIMARY KEY, k int NOT NULL, v text)"]

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
    "reconnect_4": ("-S with a connection for each transaction, 4 at once",
                    ["-c", "4", "-j", "2", "-C", "-b", "select-only"], []),
}
DEFAULT_WORKLOADS = "insert_64,insert_1,select_8,tpcb_8,reconnect_4"


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


def measure(server, workload, seconds, script):
    """(transactions a second, mean latency in ms, microseconds of the server's processor a transaction) of one run."""
    _, arguments, before = WORKLOADS[workload]
    statements(server, before)
    arguments = [script if word == "INSERT" else word for word in arguments]
    cpu = server.cpu_seconds()
    output = pgbench(server, [*arguments, "-T", str(seconds)], seconds + 120)
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
    parser.add_argument("--flag", action="append", default=[], help="a flag for bop serve, such as --flag=--wal-limit=1")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.scale = 3, 3, 1
    return options


def run_rounds(ours, peer, workloads, options, probe):
    """{workload: [(our tps, ms, us of processor, peer's three, load, probe latencies)]}"""
    results = {name: [] for name in workloads}
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "insert.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write(INSERT)
        for number in range(options.rounds):
            for name in workloads:
                load = os.getloadavg()[0]
                probe.latencies = []
                probe.run(0.5)
                order = [ours, peer] if number % 2 == 0 else [peer, ours]
                measured = {}
                for server in order:
                    measured[server] = measure(server, name, options.seconds, script)
                    probe.run(0.25)
                ratio = measured[ours][0] / measured[peer][0]
                print(f"  round {number + 1} {name}: ratio {ratio:.3f} ours={measured[ours][0]:.0f} "
                      f"peer={measured[peer][0]:.0f} tps (load {load:.2f}, {probe.text(probe.latencies)})", flush=True)
                results[name].append((*measured[ours], *measured[peer], load, probe.latencies))
    return results


def report(results, probe, durability):
    for name, rows in results.items():
        ratios = sorted(row[0] / row[3] for row in rows)
        ours, our_ms, our_cpu, peer, peer_ms, peer_cpu, load = (statistics.median(row[i] for row in rows)
                                                                for i in range(7))
        latencies = [latency for row in rows for latency in row[7]]
        print(f"ratio {name} {statistics.median(ratios):.3f} ours={ours:.0f} peer={peer:.0f} ({durability}; "
              f"load {load:.2f}; {probe.text(latencies)}; {WORKLOADS[name][0]}, {len(rows)} rounds, ratios "
              f"{ratios[0]:.3f}..{ratios[-1]:.3f}, ms ours={our_ms:.2f} peer={peer_ms:.2f}, us of server processor a "
              f"transaction ours={our_cpu:.0f} peer={peer_cpu:.0f})")


def main():
    options = parse_options()
    workloads = [name for name in options.workloads.split(",") if name]
    unknown = [name for name in workloads if name not in WORKLOADS]
    if unknown:
        raise servers.ServerError(f"unknown workloads {unknown}; there are {', '.join(WORKLOADS)}")
    if not options.bop and not options.against_itself:
        raise servers.ServerError("--bop PATH is needed (or --against-itself)")
    peer = servers.Postgres(scratch=options.scratch, password="bench-password")
    if options.against_itself:
        ours = servers.Postgres(scratch=options.scratch, password="bench-password")
        ours.name = "postgresql again"
    else:
        ours = servers.Bop(options.bop, flags=options.flag, scratch=options.scratch)
    probe = Probe(options.scratch)
    try:
        for server in (ours, peer):
            server.start()
            if any(name.startswith(("tpcb", "select", "reconnect")) for name in workloads):
                started = time.monotonic()
                pgbench(server, ["-i", "-q", "-s", str(options.scale)], 1800)
                print(f"  pgbench -i -s {options.scale} on {server.name}: {time.monotonic() - started:.1f} s", flush=True)
        results = run_rounds(ours, peer, workloads, options, probe)
    finally:
        ours.stop()
        peer.stop()
    durability = f"ours {'fsync=on' if options.against_itself else 'durable before the answer'}, peer fsync=on " \
                 f"synchronous_commit=on, scram-sha-256, {os.cpu_count()} processors"
    report(results, probe, durability)


if __name__ == "__main__":
    try:
        main()
    except servers.ServerError as problem:
        print(f"bench/pg: {problem}", file=sys.stderr)
        sys.exit(2)
