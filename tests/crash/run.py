#!/usr/bin/env python3
"""SIGKILL under mixed traffic: no acknowledged commit is lost, doubled or torn, no shown one vanishes.

One round: 16 clients in 4 processes write and read (traffic.py: single rows, COPY, transactions of more than a record,
DDL, sequences, checkpoints, volatile sessions) and keep their own record (journal.py); the server is
killed at a random moment, sometimes again while it recovers, and restarted; verify.py compares the database with the
records. The clients' processes survive, so their records need no disk. Rounds go on with the same data directory, and
with a new one every --rounds-per-directory.

`--self-test` proves that the verification can fail: after a round it takes an acknowledged row away, doubles, tears
and changes rows and so on, each in a transaction that is rolled back, and demands that each is found.
"""

import argparse
import copy
import multiprocessing
import multiprocessing.connection
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slt"))

# pylint: disable=wrong-import-position
import servers
import traffic
import verify
import wire
from journal import ACKED, DOUBT, LOOSE, SHARED_COUNTER, VOID, Journal

CLIENTS, PROCESSES = 16, 4
# Every other directory: segments fill and are trimmed, transactions go in parts, the WAL is emptied under the writers.
SMALL = ["--segment-size=1MB", "--wal-limit=1MB", "--wal-memory=1MB", "--max-unacknowledged=1MB"]


def work(server, journals, seed, pipe):
    """One client process: its threads run until the server dies; then the journals go back through the pipe."""
    connected = threading.Semaphore(0)
    clients = [traffic.Client(server, journal, CLIENTS, f"{seed} {journal.client}") for journal in journals]
    threads = [threading.Thread(target=c.run, args=(lambda: False, connected.release), daemon=True) for c in clients]
    for thread in threads:
        thread.start()
    for _ in threads:
        connected.acquire(timeout=30)
    pipe.send("connected")
    for thread in threads:
        thread.join()
    pipe.send(journals)
    pipe.close()


class Round:
    """Traffic against a running server, and its violent end."""

    def __init__(self, server, journals, seed):
        self.server, self.journals, self.seed = server, journals, seed

    def run(self, seconds):
        """Kills the server `seconds` after all clients are connected; answers the journals as they are then."""
        context = multiprocessing.get_context("fork")
        pipes, processes = [], []
        for index in range(PROCESSES):
            mine, theirs = context.Pipe()
            process = context.Process(target=work, args=(self.server, self.journals[index::PROCESSES], self.seed,
                                                         theirs))
            process.start()
            theirs.close()
            pipes.append(mine)
            processes.append(process)
        early = [pipe.recv() for pipe in pipes]
        assert all(word == "connected" for word in early)
        # The pipes stay silent unless the clients lose the server before it is killed.
        self.died_early = bool(multiprocessing.connection.wait(pipes, timeout=seconds)) \
            and self.server.process.poll() is not None
        self.server.kill()
        journals = []
        for pipe in pipes:
            journals += pipe.recv()
        for process in processes:
            process.join()
        return sorted(journals, key=lambda journal: journal.client)


def sabotages(journals, found):
    """(what the verification must call it, how to do it): each makes one fault out of what is really there."""
    def some(kind, fate):
        return next((j.client, n) for j in journals for n, f in j.units[kind].items() if f == fate)

    client, number = some("singles", ACKED)
    one = f"client = {client} AND number = {number}"
    yield "lost", f"DELETE FROM singles WHERE {one}"
    yield "doubled", f"INSERT INTO singles SELECT * FROM singles WHERE {one}"
    yield "changed", f"UPDATE singles SET payload = 'rot' WHERE {one}"
    client, number = some("copied", ACKED)
    yield "torn", f"DELETE FROM copied WHERE client = {client} AND number = {number} AND part = 17"
    client, number = some("bigs", ACKED)
    yield "torn", f"DELETE FROM bigs WHERE client = {client} AND number = {number} AND part = 3"
    client, number = some("moves", ACKED)
    yield "lost", f"DELETE FROM moves WHERE client = {client} AND number = {number}"
    client, number = some("singles", VOID)
    yield "void", f"INSERT INTO singles VALUES ({client}, {number}, 'ghost')"
    yield "sum", "UPDATE accounts SET balance = balance + 1 WHERE id = 3"
    yield "torn", "UPDATE accounts SET balance = balance + CASE id WHEN 3 THEN 1 ELSE -1 END WHERE id IN (3, 4)"
    yield "lost", f"UPDATE counters SET value = value - 1 WHERE id = {client}"
    yield "lost", f"UPDATE counters SET value = 0 WHERE id = {SHARED_COUNTER}"
    client, number = some("loaded", ACKED)
    yield "torn", f"DELETE FROM loaded WHERE client = {client} AND number = {number} AND part >= 300"
    yield "lost", f"DELETE FROM loaded WHERE client = {client} AND number = {number}"
    yield "changed", (f"UPDATE loaded SET payload = overlay(payload placing 'rot' from 1000) "
                      f"WHERE client = {client} AND number = {number} AND part = 7")
    yield "unknown", "INSERT INTO singles VALUES (3, 999999999, 'x')"
    table = next((f"made_{j.client}_{n}" for j in journals for n, (m, d) in j.tables.items()
                  if m == ACKED and d is None), None)
    if table is not None:
        yield "lost", f"DROP TABLE {table}"
    table, version = next((f"made_{j.client}_{n}", v) for j in journals for n, (v, doubt) in j.versions.items()
                          if v > 0 and not doubt and j.tables[n] == (ACKED, None))
    yield "torn", f"DROP INDEX {table}_c{version}"
    yield "torn", f"ALTER TABLE {table} DROP COLUMN extra"
    yield "torn", f"DELETE FROM {table} WHERE id = {3 + version}"
    yield "torn", f"CREATE INDEX {table}_more ON {table} (id)"
    yield "lost", (f"ALTER TABLE {table} DROP COLUMN c{version}; DELETE FROM {table} WHERE id = {3 + version}; "
                   f"DROP INDEX IF EXISTS {table}_c{version}")
    client, number = next((j.client, n) for j in journals for n in sorted(j.units["loose"])
                          if (j.client, n) in found.units["loose"] and
                          any((j.client, later) in found.units["loose"] for later in j.units["loose"] if later > n)
                          and j.units["loose"][n] == LOOSE)
    yield "hole", f"DELETE FROM loose WHERE client = {client} AND number = {number}"
    yield "doubled", f"INSERT INTO loose SELECT * FROM loose WHERE client = {client} AND number = {number}"
    shown = next((s for j in journals for s in j.shown if s[0] == "singles"), None)
    if shown is not None:
        yield "vanished", f"DELETE FROM singles WHERE client = {shown[1]} AND number = {shown[2]}"
    shown = next(s for j in journals for s in j.shown_counters.items() if s[1] > 0)
    yield "vanished", f"UPDATE counters SET value = 0 WHERE id = {shown[0]}"
    # Not undone by the rollback, so they come last.
    yield "reused", "SELECT setval('tickets', 1)"
    client = next(j.client for j in journals if j.floor > 1)
    yield "reused", f"SELECT setval('own_{client}', 1)"


def self_test(server, journals, since, found):
    """Answers how many sabotages stayed unnoticed."""
    connection = server.connect(timeout=120)
    unnoticed = 0
    for expected, sql in sabotages(journals, found):
        connection.simple("BEGIN")
        result = connection.simple(sql)[-1]
        if result.error is not None or result.tag.endswith(" 0"):
            raise RuntimeError(f"the sabotage did nothing: {sql}: {result.error}")
        findings, _ = verify.compare(connection, copy.deepcopy(journals), since)
        connection.simple("ROLLBACK")
        noticed = any(kind == expected for kind, _ in findings)
        unnoticed += not noticed
        print(f"  {'found' if noticed else 'NOT FOUND'}: {expected}: {sql[:100]}")
    connection.close()
    return unnoticed


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    servers.add_target_options(parser, default="bop")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="0: a new one, which is printed")
    parser.add_argument("--rounds-per-directory", type=int, default=5)
    parser.add_argument("--flag", action="append", help="of the node, for every directory (repeat)")
    parser.add_argument("--min-seconds", type=float, default=0.3)
    parser.add_argument("--max-seconds", type=float, default=3.0)
    parser.add_argument("--self-test", action="store_true", help="one round, then faults that must be found")
    parser.add_argument("--keep", action="store_true", help="keep the data directory of a failed round")
    return parser.parse_args()


def restart(server, chance):
    """Starts the server again, sometimes killing it while it recovers; answers (seconds, kills)."""
    kills = 0
    while chance.random() < 0.25 and kills < 2:
        kills += 1
        starter = threading.Thread(target=start_quietly, args=(server,))
        before = server.process
        starter.start()
        deadline = time.monotonic() + 10
        while server.process is before and time.monotonic() < deadline:
            starter.join(0.001)
        starter.join(chance.uniform(0.0, 0.4))
        server.kill()
        starter.join()
    started = time.monotonic()
    server.start()
    return time.monotonic() - started, kills


def start_quietly(server):
    try:
        server.start()
    except servers.ServerError:
        pass


def new_server(options, number):
    """For the directory of this number."""
    flags = options.flag or (SMALL if number % 2 == 1 else [])
    print(f"directory {number}: {' '.join(flags) or 'default settings'}", flush=True)
    server = servers.open_target(options, flags=flags)
    server.start()
    connection = server.connect()
    traffic.fill(connection, CLIENTS)
    connection.close()
    return server, [Journal(client) for client in range(CLIENTS)]


def run_round(server, journals, number, seed, options):
    """One round; answers (journals, findings, since)."""
    chance = random.Random(f"{seed} {number}")
    seconds = chance.uniform(options.min_seconds, options.max_seconds)
    since = {journal.client: journal.next_number for journal in journals}
    before = sum(journal.count(ACKED) for journal in journals)
    traffic_round = Round(server, journals, f"{seed} {number}")
    journals = traffic_round.run(seconds)
    recovery, kills = restart(server, chance)
    connection = server.connect(timeout=300)
    # PostgreSQL may answer nextval from a block whose record is not on disk yet, so its tickets may repeat.
    findings, found = verify.compare(connection, journals, since, tickets_are_unique=options.target != "pg")
    connection.close()
    if traffic_round.died_early:
        findings.append(("while running", "the server ended by itself"))
    acked = sum(journal.count(ACKED) for journal in journals) - before
    doubt = sum(journal.count(DOUBT) for journal in journals)
    print(f"round {number}: killed after {seconds:.2f} s{f' and {kills} x in recovery' if kills else ''}, "
          f"{acked} commits acknowledged, {doubt} in doubt, ready again in {recovery:.2f} s, "
          f"{len(findings)} findings", flush=True)
    if acked == 0:
        findings.append(("while running", "nothing was committed, so nothing was tested"))
    if options.self_test and not findings:
        return journals, [("self test", f"{n} faults stayed unnoticed")
                          for n in [self_test(server, journals, since, found)] if n], since
    if not findings:
        verify.settle(found, journals)
    return journals, findings, since


def main():
    options = parse_options()
    seed = options.seed or int.from_bytes(os.urandom(4), "big")
    rounds = 1 if options.self_test else options.rounds
    if options.self_test:
        options.min_seconds = options.max_seconds = 4.0
    print(f"crash: target {options.target}, {rounds} rounds, seed {seed}", flush=True)
    server, journals = new_server(options, 0)
    failed = True
    try:
        for number in range(1, rounds + 1):
            if number > 1 and (number - 1) % options.rounds_per_directory == 0:
                server.stop()
                server, journals = new_server(options, (number - 1) // options.rounds_per_directory)
            journals, findings, _ = run_round(server, journals, number, seed, options)
            if findings:
                for kind, text in findings[:40]:
                    print(f"  {kind.upper()}: {text}")
                print(f"FAILED in round {number}: {len(findings)} findings; again with --seed {seed}")
                return 1
        failed = False
        print(f"ok: {rounds} rounds, seed {seed}")
        return 0
    finally:
        if failed and options.keep:
            print(f"kept: {server.directory} {server.log}")
            server.owned = False
        server.stop()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (servers.ServerError, wire.ConnectError) as problem:
        print(f"crash: {problem}", file=sys.stderr)
        sys.exit(2)
