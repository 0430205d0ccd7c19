"""The part of the house style that clang-format cannot see.

usage: check_style.py <top of the tree>

* src/: files are named in snake_case after one noun; nothing named util, common, misc, helper or manager.
* src/: at most 600 lines a file, but for .def tables; headers have #pragma once; no <format> and <print>, which GCC 12 lacks.
* Code: at most 110 columns (120 for tables in comments, any for texts and .def tables), no tabs, no marker of unfinished work.
* tests/: no sleep, but for the pause of a poll that has a `deadline` in the lines before it.
Departures stand in exceptions.txt with their reason.
"""

import pathlib
import re
import sys

MOST_LINES = 600
MOST_COLUMNS = 110
MOST_TABLE_COLUMNS = 120
CPP = {".hpp", ".cpp", ".def", ".h", ".c"}
CODE = CPP | {".py", ".sh", ".cmake"}
FOLDERS = ("src", "tests", "bench", "cmake", "scripts", "include")
# A row of a table in a comment, as .clang-format knows it (CommentPragmas): nothing may break it.
TABLE_ROW = re.compile(r"^\s*//( {6,}|.*[^ .] {2,}[^ ])")
# A line that begins with a text: messages are kept whole, to be found by searching for them.
TEXT_LINE = re.compile(r'^\s*"')
FILE_NAME = re.compile(r"^[a-z][a-z0-9_]*\.(hpp|cpp|def|h|c)$")
VAGUE_NAME = re.compile(r"(^|_)(utils?|common|misc|helpers?|managers?)(_|\.)")
# Written in two parts, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
MISSING_IN_GCC_12 = re.compile(r"^\s*#\s*include\s*<(format|print)>")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|time\.sl" r"eep|pg_sl" r"eep)\b|^\s*sleep [0-9]")
POLL_LINES = 12
THIS_FOLDER = "tests/layers/"


class Exceptions:
    """exceptions.txt; remembers which entries were needed."""

    def __init__(self, text):
        self.lines = {}
        self.sleep = {}
        self.needed = set()
        for line in text.splitlines():
            words = line.split()
            if not words or line.startswith("#"):
                continue
            if words[0] == "lines" and len(words) >= 4 and words[2].isdigit():
                self.lines[words[1]] = int(words[2])
            elif words[0] == "sleep" and len(words) >= 3:
                self.sleep[words[1]] = True
            else:
                raise ValueError(f"exceptions.txt: '{line}' is not an entry with a reason")

    def most_lines(self, name):
        self.needed.add(("lines", name))
        return self.lines.get(name, MOST_LINES)

    def may_sleep(self, name):
        self.needed.add(("sleep", name))
        return name in self.sleep

    def not_needed(self):
        entries = [("lines", name) for name in self.lines] + [("sleep", name) for name in self.sleep]
        return [f"tests/layers/exceptions.txt: '{kind} {name}' is no longer needed"
                for kind, name in entries if (kind, name) not in self.needed]


def code_files(top):
    for folder in FOLDERS:
        for file in sorted((top / folder).rglob("*")):
            if file.is_file() and (file.suffix in CODE or file.name == "CMakeLists.txt" or folder == "scripts"):
                yield file


def problems_of_file(name, text, exceptions):
    lines = text.splitlines()
    base = name.rsplit("/", 1)[-1]
    suffix = pathlib.PurePosixPath(base).suffix
    if name.startswith("src/") and suffix in CPP:
        if not FILE_NAME.match(base):
            yield f"{name}: is not named in snake_case"
        if VAGUE_NAME.search(base):
            yield f"{name}: is not named after one noun"
        if suffix == ".hpp" and "#pragma once" not in text:
            yield f"{name}: has no #pragma once"
        if suffix != ".def" and MOST_LINES < len(lines) > (most := exceptions.most_lines(name)):
            yield f"{name}: {len(lines)} lines, at most {most}"
    is_test = name.startswith("tests/") and not name.startswith(THIS_FOLDER)
    for number, line in enumerate(lines, 1):
        where = f"{name}:{number}:"
        most_columns = MOST_TABLE_COLUMNS if TABLE_ROW.match(line) else MOST_COLUMNS
        is_free = suffix not in CPP - {".def"} or "://" in line or TEXT_LINE.match(line)
        if len(line) > most_columns and not is_free:
            yield f"{where} {len(line)} columns, at most {most_columns}"
        if "\t" in line and suffix in CPP:
            yield f"{where} a tab"
        if UNFINISHED.search(line):
            yield f"{where} a marker of unfinished work"
        if suffix in CPP and MISSING_IN_GCC_12.match(line):
            yield f"{where} <format> and <print> are not in GCC 12; <fmt/format.h> is"
        is_poll = any("deadline" in before for before in lines[max(0, number - 1 - POLL_LINES):number - 1])
        if is_test and SLEEP.search(line) and not is_poll and not exceptions.may_sleep(name):
            yield f"{where} a test waits for the condition, not for time"


def problems_of(top):
    exceptions = Exceptions((top / "tests" / "layers" / "exceptions.txt").read_text(encoding="utf-8"))
    for file in code_files(top):
        name = file.relative_to(top).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield f"{name}: is not UTF-8"
            continue
        yield from problems_of_file(name, text, exceptions)
    yield from exceptions.not_needed()


def main():
    problems = list(problems_of(pathlib.Path(sys.argv[1])))
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
