"""What one client knows of its own writes, and what answers showed it.

A unit is one transaction with a key (client, number); its fate is ACKED, DOUBT (sent, no answer came), VOID (the server
said that it did not happen, or the client rolled it back) or, of a volatile session, LOOSE (acknowledged, and may be
lost with the server's end, but only together with all that the session wrote later). A Journal belongs to one client
thread while traffic runs and to the verification afterwards.
"""

import hashlib

ACKED, DOUBT, VOID, LOOSE = "acked", "in doubt", "void", "loose"

# Kinds of units whose rows carry their key: how many rows one unit has in its table.
ROWS_OF = {"singles": 1, "moves": 1, "bigs": 40, "copied": 200, "loaded": 600, "numbered": 1, "loose": 1}
BYTES_OF = {"bigs": 32768, "loaded": 2048}                 # of a row, where it is more than one digest
ACCOUNTS = 64
START_BALANCE = 1000
SHARED_COUNTER = 1000


def payload(kind, client, number, part=0):
    """The only right content of a row."""
    digest = hashlib.md5(f"{kind} {client} {number} {part}".encode()).hexdigest()
    return digest * (BYTES_OF.get(kind, 32) // 32)


def altered_table(version):
    """Columns, rows and indexes (without the table's name) of a made table after so many ALTERs."""
    extra = range(1, version + 1)
    columns = ["id", "payload", "extra", *(f"c{i}" for i in extra)]
    first = [[str(i), text, "7"] + [str(10 * n) for n in extra] for i, text in ((1, "a"), (2, "b"), (3, "c"))]
    later = [[str(3 + i), "later", "7"] + [str(10 * n) for n in extra] for i in extra]
    return columns, first + later, sorted(["payload", "pkey", *(f"c{i}" for i in extra)])


class Journal:
    def __init__(self, client):
        self.client = client
        self.next_number = 1
        self.units = {kind: {} for kind in ROWS_OF}        # number -> fate
        self.moves = {}                                    # number -> (source, target, amount)
        self.numbers = {}                                  # unit of `numbered` -> the sequence's value it was given
        self.tables = {}                                   # number -> (fate of the creation, fate of the drop or None)
        self.versions = {}                                 # of it: number -> (ALTERs acknowledged, one more is in doubt)
        self.floor = 0                                     # of the own sequence: newest value answered or set
        self.counter = 0                                   # of this client's own row: the value certain to be there
        self.counter_doubt = 0
        self.shared_acked = []                             # values that the shared counter answered
        self.shared_doubt = 0
        self.drawn = []                                    # values of nextval
        self.shown = set()                                 # (kind, client, number) that a read showed as whole
        self.shown_shared = 0
        self.shown_counters = {}
        self.problems = []                                 # what was wrong while traffic ran
        self.operations = 0

    def number(self):
        self.next_number += 1
        return self.next_number - 1

    def count(self, fate):
        return sum(1 for units in self.units.values() for f in units.values() if f == fate) \
            + sum(1 for created, _ in self.tables.values() if created == fate)
