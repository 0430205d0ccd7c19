"""Compares the database after a restart with the journals of all clients.

Reads only. Every finding is (kind, sentence). Afterwards `settle` turns what was in doubt into what the database says,
so that the next round holds it to that.
"""

import wire
from journal import (ACCOUNTS, ACKED, BYTES_OF, DOUBT, LOOSE, ROWS_OF, SHARED_COUNTER, START_BALANCE, VOID, altered_table,
                     payload)


class Unreadable(Exception):
    """A query of the verification failed."""


def rows_of(connection, sql):
    results = connection.simple(sql)
    for result in results:
        if result.error is not None:
            raise Unreadable(f"{sql[:100]}: {result.error.get('C')} {result.error.get('M')}")
    return results[-1].rows


def sequence_position(connection, name):
    """The newest value that the sequence will not give again."""
    value, is_called = rows_of(connection, f"SELECT last_value, is_called FROM {name}")[0]
    return int(value) if is_called == "t" else int(value) - 1


class Found:
    """What the database holds."""

    def __init__(self, connection, since):
        """`since[client]`: from which number on the contents of big rows are read, not only counted."""
        self.units = {}                                    # kind -> {(client, number): rows}
        self.wrong = []
        self.moves = []
        self.numbers = {}
        for kind in ROWS_OF:
            self.units[kind] = {}
            part = "part" if ROWS_OF[kind] > 1 else "0"
            extra = {"moves": ", source, target, amount", "numbered": ", id"}.get(kind, "")
            where = ""
            if kind in BYTES_OF:
                self.count_old(connection, kind, since)
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
        self.positions = {name: sequence_position(connection, name)
                          for name in ["tickets", *(f"own_{client}" for client in since)]}
        self.read_tables(connection)

    def read_tables(self, connection):
        """`tables`: the number of ALTERs of each made table, which its columns, rows and indexes agree upon."""
        self.tables = {}
        columns, indexes = {}, {}
        for name, column in rows_of(connection, "SELECT relname, attname FROM pg_class, pg_attribute WHERE relkind = 'r' "
                                    "AND relname LIKE 'made%' AND attrelid = pg_class.oid AND attnum > 0 "
                                    "AND NOT attisdropped ORDER BY relname, attnum"):
            columns.setdefault(name, []).append(column)
        for (name,) in rows_of(connection, "SELECT relname FROM pg_class WHERE relkind = 'i' AND relname LIKE 'made%'"):
            table, _, index = name.rpartition("_")
            indexes.setdefault(table, []).append(index)
        for name in indexes.keys() - columns.keys():
            self.wrong.append(("torn", f"there are indexes {indexes[name]} of table {name}, which is not there"))
        for name, have in columns.items():
            _, client, number = name.split("_")
            version = len(have) - 3
            self.tables[int(client), int(number)] = version
            rows = rows_of(connection, f"SELECT {', '.join(have)} FROM {name} ORDER BY id")
            state = (have, rows, sorted(indexes.get(name, [])))
            if version < 0 or state != altered_table(version):
                self.wrong.append(("torn", f"table {name} has columns, rows and indexes {state}"))
                continue
            last = have[-1]
            by_index = rows_of(connection, f"SELECT count(*) FROM {name} WHERE {last} = {rows[0][-1]}")
            if by_index != [[str(len(rows))]]:
                self.wrong.append(("torn", f"table {name} has {by_index} rows by {last}, {len(rows)} in all"))

    def count_old(self, connection, kind, since):
        for row in rows_of(connection, f"SELECT client, number, count(*) FROM {kind} GROUP BY client, number"):
            key = (int(row[0]), int(row[1]))
            if key[1] < since[key[0]]:
                self.units[kind][key] = int(row[2])


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
    findings += compare_loose(found, journals)
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
        tickets = sorted(v for j in journals for v in j.drawn)
        yield from repeated(tickets, "the sequence tickets")
        yield from reused(found, "tickets", tickets[-1] if tickets else 0)
        for journal in journals:
            yield from reused(found, f"own_{journal.client}", journal.floor)


def reused(found, name, newest):
    if found.positions[name] < newest:
        yield "reused", f"sequence {name} goes on behind {found.positions[name]}, {newest} was answered"


def compare_loose(found, journals):
    """What a volatile session has lost is an end of what it wrote."""
    for journal in journals:
        lost = None
        for number, fate in sorted(journal.units["loose"].items()):
            there = (journal.client, number) in found.units["loose"]
            if fate == LOOSE and not there:
                lost = number
            elif there and lost is not None:
                yield "hole", f"loose {journal.client}/{number} is there, {lost}, which was written before it, is not"
                break


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
            version, doubt = journal.versions.get(number, (0, False))
            if there and found.tables[key] not in (version, version + doubt):
                yield "lost", (f"table made_{key[0]}_{key[1]} was altered {found.tables[key]} times, {version} were "
                               f"acknowledged and {int(doubt)} in doubt")
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
                if fate in (DOUBT, LOOSE):
                    units[number] = ACKED if found.units[kind].get((journal.client, number)) else VOID
        for number, (made, dropped) in journal.tables.items():
            there = (journal.client, number) in found.tables
            if made == DOUBT:
                journal.tables[number] = (ACKED if there else VOID, None)
            elif dropped == DOUBT:
                journal.tables[number] = (ACKED, None if there else ACKED)
        for number, (_, doubt) in journal.versions.items():
            if doubt:
                journal.versions[number] = (found.tables.get((journal.client, number), 0), False)
        journal.counter = found.counters[journal.client]
        journal.counter_doubt = journal.shared_doubt = 0
        journal.problems = []
    journals[0].shared_acked += spare
