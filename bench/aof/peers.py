#!/usr/bin/env python3
"""The log as a library beside its peers, in interleaved rounds on one disk, all durable before they answer.

  raft_engine   64 producers of 1 KB: raft-engine (crate), log files filled before and recycled, no compression
  rocksdb       the same: RocksDB's log (db_bench fillseq, sync=1)
  redis         64 clients over loopback: Redis with appendonly, appendfsync always; ours is bench/aof/log_server
  etcd          the same clients on etcd, one node
  fio           16 producers of 64 KB: fio, psync, O_DIRECT and O_DSYNC into a file that is there, 16 jobs
  volatile      appends that nobody waits for: memcpy of the same values, in one thread
  tail          from an append to a polling reader; no peer
  strategies    the specification's table of throughputs; the peer is its figure
  recovery      opening 1, 10 and 100 GB (sparse) after a crash and after a close; no peer

In each round both sides run, in changing order, and a probe of the raw disk beside them (one thread of pwrite with
O_DIRECT|O_DSYNC, 4096 bytes). Printed are the medians, of the ratios too:

    ratio NAME VALUE ours=FIGURE peer=FIGURE (unit, range of the ratios, probe, load)

Peers are fetched on demand into the cache and are no part of a build: the crate by cargo, the clients by go, etcd as
a package that is only unpacked, fio and redis-tools (no service) by apt-get. A peer that cannot be had is skipped.

usage: peers.py BUILD [--directory D] [--rounds N] [--seconds S] [--only NAME,...]
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("BOP_CACHE", pathlib.Path.home() / ".cache" / "bop")) / "bench"
VALUE_BYTES = 1024
CLIENTS = 64
# Records a second by strategy and size: spec/aof-v2-design.md, "Throughput Benchmarks".
SIZES = (64, 1024, 16384, 65536)
SPECIFIED = {
    "sync": (50_000, 25_000, 5_000, 1_250),
    "batched_100": (500_000, 250_000, 50_000, 12_500),
    "batched_1000": (800_000, 400_000, 80_000, 20_000),
    "async": (1_000_000, 500_000, 100_000, 25_000),
}


class Missing(Exception):
    """A peer that cannot be had here."""


def call(*command, timeout=600, **options):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                              check=False, **options)
    except FileNotFoundError as missing:
        raise Missing(str(missing)) from missing
    if done.returncode != 0:
        raise Missing(f"{' '.join(map(str, command))}: {done.stdout[-300:]}{done.stderr[-500:]}")
    return done.stdout


def fields(text):
    return {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.]+)", text)}


def raft_engine():
    call("cargo", "build", "--locked", "--release", "--quiet", "--manifest-path", HERE / "raft_engine" / "Cargo.toml",
         "--target-dir", CACHE / "raft_engine", timeout=1200)
    return CACHE / "raft_engine" / "release" / "raft_engine_load"


def server_load():
    program = CACHE / "server_load"
    call("go", "build", "-mod=readonly", "-o", program, ".", cwd=HERE / "server_load", timeout=1200)
    return program


def packaged(program, package):
    if not shutil.which(program):
        call("apt-get", "install", "-y", "--no-install-recommends", package,
             env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    return shutil.which(program)


def redis():
    """The server is the checking tool under another name; the package redis-server would only add a service."""
    server = CACHE / "redis-server"
    if not server.exists():
        server.symlink_to(packaged("redis-check-rdb", "redis-tools"))
    return server


def etcd():
    server = CACHE / "etcd" / "usr" / "bin" / "etcd"
    if not server.exists():
        with tempfile.TemporaryDirectory() as folder:
            call("apt-get", "download", "etcd-server", cwd=folder)
            (package,) = pathlib.Path(folder).glob("*.deb")
            call("dpkg", "-x", package, CACHE / "etcd")
    return server


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def server(port, *command):
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Missing(f"{command[0]} did not start")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


class Bench:
    def __init__(self, build, directory, rounds, seconds):
        self.build = build
        self.top = pathlib.Path(directory)
        self.rounds = rounds
        self.seconds = seconds

    @contextlib.contextmanager
    def folder(self):
        with tempfile.TemporaryDirectory(dir=self.top) as folder:
            yield pathlib.Path(folder) / "data"

    def library(self, command, *arguments, seconds=None):
        with self.folder() as folder:
            return fields(call(self.build / "library_bench", command, "--directory", folder,
                               "--seconds", seconds or self.seconds, *arguments))

    def probe(self):
        return fields(call(self.build / "aof_bench", "probe", "--directory", self.top, "--seconds", 0.5))["p50_us"]

    def pairs(self, ours, peer):
        results = []
        probes = []
        for number in range(self.rounds):
            probes.append(self.probe())
            sides = [None, None]
            for side in ((0, 1) if number % 2 == 0 else (1, 0)):
                sides[side] = (ours, peer)[side]()
            results.append(sides)
        return results, statistics.median(probes)

    def show(self, name, results, unit, probe, inverse=False):
        ratios = sorted((b / a if inverse else a / b) for a, b in results)
        print(f"ratio {name} {statistics.median(ratios):.2f} ours={statistics.median(a for a, _ in results):.0f} "
              f"peer={statistics.median(b for _, b in results):.0f} ({unit}; ratios {ratios[0]:.2f} to {ratios[-1]:.2f}; "
              f"raw write p50 {probe:.0f} us; load {os.getloadavg()[0]:.1f})", flush=True)

    def durable(self):
        return self.library("durable", "--threads", CLIENTS, "--value-bytes", VALUE_BYTES)["ops_per_s"]

    def raft_engine(self):
        program = raft_engine()

        def peer():
            with self.folder() as folder:
                return fields(call(program, folder, CLIENTS, self.seconds, VALUE_BYTES))["ops_per_s"]
        results, probe = self.pairs(self.durable, peer)
        self.show("raft_engine_1k_64", results, "durable appends/s, 64 producers, 1 KB", probe)

    def rocksdb(self):
        program = packaged("db_bench", "rocksdb-tools")
        operations = 300

        def peer():
            with self.folder() as folder:
                out = call(program, "--benchmarks=fillseq", f"--db={folder}", f"--value_size={VALUE_BYTES}", "--sync=1",
                           f"--threads={CLIENTS}", f"--num={operations}", "--compression_type=none")
            return float(re.search(r"fillseq\s*:.*?([0-9]+) ops/sec", out)[1])
        operations = max(100, int(peer() * self.seconds / CLIENTS))
        results, probe = self.pairs(self.durable, peer)
        self.show("rocksdb_1k_64", results, "durable appends/s, 64 producers, 1 KB", probe)

    def loaded(self, kind, command):
        load = server_load()
        port = free_port()
        with self.folder() as folder:
            folder.mkdir()
            with server(port, *command(folder, port)):
                return fields(call(load, kind, f"127.0.0.1:{port}", CLIENTS, self.seconds, VALUE_BYTES))

    def log_server(self):
        return self.loaded("redis", lambda folder, port: (self.build / "log_server", folder / "log", port))["ops_per_s"]

    def redis(self):
        program = redis()

        def command(folder, port):
            return (program, "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes",
                    "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", 0)
        results, probe = self.pairs(self.log_server, lambda: self.loaded("redis", command)["ops_per_s"])
        self.show("redis_64", results, "durable stores/s, 64 clients over loopback, 1 KB", probe)

    def etcd(self):
        program = etcd()

        def command(folder, port):
            client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
            return (program, "--data-dir", folder / "etcd", "--listen-client-urls", client, "--advertise-client-urls",
                    client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                    f"default={peer}", "--logger", "zap", "--log-level", "error", "--snapshot-count", 1_000_000)
        results, probe = self.pairs(self.log_server, lambda: self.loaded("etcd", command)["ops_per_s"])
        self.show("etcd_64", results, "durable stores/s, 64 clients over loopback, 1 KB", probe)

    def fio(self):
        program = packaged("fio", "fio")
        size = 65536

        def peer():
            with self.folder() as folder:
                folder.mkdir()
                options = (f"--filename={folder}/file", "--name=w", "--rw=write", f"--bs={size}", "--direct=1",
                           "--ioengine=psync", "--minimal")
                call(program, *options, "--size=256M", "--end_fsync=1")
                out = call(program, *options, "--sync=dsync", "--overwrite=1", "--numjobs=16", "--size=16M",
                           "--offset_increment=16M", "--time_based", f"--runtime={self.seconds}", "--group_reporting")
            return float(out.split(";")[47]) * 1024 / 1e6  # KiB a second of writes

        def ours():
            return self.library("durable", "--threads", 16, "--value-bytes", size)["ops_per_s"] * size / 1e6
        results, probe = self.pairs(ours, peer)
        self.show("fio_64k_16", results, "MB/s durable, 64 KB, depth 16", probe)

    def volatile(self):
        rounds = [self.library("volatile", "--value-bytes", VALUE_BYTES) for _ in range(self.rounds)]
        probe = self.probe()
        self.show("volatile_memcpy_1k", [(r["append_mb_per_s"], r["memcpy_mb_per_s"]) for r in rounds], "MB/s", probe)
        for name, limit in (("p50_ns", 150), ("p99_ns", 1000), ("p9999_ns", 1000)):
            self.show(f"volatile_{name}", [(r[name], limit) for r in rounds], "ns; the peer is the goal; lower is better", probe)

    def tail(self):
        rounds = [self.library("tail", "--value-bytes", VALUE_BYTES) for _ in range(self.rounds)]
        for name, limit in (("p50_ns", 1000), ("p99_ns", 20000)):
            self.show(f"tail_{name}", [(r[name], limit) for r in rounds], "ns; the peer is the goal; lower is better",
                      self.probe())

    def strategies(self):
        for name, specified in SPECIFIED.items():
            strategy, _, batch = name.partition("_")
            for size, figure in zip(SIZES, specified):
                arguments = ["--strategy", strategy, "--value-bytes", size, "--batch", batch or 1,
                             "--threads", CLIENTS if strategy == "sync" else 1]
                rates = [self.library("strategy", *arguments)["ops_per_s"] for _ in range(self.rounds)]
                self.show(f"{name}_{size}", [(rate, figure) for rate in rates], f"records/s, {size} bytes", self.probe())

    def recovery(self):
        for gigabytes in (1, 10, 100):
            with self.folder() as folder:
                call(self.build / "library_bench", "make", "--directory", folder, "--segments", gigabytes * 16,
                     "--value-bytes", VALUE_BYTES)
                crashed = fields(call(self.build / "library_bench", "open", "--directory", folder))["open_ms"]
                closed = [fields(call(self.build / "library_bench", "open", "--directory", folder))["open_ms"]
                          for _ in range(self.rounds)]
            print(f"recovery {gigabytes} GB: {crashed:.0f} ms after a crash, {statistics.median(closed):.0f} ms after a close "
                  f"(load {os.getloadavg()[0]:.1f})", flush=True)


NAMES = ("raft_engine", "rocksdb", "redis", "etcd", "fio", "volatile", "tail", "strategies", "recovery")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default=",".join(NAMES))
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bop-bench-aof-", dir=arguments.directory) as directory:
        bench = Bench(arguments.build.resolve(), directory, arguments.rounds, arguments.seconds)
        for name in arguments.only.split(","):
            if name not in NAMES:
                parser.error(f"{name} is none of {', '.join(NAMES)}")
            try:
                getattr(bench, name)()
            except Missing as why:
                print(f"skip {name}: {why}", flush=True)


if __name__ == "__main__":
    main()
