#!/usr/bin/env python3
"""COPY in binary form, byte by byte, and what COPY says of data that it refuses."""

import struct
import unittest

import target
import wire
from wire import cstring, message

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = SIGNATURE + struct.pack("!ii", 0, 0)
TRAILER = struct.pack("!h", -1)


def field(value):
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value


def row(*values):
    return struct.pack("!h", len(values)) + b"".join(field(value) for value in values)


def int4(number):
    return struct.pack("!i", number)


# type: literals; each is copied out and in again, and compared as text and as bytes.
TYPES = {
    "bool": ["true", "false"],
    "int2": ["0", "-32768", "32767"],
    "int4": ["0", "-2147483648", "2147483647"],
    "int8": ["0", "-9223372036854775808", "9223372036854775807"],
    "numeric": ["0", "-1.50", "12345678901234567890.0987654321", "NaN", "Infinity", "-Infinity", "1e-20", "10000"],
    "numeric(10,2)": ["-99999999.99", "0.10"],
    "float4": ["0", "1.5", "-3.4e38", "NaN", "Infinity"],
    "float8": ["0", "0.1", "-1e300", "NaN", "-Infinity"],
    "text": ["", "plain", "tab\t back\\slash", "äöü 世界 😀"],
    "varchar(5)": ["", "abcde"],
    "char(5)": ["", "ab", "abcde"],
    '"char"': ["x"],
    "name": ["a_name"],
    "bytea": ["", "\\x00ff10"],
    "date": ["2024-02-29", "0001-01-01", "infinity", "-infinity", "4713-01-01 BC"],
    "time": ["00:00:00", "23:59:59.999999", "24:00:00"],
    "timetz": ["12:00:00+05:30", "00:00:00-12"],
    "timestamp": ["2024-02-29 23:59:59.999999", "infinity", "1970-01-01"],
    "timestamptz": ["2024-02-29 23:59:59.5+02", "-infinity"],
    "interval": ["1 year 2 mons 3 days 04:05:06.789", "-1 day", "0"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "json": ['{"a": [1, 2, null]}', "1"],
    "jsonb": ['{"b": 1, "a": [true, null]}', '"text"'],
    "oid": ["0", "4294967295"],
    "regclass": ["pg_class"],
    "int4[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}"],
    "text[]": ['{"a b",NULL,"quote \\" and \\\\"}'],
    "numeric[]": ["{1.50,NaN}"],
    "timestamptz[]": ["{2024-01-01 00:00:00+00}"],
    "char(3)[]": ["{a,abc}"],
}


class Base(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.connection = target.server.connect("copy_tests")
        self.addCleanup(self.connection.close)

    def ask(self, sql, **options):
        result = self.connection.simple(sql, **options)[-1]
        self.assertIsNone(result.error, sql)
        return result

    def table(self, columns):
        name = "t_" + self.id().rsplit(".", 1)[1]
        self.ask(f"DROP TABLE IF EXISTS {name}")
        self.ask(f"CREATE TABLE {name} ({columns})")
        return name

    def load(self, table, *pieces, options="(FORMAT binary)", columns=""):
        """COPY FROM STDIN of the pieces, each a CopyData; (tag, error's code, message, context)."""
        self.connection.send(message(b"Q", cstring(f"COPY {table}{columns} FROM STDIN {options}")))
        kind, body = self.connection.receive()
        if kind == b"G":
            binary = "binary" in options
            self.assertEqual(body[0], int(binary))
            self.assertEqual(set(struct.unpack(f"!{body[2]}h", body[3:])), {int(binary)})
            self.connection.send(b"".join(message(b"d", piece) for piece in pieces) + message(b"c"))
            kind, body = self.connection.receive()
        answer = (body[:-1].decode(), None, None, None)
        if kind == b"E":
            fields = wire.parse_fields(body)
            answer = (None, fields["C"], fields["M"], fields.get("W"))
        self.assertEqual(self.connection.receive()[0], b"Z")
        return answer


class Binary(Base):
    def test_layout(self):
        pieces = self.ask("COPY (VALUES (1, 'a'), (2, NULL)) TO STDOUT (FORMAT binary)").copy
        self.assertEqual(pieces, [HEADER + row(int4(1), b"a"), row(int4(2), None), TRAILER])
        self.assertEqual(self.ask("COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT binary)").copy, [HEADER + TRAILER])
        self.assertEqual(self.ask("COPY (SELECT 1::int2) TO STDOUT WITH BINARY").copy, [HEADER + row(b"\0\1"), TRAILER])

    def test_answer_says_binary(self):
        self.connection.send(message(b"Q", cstring("COPY (SELECT 1, 2) TO STDOUT (FORMAT binary)")))
        self.assertEqual(self.connection.receive(), (b"H", struct.pack("!bhhh", 1, 2, 1, 1)))
        while self.connection.receive()[0] != b"Z":
            pass

    def test_all_types_out_and_in(self):
        for number, (kind, literals) in enumerate(TYPES.items()):
            name = f"types_{number}"
            for table in (name, name + "_copy"):
                self.ask(f"DROP TABLE IF EXISTS {table}")
                self.ask(f"CREATE TABLE {table} (n int, v {kind})")
            values = ", ".join("({}, '{}')".format(n, text.replace("'", "''")) for n, text in enumerate(literals))
            self.ask(f"INSERT INTO {name} VALUES {values}, (1000, NULL)")
            data = b"".join(self.ask(f"COPY (SELECT * FROM {name} ORDER BY n) TO STDOUT (FORMAT binary)").copy)
            self.assertEqual(self.load(name + "_copy", data)[0], f"COPY {len(literals) + 1}", kind)
            query = "SELECT n, v FROM {} ORDER BY n"
            self.assertEqual(self.ask(query.format(name + "_copy")).rows, self.ask(query.format(name)).rows, kind)
            again = b"".join(self.ask(f"COPY (SELECT * FROM {name}_copy ORDER BY n) TO STDOUT (FORMAT binary)").copy)
            self.assertEqual(again, data, kind)

    def test_bytes_may_be_split_anywhere(self):
        name = self.table("a int, b text")
        data = SIGNATURE + struct.pack("!ii", 5, 3) + b"ext" + row(int4(1), b"one") + row(None, b"") + TRAILER
        for size in (1, 2, 3, 7, 1000):
            self.ask(f"TRUNCATE {name}")
            pieces = [data[at:at + size] for at in range(0, len(data), size)]
            self.assertEqual(self.load(name, *pieces)[0], "COPY 2")
            self.assertEqual(self.ask(f"SELECT * FROM {name} ORDER BY a").rows, [["1", "one"], [None, ""]])

    def test_data_may_lack_its_trailer(self):
        name = self.table("a int")
        self.assertEqual(self.load(name, HEADER + row(int4(1)))[0], "COPY 1")
        self.assertEqual(self.load(name, HEADER)[0], "COPY 0")
        self.assertEqual(self.load(name, HEADER + row(int4(1)) + b"\0")[0], "COPY 1")

    def test_columns_in_another_order(self):
        name = self.table("a int, b text, c int DEFAULT 7")
        self.assertEqual(self.load(name, HEADER + row(b"x", int4(3)) + TRAILER, columns=" (b, a)")[0], "COPY 1")
        self.assertEqual(self.ask(f"SELECT * FROM {name}").rows, [["3", "x", "7"]])

    def test_modifiers_hold(self):
        name = self.table("a varchar(3), b numeric(4,1)")
        self.assertEqual(self.load(name, HEADER + row(b"abcd", None)),
                         (None, "22001", "value too long for type character varying(3)", f"COPY {name}, line 1, column a"))

    def test_refused_data(self):
        name = self.table("a int PRIMARY KEY, b text CHECK (b <> 'bad')")
        good = row(int4(1), b"one")
        where = f"COPY {name}, line "
        cases = [
            (b"", "22P04", "COPY file signature not recognized", None),
            (b"PGCOPY\n", "22P04", "COPY file signature not recognized", None),
            (b"1\tone\nand more", "22P04", "COPY file signature not recognized", None),
            (SIGNATURE, "22P04", "invalid COPY file header (missing flags)", None),
            (SIGNATURE + b"\0\1\0\0", "22P04", "invalid COPY file header (WITH OIDS)", None),
            (SIGNATURE + b"\0\2\0\0", "22P04", "unrecognized critical flags in COPY file header", None),
            (SIGNATURE + b"\0\0\0\1", "22P04", "invalid COPY file header (missing length)", None),
            (SIGNATURE + b"\0\0\0\0\xff\xff\xff\xff", "22P04", "invalid COPY file header (missing length)", None),
            (SIGNATURE + b"\0\0\0\0\0\0\0\4abc", "22P04", "invalid COPY file header (wrong length)", None),
            (HEADER + row(int4(1)), "22P04", "row field count is 1, expected 2", where + "1"),
            (HEADER + good + row(), "22P04", "row field count is 0, expected 2", where + "2"),
            (HEADER + struct.pack("!h", -2), "22P04", "row field count is -2, expected 2", where + "1"),
            (HEADER + good + b"\0\2\0", "22P04", "unexpected EOF in COPY data", where + "2, column a"),
            (HEADER + b"\0\2" + field(int4(1)), "22P04", "unexpected EOF in COPY data", where + "1, column b"),
            (HEADER + b"\0\2" + field(int4(1)) + b"\0\0\0\5abc", "22P04", "unexpected EOF in COPY data",
             where + "1, column b"),
            (HEADER + b"\0\2\xff\xff\xff\xfe", "22P04", "invalid field size", where + "1, column a"),
            (HEADER + row(b"\0\0\0\1\0", b"x"), "22P03", "incorrect binary data format", where + "1, column a"),
            (HEADER + row(b"\0\1", b"x"), "08P01", "insufficient data left in message", where + "1, column a"),
            (HEADER + row(int4(1), b"\xff"), "22021", 'invalid byte sequence for encoding "UTF8": 0xff',
             where + "1, column b"),
            (HEADER + good + TRAILER + b"x", "22P04", "received copy data after EOF marker", where + "2"),
            (HEADER + good + good + TRAILER, "23505", f'duplicate key value violates unique constraint "{name}_pkey"',
             where + "2"),
            (HEADER + row(int4(1), b"bad"), "23514", f'new row for relation "{name}" violates check constraint "{name}_b_check"',
             where + "1"),
            (HEADER + row(None, b"x"), "23502", f'null value in column "a" of relation "{name}" violates not-null constraint',
             where + "1"),
        ]
        for data, code, words, context in cases:
            self.assertEqual(self.load(name, data), (None, code, words, context))
        self.assertEqual(self.ask(f"SELECT count(*) FROM {name}").rows, [["0"]])
        self.assertEqual(self.load(name, HEADER + good + TRAILER)[0], "COPY 1")

    def test_options_that_do_not_go_together(self):
        name = self.table("a int")
        for options, code, words in [
                ("(FORMAT binary, DELIMITER ',')", "42601", "cannot specify DELIMITER in BINARY mode"),
                ("(FORMAT binary, NULL 'x')", "42601", "cannot specify NULL in BINARY mode"),
                ("(FORMAT binary, HEADER)", "0A000", "cannot specify HEADER in BINARY mode"),
                ("(FORMAT binary, QUOTE 'x')", "0A000", "COPY quote available only in CSV mode"),
                ("(FORMAT binary, FORCE_NULL (a))", "0A000", "COPY force null available only in CSV mode")]:
            self.assertEqual(self.load(name, options=options)[1:3], (code, words))
        error = self.connection.simple("COPY (SELECT relacl[1] FROM pg_class) TO STDOUT (FORMAT binary)")[-1].error
        self.assertEqual(error["C"], "42883")

    def test_many_rows(self):
        name = self.table("a int, b text")
        count = 100_000
        data = HEADER + b"".join(row(int4(i), b"row %d" % i) for i in range(count)) + TRAILER
        self.assertEqual(self.load(name, *[data[at:at + 50_000] for at in range(0, len(data), 50_000)])[0], f"COPY {count}")
        back = b"".join(self.ask(f"COPY (SELECT * FROM {name} ORDER BY a) TO STDOUT (FORMAT binary)").copy)
        self.assertEqual(back, data)

    def test_extended_protocol(self):
        name = self.table("a int")
        self.ask("BEGIN")
        result = self.connection.extended(f"COPY {name} FROM STDIN (FORMAT binary)",
                                          copy_data=HEADER + row(int4(5)) + TRAILER)[-1]
        self.assertEqual(result.tag, "COPY 1")
        result = self.connection.extended(f"COPY {name} TO STDOUT (FORMAT binary)")[-1]
        self.assertEqual(b"".join(result.copy), HEADER + row(int4(5)) + TRAILER)
        self.ask("ROLLBACK")
        self.assertEqual(self.ask(f"SELECT count(*) FROM {name}").rows, [["0"]])


class TextErrors(Base):
    def test_context_of_text_and_csv(self):
        name = self.table("a int PRIMARY KEY, b text CHECK (b <> 'bad')")
        where = f"COPY {name}, line "
        long = "x" * 150
        for options, data, code, context in [
                ("", b"1\ta\nx\tb\n", "22P02", where + '2, column a: "x"'),
                ("", b"1\ta\n" + long.encode() + b"\tb\n", "22P02", where + f'2, column a: "{"x" * 100}..."'),
                ("", b"1\ta\n2\n", "22P04", where + '2: "2"'),
                ("", b"1\ta\n2\tb\tc\n", "22P04", where + '2: "2\tb\tc"'),
                ("", b"1\ta\n1\tb\n", "23505", where + "2"),
                ("", b"1\tbad\n", "23514", where + '1: "1\tbad"'),
                ("", b"\\N\ta\n", "23502", where + '1: "\\N\ta"'),
                ("", b"1\t" + long.encode() + b"\tz\n", "22P04", where + '1: "1\t' + "x" * 98 + '..."'),
                ("(FORMAT csv)", b'1,a\n"2 ",b\n"x,y",c\n', "22P02", where + '3, column a: "x,y"')]:
            answer = self.load(name, data, options=options)
            self.assertEqual((answer[1], answer[3]), (code, context))


def setUpModule():
    target.fresh_database("copy_tests")


if __name__ == "__main__":
    target.main()
