#!/usr/bin/env python3
"""What one node does that no other server stands beside: memory of idle connections, the start after SIGKILL, and how long
small queries take while others write and compute.

    ratio idle_connection_kb VALUE ours=KB peer=20 KB      (RSS - RSS at 0) / connections; the peer is the limit
    ratio start_after_kill_s VALUE ours=S peer=1 S         from exec to the first answer
    ratio mixed_p99 VALUE ours=MS peer=MS                  -S at 8 connections beside writers and an aggregate : alone

usage: run.py --bop PROGRAM [--only idle,idle_tls,start,mixed] [--connections 10000] [--log-bytes 2G]
"""

import argparse
import asyncio
import os
import re
import resource
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "slt"))

# pylint: disable=wrong-import-position
import servers


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1])


def load():
    return f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors"


STARTUP = b"\0\3\0\0user\0bop\0database\0bop\0\0"


async def log_in(node, context):
    """An open session that has answered ReadyForQuery."""
    reader, writer = await asyncio.open_connection(node.host, node.port, limit=2048)
    if context is not None:
        writer.write(struct.pack("!ii", 8, 80877103))
        assert await reader.readexactly(1) == b"S"
        await writer.start_tls(context)
    writer.write(struct.pack("!i", len(STARTUP) + 4) + STARTUP)
    kind = b""
    while kind != b"Z":
        head = await reader.readexactly(5)
        kind, size = head[:1], struct.unpack("!i", head[1:])[0]
        body = await reader.readexactly(size - 4)
        if kind == b"E":
            raise servers.ServerError(body.replace(b"\0", b" ").decode())
    return reader, writer


async def hold(node, count, context):
    before = resident_kb(node.process.pid)
    sessions = []
    for begin in range(0, count, 50):
        sessions += await asyncio.gather(*(log_in(node, context) for _ in range(min(50, count - begin))))
    await asyncio.sleep(2)  # what the logins needed is given back
    after = resident_kb(node.process.pid)
    for _, writer in sessions:
        writer.transport.abort()
    return before, after


def idle(options, encrypted):
    need = 2 * options.connections + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, need), hard), hard))
    node = servers.Bop(options.bop, flags=["--trust-loopback", "--max-connections", str(options.connections + 100)],
                       scratch=options.scratch)
    node.start()
    context = None
    if encrypted:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        asyncio.run(hold(node, 100, context))  # pools and buffers that exist once
        before, after = asyncio.run(hold(node, options.connections, context))
    finally:
        node.stop()
    limit = 64 if encrypted else 20
    each = (after - before) / options.connections
    name = "idle_tls_connection_kb" if encrypted else "idle_connection_kb"
    print(f"ratio {name} {each / limit:.2f} ours={each:.1f} KB peer={limit} KB ({options.connections} authenticated sessions"
          f"{' under TLS' if encrypted else ''}, RSS {before} -> {after} KB; the peer is the limit; {load()})", flush=True)


def start(options):
    """Fills the log with `log_bytes`, cuts the node off and measures how long it is until it answers again."""
    flags = ["--log-retain", options.log_bytes, "--trust-loopback"]
    node = servers.Bop(options.bop, flags=flags, scratch=options.scratch)
    node.start()
    times = []
    try:
        connection = node.connect(timeout=600)
        connection.simple("CREATE TABLE filler (id bigint PRIMARY KEY, v text)")
        wanted = int(options.log_bytes.rstrip("GMB")) << (30 if options.log_bytes.endswith("GB") else 20)
        row = 0
        while retained(node) < wanted:
            result = connection.simple(f"INSERT INTO filler SELECT g, repeat(md5(g::text), 30) FROM generate_series({row}, "
                                       f"{row + 19_999}) g")[-1]
            if result.error is not None:
                raise servers.ServerError(result.error["M"])
            row += 20_000
            if row % 200_000 == 0:
                connection.simple("DELETE FROM filler")
        for _ in range(options.rounds):
            # The base is at most 64 MB behind: a checkpoint, then commits of 48 MB.
            connection.simple("CHECKPOINT")
            connection.simple("DELETE FROM filler")
            begin = written(node)
            row = 0
            while written(node) - begin < 48 << 20:
                connection.simple(f"INSERT INTO filler SELECT g, repeat(md5(g::text), 30) FROM generate_series({row}, {row + 999}) g")
                row += 1000
            kept = retained(node)
            node.kill()
            began = time.perf_counter()
            node.start()
            times.append(time.perf_counter() - began)
            connection = node.connect(timeout=600)
            count = connection.simple("SELECT count(*) FROM filler")[-1].rows
            if count != [[str(row)]]:
                raise servers.ServerError(f"{count} rows of {row} came back")
    finally:
        node.stop()
    seconds = statistics.median(times)
    print(f"ratio start_after_kill_s {seconds:.2f} ours={seconds:.2f} s peer=1 s (from exec to the first answer, {kept >> 20} MB of "
          f"log kept, 48 MB behind the base, median of {options.rounds}: {', '.join(f'{t:.2f}' for t in times)}; the peer is the "
          f"limit; {load()})", flush=True)


def metric(node, name):
    with urllib.request.urlopen(f"http://{node.host}:{node.http_port}/metrics", timeout=20) as answer:
        return int(float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M)[1]))


def retained(node):
    return metric(node, "bop_log_retained_bytes")


def written(node):
    return metric(node, "bop_log_bytes_total")


def select_p99(environment, seconds, folder):
    """p99 in ms of pgbench -S at 8 connections, from its log of transactions."""
    prefix = os.path.join(folder, f"log{time.monotonic_ns()}")
    done = subprocess.run(["pgbench", "-n", "-M", "prepared", "-c", "8", "-j", "1", "-S", "-l", f"--log-prefix={prefix}", "-T",
                           str(seconds)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise servers.ServerError(done.stderr[-500:])
    latencies = []
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if path.startswith(prefix):
            with open(path, encoding="ascii") as file:
                latencies += [int(line.split()[2]) for line in file]
            os.unlink(path)
    latencies.sort()
    return latencies[int(len(latencies) * 0.99)] / 1000, len(latencies) / seconds


def mixed(options):
    node = servers.Bop(options.bop, flags=["--trust-loopback"], scratch=options.scratch)
    node.start()
    environment = {**node.environment(), "PGSSLMODE": "disable"}
    alone, beside, commits = [], [], []
    try:
        subprocess.run(["pgbench", "-i", "-q", "-s", "10"], env=environment, check=True, capture_output=True)
        connection = node.connect()
        connection.simple("CREATE TABLE bench_insert (id bigserial PRIMARY KEY, k int NOT NULL, v text)")
        connection.close()
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, "insert.sql")
            with open(script, "w", encoding="ascii") as file:
                file.write("INSERT INTO bench_insert (k, v) VALUES (1, 'xxxxxxxxxxxxxxxxxxxx');\n")
            for _ in range(options.rounds):
                alone.append(select_p99(environment, options.seconds, folder)[0])
                over = threading.Event()

                def aggregate():
                    with_loop = node.connect(timeout=600)
                    while not over.is_set():
                        with_loop.simple("SELECT count(*), sum(abalance), max(length(filler)) FROM pgbench_accounts")
                    with_loop.close()

                thread = threading.Thread(target=aggregate)
                thread.start()
                # pylint: disable-next=consider-using-with
                writers = subprocess.Popen(["pgbench", "-n", "-M", "prepared", "-c", "4", "-j", "1", "-f", script, "-R", "2000",
                                            "-T", str(options.seconds + 2)], env=environment, stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL, text=True)
                time.sleep(1)
                beside.append(select_p99(environment, options.seconds, folder)[0])
                text = writers.communicate()[0]
                commits.append(float(re.search(r"tps = ([\d.]+)", text)[1]))
                over.set()
                thread.join()
    finally:
        node.stop()
    print(f"ratio mixed_p99 {statistics.median(b / a for a, b in zip(alone, beside)):.2f} ours={statistics.median(beside):.2f} ms "
          f"peer={statistics.median(alone):.2f} ms (-S at 8 connections beside {statistics.median(commits):.0f} commits/s and an "
          f"aggregate over 1 million rows in a loop; the peer is -S alone; {options.rounds} rounds; {load()})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bop", required=True, help="the program")
    parser.add_argument("--only", default="idle,idle_tls,start,mixed")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--log-bytes", default="2GB", help="of the log that is kept, in MB or GB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of each run of `mixed`")
    parser.add_argument("--scratch", default=None, help="the folder, and so the disk, for the node's data")
    options = parser.parse_args()
    for name in options.only.split(","):
        {"idle": lambda: idle(options, False), "idle_tls": lambda: idle(options, True), "start": lambda: start(options),
         "mixed": lambda: mixed(options)}[name]()


if __name__ == "__main__":
    try:
        main()
    except servers.ServerError as problem:
        print(f"bench/node: {problem}", file=sys.stderr)
        sys.exit(2)
