#!/usr/bin/env python3
"""Every production of PostgreSQL's grammar is either done or refused honestly.

    run.py --bop BIN                  checks sentences.txt (what a test of scripts/test does)
    run.py --bop BIN --record [GRAM_Y]  asks PostgreSQL and BOP for their answers and writes them down

sentences.txt is made by generate.py. A line of it: what PostgreSQL 15 answers, what BOP answers, the sentence. An answer
is `ok` or a SQLSTATE; `55000?` behind it says that PostgreSQL's 0A000 has no position either. Each sentence runs in a transaction of
its own that is rolled back; what refuses that (25001, or in words) runs again without one.

What must hold:
  * no answer is XX000, and the connection stays;
  * BOP's 0A000 has a position inside the sentence, unless PostgreSQL answers the same words without one;
  * what BOP does (`ok`) PostgreSQL does;
  * the answers are those that are written down; what was refused and is now answered as PostgreSQL answers it is told,
    so that it is recorded again. Answers `ok` of both were looked through when they were recorded: no clause among them
    is without effect.
refusals.txt has the words of the refusals, for docs/compatibility.md.
"""

import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "slt"))

import servers  # noqa: E402
import wire  # noqa: E402

SENTENCES = os.path.join(HERE, "sentences.txt")
REFUSALS = os.path.join(HERE, "refusals.txt")  # the words of BOP's 0A000, each with its first sentence

WORLD = [
    "CREATE ROLE r", "CREATE SCHEMA s", "CREATE TABLE t (a int4 PRIMARY KEY, b int4)", "INSERT INTO t VALUES (1, 2)",
    "CREATE VIEW v AS SELECT a, b FROM t", "CREATE SEQUENCE q", "CREATE INDEX i ON t (b)",
    "CREATE TYPE e AS ENUM ('1', '2')", "CREATE DOMAIN m AS int4",
]

# What sentences that have had an effect leave, or have taken.
AFTER = ["DROP DATABASE IF EXISTS n", "DROP ROLE IF EXISTS n", "CREATE ROLE r", "ALTER ROLE r NOLOGIN"]


class Answer:
    def __init__(self, sentence, results):
        error = next((result.error for result in results if result.error is not None), None)
        self.state = "ok" if error is None else error["C"]
        self.words = "" if error is None else error["M"]
        self.position = int(error.get("P", 0)) if error else 0
        self.inside = 0 < self.position <= len(sentence) + 1


class Asker:
    def __init__(self, server):
        self.server = server
        self.connection = None
        self.renew()

    def renew(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = self.server.connect(timeout=20.0)
        self.connection.simple("SET statement_timeout = '5s'; SET lock_timeout = '2s'")

    def ask(self, sentence):
        connection = self.connection
        connection.simple("BEGIN")
        answer = Answer(sentence, connection.simple(sentence))
        connection.simple("ROLLBACK")
        if answer.state == "25001" or "inside a transaction block" in answer.words:
            answer = Answer(sentence, connection.simple(sentence))
            for sql in AFTER:
                connection.simple(sql)
        if connection.transaction_status != "I":
            connection.simple("ROLLBACK")
        words = sentence.split()
        if words[0] in ("SET", "RESET", "DISCARD", "BEGIN", "START", "END", "COMMIT", "ABORT", "ROLLBACK", "PREPARE", "LISTEN"):
            self.renew()
        return answer


def build_world(server):
    connection = server.connect()
    for sql in WORLD:
        results = connection.simple(sql)
        if results[-1].error:
            raise servers.ServerError(f"{sql}: {results[-1].error}")
    connection.close()


def ask_all(server, sentences):
    build_world(server)
    asker = Asker(server)
    answers = []
    for sentence in sentences:
        try:
            answers.append(asker.ask(sentence))
        except (wire.WireError, wire.ConnectError) as problem:
            print(f"{server.name}: the connection broke: {problem}: {sentence}")
            answer = Answer(sentence, [])
            answer.state = "broken"
            answers.append(answer)
            asker.renew()
    asker.connection.close()
    return answers


def read():
    recorded = []
    with open(SENTENCES, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                expected, own, sentence = line.rstrip("\n").split(" ", 2)
                recorded.append((expected, own, sentence))
    return recorded


def write(sentences, of_postgresql, of_bop):
    with open(SENTENCES, "w", encoding="utf-8") as file:
        file.write("# PostgreSQL 15's answer, BOP's answer, sentence: see run.py. Made by run.py --record.\n")
        for sentence, theirs, ours in zip(sentences, of_postgresql, of_bop):
            unplaced = theirs.state == "0A000" and theirs.position == 0
            file.write(f"{theirs.state}{'?' if unplaced else ''} {ours.state} {sentence}\n")


def refusals_of(sentences, answers):
    """The text of refusals.txt."""
    first, count = {}, {}
    for sentence, answer in zip(sentences, answers):
        if answer.state == "0A000":
            first.setdefault(answer.words, sentence)
            count[answer.words] = count.get(answer.words, 0) + 1
    lines = ["# What BOP refuses of sentences.txt: how many sentences, the words, the first sentence. Made by run.py.\n"]
    return "".join(lines + sorted(f"{count[words]}\t{words}\t{sentence}\n" for words, sentence in first.items()))


def is_new(theirs, recorded, answer):
    return recorded == "0A000" and answer.state != "0A000" and answer.state == theirs


def complaints(sentence, theirs, recorded, answer):
    """Why the answer is wrong; `theirs` and `recorded` are the recorded states of PostgreSQL and BOP."""
    if answer.state in ("XX000", "broken"):
        yield f"{answer.state} {answer.words}"
    if answer.state == "0A000" and not answer.inside and theirs != "0A000?":
        yield f"0A000 at position {answer.position}: {answer.words}"
    if answer.state == "ok" and theirs != "ok":
        yield f"is done, and PostgreSQL answers {theirs}"
    if answer.state != recorded and not is_new(theirs, recorded, answer):
        yield f"answers {answer.state} {answer.words}, not {recorded}; if that is right: run.py --record"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bop", required=True)
    parser.add_argument("--record", nargs="?", const="", default=None, metavar="GRAM_Y")
    parser.add_argument("--scratch", default=None)
    options = parser.parse_args()
    recorded = read() if os.path.exists(SENTENCES) else []
    sentences = [sentence for _, _, sentence in recorded]
    if options.record:
        made = subprocess.run([sys.executable, "-B", os.path.join(HERE, "generate.py"), options.record], check=True,
                              capture_output=True, text=True)
        sentences = made.stdout.splitlines()
    bop = servers.Bop(options.bop, scratch=options.scratch)
    bop.start()
    try:
        answers = ask_all(bop, sentences)
    finally:
        code = bop.stop()
    expected = recorded
    if options.record is not None:
        server = servers.Postgres(scratch=options.scratch, fsync=False)
        server.start()
        try:
            theirs = ask_all(server, sentences)
        finally:
            server.stop()
        write(sentences, theirs, answers)
        with open(REFUSALS, "w", encoding="utf-8") as file:
            file.write(refusals_of(sentences, answers))
        expected = read()
    failed = 0
    for (theirs, own, sentence), answer in zip(expected, answers):
        for complaint in complaints(sentence, theirs, own, answer):
            failed += 1
            print(f"{sentence}\n    {complaint}")
    new = [sentence for (theirs, own, sentence), answer in zip(expected, answers) if is_new(theirs, own, answer)]
    for sentence in new:
        print(f"{sentence}\n    is no longer refused: run.py --record")
    if code != 0:
        print(f"bop ended with {code}")
    refused = sum(answer.state == "0A000" for answer in answers)
    done = sum(answer.state == "ok" for answer in answers)
    print(f"{len(answers)} sentences: {done} done, {refused} refused with 0A000, {failed} wrong")
    return 1 if failed or code != 0 or not answers else 0


if __name__ == "__main__":
    sys.exit(main())
