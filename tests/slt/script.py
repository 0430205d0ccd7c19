"""The text format of tests/slt/*.slt: reading, writing, and results as text.

A file is a list of blocks, separated by blank lines. Lines that start with '#' before a block are comments of it.

    test LABEL [rowsort] [norows] [full] [simple | extended] [conn=NAME]
    SQL, on one or more lines, none of them blank
    bind: VALUE          one line a parameter, in order; the test then runs in the extended protocol only
    copy: LINE           one line of data for COPY FROM STDIN each
    ----
    what PostgreSQL 15 answers in the simple protocol
    ---- extended
    only where the extended protocol answers differently

`rowsort` compares rows as a set, `norows` everything but rows; `full` compares hint, position and the object fields of
errors too; `simple` and `extended` restrict a test to one protocol; `conn` names one of several connections to the
file's database.

An answer is one line a fact: `columns NAME:TYPE | ...`, `row VALUE | ...`, `copy LINE`, `tag TAG`,
`notice SEVERITY SQLSTATE TEXT`, `error SQLSTATE TEXT`, `detail TEXT`, `hint TEXT`, `position N`,
`object FIELD=VALUE ...`. Of a statement that failed neither columns nor rows are told. A value is escaped: \\N is NULL,
\\e the empty string, \\s a space at either end, \\n a newline, \\t a tab, \\| a bar and \\\\ a backslash.
"""

import re
from dataclasses import dataclass, field

FLAGS = ("rowsort", "norows", "full", "simple", "extended")

TYPE_NAMES = {
    16: "bool", 17: "bytea", 18: "char", 19: "name", 20: "int8", 21: "int2", 23: "int4", 25: "text", 26: "oid",
    114: "json", 700: "float4", 701: "float8", 705: "unknown", 1000: "bool[]", 1005: "int2[]", 1007: "int4[]",
    1009: "text[]", 1015: "varchar[]", 1016: "int8[]", 1042: "bpchar", 1043: "varchar", 1082: "date", 1083: "time",
    1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1231: "numeric[]", 1700: "numeric", 2205: "regclass",
    2206: "regtype", 2249: "record", 2278: "void", 2950: "uuid", 3802: "jsonb",
}

FIRST_USER_OID = 16384


def type_name(oid):
    """Types that users made have another OID in each run."""
    return TYPE_NAMES.get(oid, "user" if oid >= FIRST_USER_OID else oid)


# Fields of an ErrorResponse that name objects.
OBJECT_FIELDS = {"s": "schema", "t": "table", "c": "column", "d": "type", "n": "constraint"}


@dataclass
class Test:
    label: str
    flags: set
    connection: str
    sql: str
    line: int
    comments: list = field(default_factory=list)
    parameters: list | None = None
    copy_data: str | None = None
    expected: dict = field(default_factory=dict)

    def protocols(self):
        if "simple" in self.flags:
            return ["simple"]
        if "extended" in self.flags or self.parameters is not None:
            return ["extended"]
        return ["simple", "extended"]

    def expected_for(self, protocol):
        return self.expected.get(protocol, self.expected.get("simple", self.expected.get("extended")))


class ScriptError(Exception):
    pass


def escape(value):
    if value is None:
        return "\\N"
    if value == "":
        return "\\e"
    text = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("|", "\\|")
    text = text.replace("\r", "\\r")
    return re.sub(r"^ | $", "\\\\s", text)


def unescape(text):
    if text == "\\N":
        return None
    named = {"n": "\n", "t": "\t", "r": "\r", "e": "", "s": " "}
    return re.sub(r"\\(.)", lambda m: named.get(m[1], m[1]), text)


def one_line(text):
    return text.replace("\n", "\\n")


def render(results, test):
    """The results of one test as the lines of an answer."""
    lines = []
    for result in results:
        # When planning ends and execution begins is a server's own affair, and with it whether columns or first rows
        # came before an error.
        failed = result.error is not None
        if result.names is not None and not failed:
            columns = [f"{escape(n)}:{type_name(o)}" for n, o in zip(result.names, result.oids)]
            lines.append("columns " + " | ".join(columns))
        rows = ["row " + " | ".join(escape(value) for value in row) for row in result.rows]
        if "norows" not in test.flags and not failed:
            lines += sorted(rows) if "rowsort" in test.flags else rows
        if result.copy:
            text = b"".join(result.copy).decode("utf-8", "replace")
            lines += ["copy " + escape(line) for line in text.splitlines()]
        for notice in result.notices:
            lines.append(f"notice {notice.get('S')} {notice.get('C')} {one_line(notice.get('M', ''))}")
        if result.tag is not None:
            lines.append(f"tag {result.tag}")
        if failed:
            error = result.error
            lines.append(f"error {error.get('C')} {one_line(error.get('M', ''))}")
            if "D" in error:
                lines.append(f"detail {one_line(error['D'])}")
            if "full" in test.flags:
                if "H" in error:
                    lines.append(f"hint {one_line(error['H'])}")
                if "P" in error:
                    lines.append(f"position {error['P']}")
                objects = [f"{name}={error[key]}" for key, name in OBJECT_FIELDS.items() if key in error]
                if objects:
                    lines.append("object " + " ".join(objects))
    return [line.rstrip() for line in lines]


def read(path):
    """(tests, trailing comments) of a file."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    tests, comments, labels = [], [], set()
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("#") or not line.strip():
            comments.append(line)
            at += 1
            continue
        words = line.split()
        if words[0] != "test" or len(words) < 2:
            raise ScriptError(f"{path}:{at + 1}: expected 'test LABEL', found '{line}'")
        test = Test(words[1], set(), "main", "", at + 1, comments)
        comments = []
        if test.label in labels:
            raise ScriptError(f"{path}:{at + 1}: the label {test.label} is used twice")
        labels.add(test.label)
        for word in words[2:]:
            if word.startswith("conn="):
                test.connection = word[5:]
            elif word in FLAGS:
                test.flags.add(word)
            else:
                raise ScriptError(f"{path}:{at + 1}: unknown flag '{word}'")
        at += 1
        sql, section = [], None
        while at < len(lines) and lines[at].strip():
            line = lines[at]
            if line.startswith("----"):
                section = line[4:].strip() or test.protocols()[0]
                if section not in test.protocols():
                    raise ScriptError(f"{path}:{at + 1}: {test.label} does not run in the protocol '{section}'")
                test.expected[section] = []
            elif section is not None:
                test.expected[section].append(line)
            elif line.startswith("bind: ") or line == "bind:":
                test.parameters = (test.parameters or []) + [unescape(line[6:])]
            elif line.startswith("copy: ") or line == "copy:":
                test.copy_data = (test.copy_data or "") + line[6:] + "\n"
            else:
                sql.append(line)
            at += 1
        test.sql = "\n".join(sql)
        if not sql:
            raise ScriptError(f"{path}:{test.line}: {test.label} has no SQL")
        tests.append(test)
    return tests, comments


def write(path, tests, trailing):
    """The file again, with what `expected` holds now."""
    out = []
    for test in tests:
        out += test.comments
        words = ["test", test.label] + [flag for flag in FLAGS if flag in test.flags]
        if test.connection != "main":
            words.append(f"conn={test.connection}")
        out.append(" ".join(words))
        out.append(test.sql)
        for value in test.parameters or []:
            out.append(f"bind: {escape(value)}".rstrip())
        if test.copy_data is not None:
            out += [f"copy: {line}".rstrip() for line in test.copy_data.split("\n")[:-1]]
        first = test.protocols()[0]
        out.append("----")
        out += test.expected[first]
        for protocol in test.protocols()[1:]:
            if protocol in test.expected and test.expected[protocol] != test.expected[first]:
                out.append(f"---- {protocol}")
                out += test.expected[protocol]
        if out[-1].startswith("----"):
            raise ScriptError(f"{path}: {test.label} has no answer")
        if any(lines[:1] and lines[0].startswith("broken") for lines in test.expected.values()):
            raise ScriptError(f"{path}: {test.label}: a broken connection is no answer to record")
    out += trailing
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))
