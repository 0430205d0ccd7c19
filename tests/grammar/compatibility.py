#!/usr/bin/env python3
"""docs/compatibility.md: written from what the tree knows, or checked to be current.

    compatibility.py [--write]

Its words stand in docs/compatibility.template.md; what is counted or listed comes from tests/slt (tests and known
differences), tests/grammar (sentences and refusals) and the tables of the code (src/sql/functions/proc_table.def,
operator_table.def, src/sql/types/type_table.def).
"""

import argparse
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "slt"))

import script  # noqa: E402

TEMPLATE = os.path.join(TOP, "docs", "compatibility.template.md")
PAGE = os.path.join(TOP, "docs", "compatibility.md")
WIDTH = 118


def table(head, rows):
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
                     + ["| " + " | ".join(row) + " |" for row in cells])


def wrapped(words):
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) + 2 > WIDTH:
            lines.append(line + ",")
            line = ""
        line += (", " if line else "") + word
    return "\n".join(lines + [line])


def code(text):
    return f"`{text}`"


def known_differences():
    rows = []
    with open(os.path.join(HERE, "..", "slt", "known_differences.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                area, label, reason = line.strip().split(" ", 2)
                rows.append((area, label, reason))
    return rows


def count_tests():
    return sum(len(script.read(path)[0]) for path in glob.glob(os.path.join(HERE, "..", "slt", "*.slt")))


def sentences():
    with open(os.path.join(HERE, "sentences.txt"), encoding="utf-8") as file:
        return [line.rstrip("\n").split(" ", 2) for line in file if not line.startswith("#")]


def refusals():
    with open(os.path.join(HERE, "refusals.txt"), encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]


def statement_of(sentence):
    """The words with which a statement begins: CREATE TABLE, SELECT."""
    words = re.match(r"\(*([A-Z]+(?: [A-Z]+)*)", sentence)
    first = words[1].split() if words else ["SELECT"]
    two = {"COMMENT", "SECURITY", "IMPORT", "REASSIGN", "REFRESH"}
    if first[0] in ("CREATE", "ALTER", "DROP"):
        skipped = {"OR", "REPLACE", "TEMPORARY", "TEMP", "LOCAL", "GLOBAL", "UNLOGGED", "UNIQUE", "RECURSIVE", "TRUSTED",
                   "PROCEDURAL", "CONSTRAINT", "DEFAULT"}
        kinds = [word for word in first[1:] if word not in skipped]
        long = {"TEXT": 3, "FOREIGN": 2, "MATERIALIZED": 2, "EVENT": 2, "ACCESS": 2, "USER": 1, "OPERATOR": 1, "LARGE": 2}
        size = long.get(kinds[0], 1) if kinds else 1
        if kinds[:1] == ["FOREIGN"] and kinds[1:2] == ["DATA"]:
            size = 3
        if kinds[:1] == ["USER"] and kinds[1:2] == ["MAPPING"] or kinds[:1] == ["OPERATOR"] and len(kinds) > 1 \
                and kinds[1] in ("CLASS", "FAMILY"):
            size = 2
        return " ".join([first[0]] + (["DEFAULT PRIVILEGES"] if "PRIVILEGES" in first else kinds[:size]))
    return " ".join(first[:2]) if first[0] in two and len(first) > 1 else first[0]


def statements():
    done, refused = {}, {}
    for theirs, ours, sentence in sentences():
        name = statement_of(sentence)
        done.setdefault(name, 0)
        refused.setdefault(name, 0)
        refused[name] += ours == "0A000" and theirs not in ("0A000", "0A000?")
        done[name] += ours == "ok"
    names = sorted(done)
    whole = [name for name in names if done[name] and not refused[name]]
    none = [name for name in names if not done[name] and refused[name]]
    part = [(name, str(done[name]), str(refused[name])) for name in names if done[name] and refused[name]]
    unknown = [name for name in names if not done[name] and not refused[name]]
    return whole, part, none, unknown


def rows_of(name, macro):
    """The arguments of each row of a table of the code; texts without their quotes."""
    with open(os.path.join(TOP, "src", "sql", name), encoding="utf-8") as file:
        rows = re.findall(rf"^{macro}\((.*)\)$", file.read(), re.M)
    cells = r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[^, ]+'
    return [[re.sub(r"\\(.)", r"\1", cell[1:-1]) if cell[0] in "\"'" else cell for cell in re.findall(cells, row)]
            for row in rows]


def functions_and_aggregates():
    operators = {row[4] for row in rows_of("functions/operator_table.def", "BOP_OPERATOR")}
    functions, aggregates = set(), set()
    for table_name in ("functions/proc_table.def", "functions/bop_proc_table.def"):
        for oid, name, _key, kind, *_rest in rows_of(table_name, "BOP_PROC"):
            if kind == "a":
                aggregates.add(name)
            elif oid not in operators:
                functions.add(name)
    return sorted(functions), sorted(aggregates)


def types():
    """Base types, ranges and multiranges, as format_type names them."""
    return sorted({row[16] or row[1] for row in rows_of("types/type_table.def", "BOP_TYPE")
                   if row[4] in "brm" and row[11] == "0"})


def page():
    with open(TEMPLATE, encoding="utf-8") as file:
        text = file.read()
    differences, tests = known_differences(), count_tests()
    all_sentences = sentences()
    whole, part, none, unknown = statements()
    functions, aggregates = functions_and_aggregates()
    values = {
        "tests": str(tests), "differences": str(len(differences)),
        "difference_share": f"{100 * len(differences) / tests:.1f}",
        "known_differences": table(["where", "test", "why"], [(area, code(label), why) for area, label, why in differences]),
        "sentences": str(len(all_sentences)),
        "sentences_done": str(sum(ours == "ok" for _, ours, _ in all_sentences)),
        "sentences_refused": str(sum(ours == "0A000" for _, ours, _ in all_sentences)),
        "statements_whole": wrapped(map(code, whole)), "statements_none": wrapped(map(code, none)),
        "statements_unknown": wrapped(map(code, unknown)),
        "statements_part": table(["statement", "sentences done", "refused"],
                                 [(code(name), yes, no) for name, yes, no in part]),
        "refusals": table(["answer", "for example"], [(words, code(example)) for _, words, example in refusals()]),
        "functions": wrapped(functions), "aggregates": wrapped(aggregates), "types": wrapped(types()),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = page()
    if options.write:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(text)
        return 0
    with open(PAGE, encoding="utf-8") as file:
        if file.read() == text:
            return 0
    print("docs/compatibility.md is not current: tests/grammar/compatibility.py --write")
    return 1


if __name__ == "__main__":
    sys.exit(main())
