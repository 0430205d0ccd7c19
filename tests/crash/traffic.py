"""The mixed traffic of one client: each operation is one method that does it and notes its outcome in the journal.

An operation that breaks off (the server was killed) leaves its unit DOUBT and raises wire.WireError, which ends the
client. An answer with one of the TRANSIENT codes means that the transaction did not happen; any other error is a
problem of the run.
"""

import random

import wire
from journal import (ACCOUNTS, ACKED, BYTES_OF, DOUBT, LOOSE, ROWS_OF, SHARED_COUNTER, START_BALANCE, VOID,
                     altered_table, payload)

# Serialization failure, deadlock, lock timeout, cancelled.
TRANSIENT = {"40001", "40P01", "55P03", "57014"}
# The outcome is not known, or the server is on its way down.
UNKNOWN = {"08007", "08006", "08003", "57P01", "57P02", "57P03", "58030"}

SCHEMA = [
    "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL)",
    "CREATE TABLE moves (client int, number int, source int, target int, amount int, payload text)",
    "CREATE TABLE singles (client int, number int, payload text)",
    "CREATE TABLE bigs (client int, number int, part int, payload text)",
    "CREATE TABLE copied (client int, number int, part int, payload text)",
    "CREATE TABLE loaded (client int, number int, part int, payload text)",
    "CREATE TABLE loose (client int, number int, payload text)",
    "CREATE TABLE numbered (id bigserial PRIMARY KEY, client int, number int, payload text)",
    "CREATE TABLE counters (id int PRIMARY KEY, value bigint NOT NULL)",
    "CREATE INDEX moves_key ON moves (client, number)",
    "CREATE INDEX singles_key ON singles (client, number)",
    "CREATE INDEX bigs_key ON bigs (client, number)",
    "CREATE INDEX copied_key ON copied (client, number)",
    "CREATE INDEX loaded_key ON loaded (client, number)",
    "CREATE SEQUENCE tickets",
]


def fill(connection, clients):
    """Makes the tables in an empty database."""
    statements = SCHEMA + [f"CREATE SEQUENCE own_{client}" for client in range(clients)] + [
        "INSERT INTO accounts VALUES " + ", ".join(f"({i}, {START_BALANCE})" for i in range(ACCOUNTS)),
        "INSERT INTO counters VALUES " + ", ".join(f"({i}, 0)" for i in [*range(clients), SHARED_COUNTER]),
    ]
    for statement in statements:
        for result in connection.simple(statement):
            if result.error:
                raise RuntimeError(f"{statement[:80]}: {result.error}")


class Refused(Exception):
    """The server refused the transaction; it did not happen."""


class NeverCommitted(wire.WireError):
    """The connection broke before COMMIT was sent; the transaction may not happen."""


class Client:
    def __init__(self, server, journal, clients, seed):
        self.server, self.journal, self.clients = server, journal, clients
        self.me = journal.client
        self.random = random.Random(seed)
        self.connection = None
        self.loose = None                                  # a volatile session of its own

    # -- plumbing ------------------------------------------------------------------------------------------------

    def connect(self):
        self.connection = self.server.connect(timeout=60.0)

    def ask(self, sql, copy_data=None, parameters=None):
        """One statement; its rows. Raises Refused, or WireError where the outcome is unknown."""
        if parameters is None:
            results = self.connection.simple(sql, copy_data)
        else:
            results = self.connection.extended(sql, parameters)
        for result in results:
            if result.error is not None:
                self.refuse(sql, result.error)
        return results[-1].rows if results else []

    def refuse(self, sql, error):
        code = error.get("C", "")
        if code in UNKNOWN:
            raise wire.WireError(f"{code} {error.get('M')}")
        if code not in TRANSIENT:
            self.journal.problems.append(f"unexpected error {code} {error.get('M')}: {sql[:120]}")
        raise Refused(code)

    def transaction(self, statements, end="COMMIT"):
        """Runs the statements, or (COPY ... FROM STDIN, its data), in a transaction block; answers whether it committed."""
        try:
            self.ask("BEGIN")
            for statement in statements:
                self.ask(*(statement if isinstance(statement, tuple) else (statement,)))
            if end != "COMMIT":
                self.ask(end)
                return False
        except Refused:
            self.ask("ROLLBACK")
            return False
        except wire.WireError as error:
            raise NeverCommitted(str(error)) from None
        try:
            self.ask(end)
        except Refused:
            return False
        return True

    def unit(self, kind, run):
        """Notes a new unit of `kind` DOUBT, runs it, notes its fate."""
        number = self.journal.number()
        self.journal.units[kind][number] = DOUBT
        try:
            done = run(number)
        except Refused:
            done = False
        except NeverCommitted:
            self.journal.units[kind][number] = VOID
            raise
        self.journal.units[kind][number] = ACKED if done else VOID
        return number, done

    # -- writes --------------------------------------------------------------------------------------------------

    def insert_one(self):
        def run(number):
            self.ask(f"INSERT INTO singles VALUES ({self.me}, {number}, '{payload('singles', self.me, number)}')")
            return True
        number, done = self.unit("singles", run)
        if done and self.random.random() < 0.2:
            rows = self.ask(f"SELECT payload FROM singles WHERE client = {self.me} AND number = {number}")
            if len(rows) != 1:
                self.journal.problems.append(f"own acknowledged row {self.me}/{number} was not readable: {rows}")

    def insert_pipelined(self):
        numbers = [self.journal.number() for _ in range(8)]
        units = self.journal.units["singles"]
        for number in numbers:
            units[number] = DOUBT
        work = [("INSERT INTO singles VALUES ($1, $2, $3)", (self.me, n, payload("singles", self.me, n)))
                for n in numbers]
        broken = None
        for number, results in zip(numbers, self.connection.pipeline(work)):
            error = next((r.error for r in results if r.error is not None), None)
            if error is None:
                units[number] = ACKED
                continue
            try:
                self.refuse(work[0][0], error)
            except Refused:
                units[number] = VOID
            except wire.WireError as unknown:
                broken = unknown
        if broken is not None:
            raise broken

    def insert_rolled_back(self):
        def run(number):
            return self.transaction([f"INSERT INTO singles VALUES ({self.me}, {number}, 'rolled back')"],
                                    end="ROLLBACK")
        self.unit("singles", run)

    def move(self):
        source, target = self.random.sample(range(ACCOUNTS), 2)
        amount = self.random.randint(1, 50)

        def run(number):
            self.journal.moves[number] = (source, target, amount)
            steps = sorted([(source, -amount), (target, amount)])
            statements = [f"UPDATE accounts SET balance = balance + ({by}) WHERE id = {i}" for i, by in steps]
            if self.random.random() < 0.3:
                # Undone again: a row that no other client writes, so that it costs no deadlocks.
                statements[1:1] = ["SAVEPOINT s", f"UPDATE counters SET value = -1 WHERE id = {self.me}",
                                   "ROLLBACK TO s"]
            statements.append(f"INSERT INTO moves VALUES ({self.me}, {number}, {source}, {target}, {amount}, "
                              f"'{payload('moves', self.me, number)}')")
            return self.transaction(statements)
        self.unit("moves", run)

    def insert_big(self):
        def run(number):
            parts = ROWS_OF["bigs"]
            rows = [f"({self.me}, {number}, {part}, '{payload('bigs', self.me, number, part)}')"
                    for part in range(parts)]
            assert parts * BYTES_OF["bigs"] > 1 << 20
            step = self.random.choice([1, 10, parts])
            return self.transaction(["INSERT INTO bigs VALUES " + ", ".join(rows[i:i + step])
                                     for i in range(0, parts, step)])
        self.unit("bigs", run)

    def copy_in(self):
        def run(number):
            data = "".join(f"{self.me}\t{number}\t{part}\t{payload('copied', self.me, number, part)}\n"
                           for part in range(ROWS_OF["copied"]))
            self.ask("COPY copied FROM STDIN", data.encode())
            return True
        self.unit("copied", run)

    def load(self):
        """Several COPYs in one transaction, larger than what travels in one record."""
        def run(number):
            rows = [f"{self.me}\t{number}\t{part}\t{payload('loaded', self.me, number, part)}\n"
                    for part in range(ROWS_OF["loaded"])]
            assert ROWS_OF["loaded"] * BYTES_OF["loaded"] > 1 << 20
            step = self.random.choice([100, 300, 600])
            return self.transaction([("COPY loaded FROM STDIN", "".join(rows[i:i + step]).encode())
                                     for i in range(0, len(rows), step)])
        self.unit("loaded", run)

    def insert_loose(self):
        """By a volatile session: its commits are answered before they are durable."""
        if self.loose is None:
            self.loose = self.server.connect(timeout=60.0)
            choices = ["SET synchronous_commit = off"]
            if self.server.name == "bop":
                choices += ["SET bop.flush_interval = " + self.random.choice(["5", "50", "500"]),
                            "SET bop.flush_records = " + self.random.choice(["5", "100"]),
                            "SET bop.flush_strategy = " + self.random.choice(["async", "batched", "periodic",
                                                                             "batched_or_periodic"])]
            for choice in choices:
                self.loose.simple(choice)
        numbers = [self.journal.number() for _ in range(self.random.randint(1, 10))]
        units = self.journal.units["loose"]
        for number in numbers:
            units[number] = DOUBT
            result = self.loose.simple(f"INSERT INTO loose VALUES ({self.me}, {number}, "
                                       f"'{payload('loose', self.me, number)}')")[-1]
            if result.error is None:
                units[number] = LOOSE
                continue
            units[number] = DOUBT if result.error.get("C") in UNKNOWN else VOID
            self.refuse("INSERT INTO loose", result.error)

    def insert_numbered(self):
        def run(number):
            rows = self.ask("INSERT INTO numbered (client, number, payload) VALUES ($1, $2, $3) RETURNING id",
                            parameters=(self.me, number, payload("numbered", self.me, number)))
            self.journal.numbers[number] = int(rows[0][0])
            return True
        self.unit("numbered", run)

    def draw(self):
        try:
            self.journal.drawn.append(int(self.ask("SELECT nextval('tickets')")[0][0]))
        except Refused:
            pass

    def draw_many(self):
        """More values than a block has, in one answer."""
        try:
            rows = self.ask("SELECT nextval('tickets') FROM generate_series(1, 70)")
            self.journal.drawn += [int(row[0]) for row in rows]
        except Refused:
            pass

    def draw_own(self):
        """Of a sequence that nobody else draws from, and that is set forward sometimes."""
        name = f"own_{self.me}"
        if self.random.random() < 0.3:
            wanted = self.journal.floor + self.random.randint(1, 100)
            sql = self.random.choice([f"SELECT setval('{name}', {wanted})",
                                      f"ALTER SEQUENCE {name} RESTART WITH {wanted + 1}"])
            try:
                self.ask(sql)
                self.journal.floor = max(self.journal.floor, wanted)
            except Refused:
                pass
            return
        try:
            value = int(self.ask(f"SELECT nextval('{name}')")[0][0])
        except Refused:
            return
        if value <= self.journal.floor:
            self.journal.problems.append(f"{name} gave {value} again, {self.journal.floor} was there before")
        self.journal.floor = max(self.journal.floor, value)

    def checkpoint(self):
        try:
            self.ask("CHECKPOINT")
        except Refused:
            pass

    def count_own(self):
        self.journal.counter_doubt = 1
        try:
            rows = self.ask(f"UPDATE counters SET value = value + 1 WHERE id = {self.me} RETURNING value")
            value = int(rows[0][0])
            if value != self.journal.counter + 1:
                self.journal.problems.append(f"own counter {self.me} went from {self.journal.counter} to {value}")
            self.journal.counter = value
        except Refused:
            pass
        self.journal.counter_doubt = 0

    def count_shared(self):
        self.journal.shared_doubt += 1
        try:
            rows = self.ask("UPDATE counters SET value = value + 1 WHERE id = $1 RETURNING value",
                            parameters=(SHARED_COUNTER,))
            self.journal.shared_acked.append(int(rows[0][0]))
        except Refused:
            pass
        except wire.WireError:
            # A row that arrived was shown, even if the end of the answer did not arrive.
            for row in self.connection.unfinished.rows:
                self.journal.shown_shared = max(self.journal.shown_shared, int(row[0]))
            raise
        self.journal.shared_doubt -= 1

    def change_tables(self):
        tables = self.journal.tables
        alive = [n for n, (made, dropped) in tables.items() if made == ACKED and dropped is None]
        if len(alive) >= 3:
            number = self.random.choice(alive)
            tables[number] = (ACKED, DOUBT)
            try:
                self.ask(f"DROP TABLE made_{self.me}_{number}")
                tables[number] = (ACKED, ACKED)
            except Refused:
                tables[number] = (ACKED, None)
            return
        number = self.journal.number()
        name = f"made_{self.me}_{number}"
        tables[number] = (DOUBT, None)
        done = self.transaction([
            f"CREATE TABLE {name} (id int PRIMARY KEY, payload text)",
            f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            f"CREATE INDEX {name}_payload ON {name} (payload)",
            f"ALTER TABLE {name} ADD COLUMN extra int DEFAULT 7",
        ])
        tables[number] = (ACKED if done else VOID, None)

    def alter_table(self):
        """A column, a row and an index more, all at once or not at all."""
        alive = [n for n, (made, dropped) in self.journal.tables.items() if made == ACKED and dropped is None]
        if not alive:
            return
        number = self.random.choice(alive)
        version, _ = self.journal.versions.get(number, (0, False))
        if version == 20:
            return
        name, after = f"made_{self.me}_{number}", version + 1
        columns, rows, _ = altered_table(after)
        self.journal.versions[number] = (version, True)
        try:
            done = self.transaction([
                f"ALTER TABLE {name} ADD COLUMN {columns[-1]} int NOT NULL DEFAULT {10 * after}",
                f"INSERT INTO {name} (id, payload) VALUES ({rows[-1][0]}, 'later')",
                f"CREATE INDEX {name}_{columns[-1]} ON {name} ({columns[-1]}, id)",
            ])
        except NeverCommitted:
            self.journal.versions[number] = (version, False)
            raise
        self.journal.versions[number] = (after if done else version, False)

    # -- reads ---------------------------------------------------------------------------------------------------

    def read_sum(self):
        rows = self.ask("SELECT sum(balance), count(*) FROM accounts")
        self.check_sum(rows)

    def check_sum(self, rows):
        if rows != [[str(ACCOUNTS * START_BALANCE), str(ACCOUNTS)]]:
            self.journal.problems.append(f"a read showed the sum of balances and rows {rows}")

    def read_snapshot(self):
        try:
            self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ")
            first = self.ask("SELECT value FROM counters ORDER BY id")
            self.check_sum(self.ask("SELECT sum(balance), count(*) FROM accounts"))
            if self.ask("SELECT value FROM counters ORDER BY id") != first:
                self.journal.problems.append("a repeatable read changed within its transaction")
            self.ask("COMMIT")
        except Refused:
            self.ask("ROLLBACK")

    def read_others(self):
        other = self.random.randrange(self.clients)
        kind = self.random.choice(["singles", "moves", "bigs", "copied", "loaded", "numbered", "loose"])
        rows = self.ask(f"SELECT max(number) FROM {kind} WHERE client = {other}")
        if rows[0][0] is None:
            return
        number = int(rows[0][0])
        rows = self.ask(f"SELECT count(*) FROM {kind} WHERE client = $1 AND number = $2", parameters=(other, number))
        if int(rows[0][0]) != ROWS_OF[kind]:
            self.journal.problems.append(f"a read showed {rows[0][0]} of {ROWS_OF[kind]} rows of {kind} "
                                         f"{other}/{number}")
        self.journal.shown.add((kind, other, number))

    def read_counters(self):
        for row in self.ask("SELECT id, value FROM counters"):
            key, value = int(row[0]), int(row[1])
            if key == SHARED_COUNTER:
                self.journal.shown_shared = max(self.journal.shown_shared, value)
            else:
                self.journal.shown_counters[key] = max(self.journal.shown_counters.get(key, 0), value)

    # -- the loop ------------------------------------------------------------------------------------------------

    MIX = [(insert_one, 24), (insert_pipelined, 6), (insert_rolled_back, 4), (move, 22), (insert_big, 2),
           (copy_in, 3), (load, 1), (insert_loose, 4), (insert_numbered, 8), (draw, 4), (draw_many, 1), (draw_own, 4),
           (count_own, 8), (count_shared, 5), (change_tables, 1), (alter_table, 2), (checkpoint, 1), (read_sum, 8), (read_snapshot, 4), (read_others, 8), (read_counters, 6)]

    def run(self, stopped, ready):
        """Until the server goes away or `stopped` says so."""
        operations = [operation for operation, _ in self.MIX]
        weights = [weight for _, weight in self.MIX]
        try:
            self.connect()
            ready()
            while not stopped():
                operation = self.random.choices(operations, weights)[0]
                try:
                    operation(self)
                except Refused:
                    pass
                self.journal.operations += 1
                if self.random.random() < 0.01:
                    self.connection.close()
                    self.connect()
                    if self.loose is not None:
                        self.loose.close()
                        self.loose = None
        except wire.ConnectError as error:
            if error.fields.get("C") not in UNKNOWN:
                self.journal.problems.append(f"a connection was refused: {error}")
        except wire.WireError:
            pass
        finally:
            for connection in (self.connection, self.loose):
                if connection is not None:
                    connection.socket.close()
