#!/usr/bin/env python3
"""The commit stream and RocksDB's log side by side: durable appends of 1 KB by 1, 16 and 64 producers, and one
producer against the raw disk, in interleaved rounds.

Both answer a producer when its record is on disk: ours with O_DIRECT|O_DSYNC writes into prewritten segments, RocksDB
(db_bench fillseq, sync=1) with its group commit and fdatasync. The probe is one thread of pwrite with
O_DIRECT|O_DSYNC in blocks of 4096 into a prewritten file. In each round both sides run, in changing order, so that
both meet the same minute of a noisy machine. Printed is the median of the rounds' ratios with the medians of both:

    ratio NAME VALUE ours=FIGURE peer=FIGURE (unit, durability, load)

A ratio above 1 means that BOP does more; for latencies it is ours / peer, and below 1 is better.

usage: run.py <aof_bench> [--directory D] [--rounds N] [--seconds S] [--threads 1,16,64] [--disk auto|io_uring|pwritev]
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile

VALUE_BYTES = 1024
DURABILITY = "both durable before the answer"


def fields(line):
    return {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.]+)", line)}


class Bench:
    def __init__(self, program, directory, seconds, disk):
        self.disk = disk
        self.program = program
        self.directory = directory
        self.seconds = seconds
        self.peer_operations = {}

    def _run(self, command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.stdout[-500:]}{done.stderr[-500:]}")
        return done.stdout

    def ours(self, threads):
        folder = os.path.join(self.directory, "ours")
        shutil.rmtree(folder, ignore_errors=True)
        out = self._run([self.program, "append", "--directory", folder, "--threads", str(threads),
                         "--seconds", str(self.seconds), "--value-bytes", str(VALUE_BYTES), "--disk", self.disk])
        shutil.rmtree(folder, ignore_errors=True)
        return fields(out)

    def probe(self):
        return fields(self._run([self.program, "probe", "--directory", self.directory,
                                 "--seconds", str(self.seconds)]))

    def rocksdb(self, threads):
        # db_bench counts operations; the first run finds how many fill the time.
        operations = self.peer_operations.get(threads, 300)
        folder = os.path.join(self.directory, "rocksdb")
        shutil.rmtree(folder, ignore_errors=True)
        out = self._run(["db_bench", "--benchmarks=fillseq", f"--db={folder}", f"--value_size={VALUE_BYTES}",
                         "--sync=1", f"--threads={threads}", f"--num={operations}", "--compression_type=none"])
        shutil.rmtree(folder, ignore_errors=True)
        found = re.search(r"fillseq\s*:.*?([0-9]+) ops/sec", out)
        if found is None:
            raise SystemExit(f"db_bench: {out[-500:]}")
        rate = float(found.group(1))
        first = threads not in self.peer_operations
        self.peer_operations[threads] = max(100, int(rate * self.seconds / threads))
        return self.rocksdb(threads) if first else rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--directory", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--threads", default="1,16,64")
    parser.add_argument("--disk", default="auto", help="auto, io_uring or pwritev")
    arguments = parser.parse_args()
    counts = [int(text) for text in arguments.threads.split(",")]
    with tempfile.TemporaryDirectory(prefix="bop-bench-aof-", dir=arguments.directory) as directory:
        bench = Bench(os.path.abspath(arguments.program), directory, arguments.seconds, arguments.disk)
        rates = {count: ([], []) for count in counts}
        latencies = {"p50_us": ([], []), "p99_us": ([], [])}
        for number in range(arguments.rounds):
            for count in counts:
                pair = [lambda: bench.ours(count)["ops_per_s"], lambda: bench.rocksdb(count)]
                results = [None, None]
                for side in ((0, 1) if number % 2 == 0 else (1, 0)):
                    results[side] = pair[side]()
                rates[count][0].append(results[0])
                rates[count][1].append(results[1])
            sides = [lambda: bench.ours(1), bench.probe]
            results = [None, None]
            for side in ((0, 1) if number % 2 == 0 else (1, 0)):
                results[side] = sides[side]()
            for name, (ours, peer) in latencies.items():
                ours.append(results[0][name])
                peer.append(results[1][name])
        load = f"disk {arguments.disk}, load {os.getloadavg()[0]:.1f}"

        def show(name, ours, peer, unit):
            ratio = statistics.median(a / b for a, b in zip(ours, peer))
            print(f"ratio {name} {ratio:.2f} ours={statistics.median(ours):.0f} peer={statistics.median(peer):.0f} "
                  f"({unit}, {DURABILITY}, {arguments.rounds} rounds, {load})")

        for count in counts:
            show(f"aof_append_1k_{count}", *rates[count], "commits/s, peer RocksDB sync WAL")
        for name, (ours, peer) in latencies.items():
            show(f"aof_latency_1_{name}", ours, peer, "us, one producer, peer raw O_DSYNC probe, lower is better")


if __name__ == "__main__":
    main()
