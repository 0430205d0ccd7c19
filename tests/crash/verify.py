"""Compares the database after a restart with the journals of all clients.

Reads only. Every finding is (kind, sentence). Afterwards `settle` turns what was in doubt into what the database says,
so that the next round holds it to that.
"""

import wire
from journal import ACCOUNTS, ACKED, DOUBT, ROWS_OF, SHARED_COUNTER, START_BALANCE, VOID, payload


class Unreadable(Exception):
    """A query of the verification failed."""


def rows_of(connection, sql):
    results = connection.simple(sql)
    for result in results:
        if result.error is not None:
            raise Unreadable(f"{sql[:100]}: {result.error.get('C')} {result.error.get('M')}")
    return results[-1].rows


class Found:
    """What the database holds."""

    def __init__(self, connection, since):
        """`since[client]`: from which number on the contents of big rows are read, not only counted."""
        self.units = {}                                    # kind -> {(client, number): rows}
        self.wrong = []
        self.moves = []
        self.numbers = {}
        for kind in ("singles", "moves", "copied", "numbered", "bigs"):
            self.units[kind] = {}
            part = "part" if kind in ("copied", "bigs") else "0"
            extra = {"moves": ", source, target, amount", "numbered": ", id"}.get(kind, "")
            where = ""
            if kind == "bigs":
                self.count_old_bigs(connection, since)
                where = " WHERE " + " OR ".join(f"(client = {c} AND number >= {n})" for c, n in since.items())
            parts = {}
            for row in rows_of(connection, f"SELECT client, number, {part}, payload{extra} FROM {kind}{where}"):
                key = (int(row[0]), int(row[1]))
                self.units[kind][key] = self.units[kind].get(key, 0) + 1
                parts.setdefault(key, []).append(int(row[2]))
                if row[3] != payload(kind, key[0], key[1], int(row[2])):
                    self.wrong.append(("changed", f"{kind} {key[0]}/{key[1]} part {row[2]} holds '{str(row[3])[:40]}'"))
                if kind == "moves":
                    self.moves.append((key, tuple(int(v) for v in row[4:7])))
                elif kind == "numbered":
                    self.numbers[key] = int(row[4])
            for key, have in parts.items():
                if len(set(have)) != len(have) and ROWS_OF[kind] > 1:
                    self.wrong.append(("doubled", f"{kind} {key[0]}/{key[1]} has a part twice"))
        self.balances = {int(r[0]): int(r[1]) for r in rows_of(connection, "SELECT id, balance FROM accounts")}
        self.counters = {int(r[0]): int(r[1]) for r in rows_of(connection, "SELECT id, value FROM counters")}
        self.tables = {}
        for (name,) in rows_of(connection, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'made%'"):
            _, client, number = name.split("_")
            have = rows_of(connection, f"SELECT id, payload, extra FROM {name} ORDER BY id")
            self.tables[int(client), int(number)] = have
            if have != [["1", "a", "7"], ["2", "b", "7"], ["3", "c", "7"]]:
                self.wrong.append(("torn", f"table {name} holds {have}"))

    def count_old_bigs(self, connection, since):
        for row in rows_of(connection, "SELECT client, number, count(*) FROM bigs GROUP BY client, number"):
            key = (int(row[0]), int(row[1]))
            if key[1] < since[key[0]]:
                self.units["bigs"][key] = int(row[2])


def compare(connection, journals, since, tickets_are_unique=True):
    """(findings, what the database holds)."""
    try:
        found = Found(connection, since)
    except (Unreadable, wire.WireError) as error:
        return [("unreadable", str(error))], None
    findings = list(found.wrong)
    for journal in journals:
        findings += [("while running", f"client {journal.client}: {text}") for text in journal.problems]
    for kind, rows in ROWS_OF.items():
        findings += compare_units(kind, rows, found.units[kind], journals)
    findings += compare_moves(found, journals)
    findings += compare_numbers(found, journals, tickets_are_unique)
    findings += compare_counters(found, journals)
    findings += compare_tables(found, journals)
    for journal in journals:
        for kind, client, number in journal.shown:
            if found.units[kind].get((client, number), 0) == 0:
                findings.append(("vanished", f"client {journal.client} was shown {kind} {client}/{number}"))
    return findings, found


def compare_units(kind, rows, have, journals):
    known = set()
    for journal in journals:
        for number, fate in journal.units[kind].items():
            key = (journal.client, number)
            known.add(key)
            count = have.get(key, 0)
            name = f"{kind} {key[0]}/{key[1]}"
            if count > rows:
                yield "doubled", f"{name} has {count} rows instead of {rows}"
            elif fate == ACKED and count == 0:
                yield "lost", f"{name} was acknowledged"
            elif fate == VOID and count != 0:
                yield "void", f"{name} did not commit but has {count} rows"
            elif 0 < count < rows:
                yield "torn", f"{name} ({fate}) has {count} of {rows} rows"
    for key in have.keys() - known:
        yield "unknown", f"{kind} {key[0]}/{key[1]} was never written"


def compare_moves(found, journals):
    expected = {i: START_BALANCE for i in range(ACCOUNTS)}
    wanted = {(j.client, n): move for j in journals for n, move in j.moves.items()}
    for key, move in found.moves:
        if wanted.get(key) != move:
            yield "changed", f"move {key[0]}/{key[1]} is {move} instead of {wanted.get(key)}"
        source, target, amount = move
        expected[source] -= amount
        expected[target] += amount
    if sum(found.balances.values()) != ACCOUNTS * START_BALANCE or len(found.balances) != ACCOUNTS:
        yield "sum", f"balances of {len(found.balances)} accounts add up to {sum(found.balances.values())}"
    for account, balance in found.balances.items():
        if expected.get(account) != balance:
            yield "torn", f"account {account} holds {balance}, its moves give {expected.get(account)}"


def compare_numbers(found, journals, tickets_are_unique):
    for journal in journals:
        for number, value in journal.numbers.items():
            have = found.numbers.get((journal.client, number))
            if have is not None and have != value:
                yield "changed", f"numbered {journal.client}/{number} has id {have}, {value} was answered"
    values = sorted(value for journal in journals for value in journal.numbers.values())
    yield from repeated(values, "the sequence of numbered")
    if tickets_are_unique:
        yield from repeated(sorted(v for j in journals for v in j.drawn), "the sequence tickets")


def repeated(values, name):
    for before, after in zip(values, values[1:]):
        if before == after:
            yield "doubled", f"{name} gave {after} twice"


def compare_counters(found, journals):
    for journal in journals:
        value = found.counters.get(journal.client)
        if value is None or not journal.counter <= value <= journal.counter + journal.counter_doubt:
            yield "lost", (f"counter {journal.client} is {value}, acknowledged {journal.counter} and "
                           f"{journal.counter_doubt} in doubt")
        for key, shown in journal.shown_counters.items():
            if found.counters.get(key, 0) < shown:
                yield "vanished", f"counter {key} was shown as {shown} and is {found.counters.get(key)}"
    shared = found.counters.get(SHARED_COUNTER, -1)
    acked = sorted(v for j in journals for v in j.shared_acked)
    doubt = sum(j.shared_doubt for j in journals)
    yield from repeated(acked, "the shared counter")
    if not len(acked) <= shared <= len(acked) + doubt:
        yield "lost", f"the shared counter is {shared}, {len(acked)} were acknowledged and {doubt} in doubt"
    most = max([j.shown_shared for j in journals] + acked[-1:], default=0)
    if shared < most:
        yield "vanished", f"the shared counter was shown as {most} and is {shared}"


def compare_tables(found, journals):
    known = set()
    for journal in journals:
        for number, (made, dropped) in journal.tables.items():
            key = (journal.client, number)
            known.add(key)
            there = key in found.tables
            if made == ACKED and dropped is None and not there:
                yield "lost", f"table made_{key[0]}_{key[1]} was created"
            elif there and (made == VOID or dropped == ACKED):
                yield "void", f"table made_{key[0]}_{key[1]} should not be there"
    for key in found.tables.keys() - known:
        yield "unknown", f"table made_{key[0]}_{key[1]} was never created"


def settle(found, journals):
    """What was in doubt is from now on what the database says."""
    shared = found.counters[SHARED_COUNTER]
    surplus = shared - sum(len(j.shared_acked) for j in journals)
    used = {v for j in journals for v in j.shared_acked}
    spare = [v for v in range(1, shared + 1) if v not in used][:surplus]
    for journal in journals:
        for kind, units in journal.units.items():
            for number, fate in units.items():
                if fate == DOUBT:
                    units[number] = ACKED if found.units[kind].get((journal.client, number)) else VOID
        for number, (made, dropped) in journal.tables.items():
            there = (journal.client, number) in found.tables
            if made == DOUBT:
                journal.tables[number] = (ACKED if there else VOID, None)
            elif dropped == DOUBT:
                journal.tables[number] = (ACKED, None if there else ACKED)
        journal.counter = found.counters[journal.client]
        journal.counter_doubt = journal.shared_doubt = 0
        journal.problems = []
    journals[0].shared_acked += spare
