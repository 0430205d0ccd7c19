#!/usr/bin/env python3
"""The wire protocol itself, message by message: what drivers do only now and then and libpq hides.

A conversation is a list of messages to send; the transcript of the answer is one short text a message, up to the last
ReadyForQuery: "1" ParseComplete, "2" BindComplete, "3" CloseComplete, "t OIDS", "n" NoData, "T name:oid:format ...",
"D values", "s" PortalSuspended, "I" EmptyQueryResponse, "C tag", "G"/"H" copy responses, "d data", "c", "E code",
"N code", "Z status".
"""

import socket
import struct
import threading
import time
import unittest

import target
import wire
from wire import cstring, message

SYNC, FLUSH, COPY_DONE = message(b"S"), message(b"H"), message(b"c")


def parse(sql, name="", oids=()):
    return message(b"P", cstring(name) + cstring(sql) + struct.pack(f"!h{len(oids)}I", len(oids), *oids))


def bind(values=(), statement="", portal="", formats=(), results=()):
    body = cstring(portal) + cstring(statement) + struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    body += struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"B", body + struct.pack(f"!h{len(results)}h", len(results), *results))


def describe(kind, name=""):
    return message(b"D", kind + cstring(name))


def execute(portal="", limit=0):
    return message(b"E", cstring(portal) + struct.pack("!i", limit))


def close(kind, name=""):
    return message(b"C", kind + cstring(name))


def query(sql):
    return message(b"Q", cstring(sql))


def data(text):
    return message(b"d", text)


def row_text(body):
    (count,) = struct.unpack_from("!h", body)
    offset, values = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, offset)
        offset += 4
        raw = None if length < 0 else body[offset:offset + length]
        offset += max(length, 0)
        values.append("NULL" if raw is None else raw.decode() if raw.isascii() and all(b > 31 for b in raw)
                      else "0x" + raw.hex())
    return " ".join(values)


def entry(kind, body):
    letter = kind.decode()
    if kind == b"T":
        names, oids, formats = wire.parse_row_description(body)
        return "T " + " ".join(f"{n}:{o}:{f}" for n, o, f in zip(names, oids, formats))
    if kind == b"D":
        return "D " + row_text(body)
    if kind == b"t":
        return "t " + " ".join(str(o) for o in struct.unpack_from(f"!{(len(body) - 2) // 4}I", body, 2))
    if kind == b"C":
        return "C " + body[:-1].decode()
    if kind in (b"E", b"N"):
        return f"{letter} {wire.parse_fields(body)['C']}"
    if kind == b"d":
        return "d " + body.decode().rstrip("\n")
    if kind in (b"G", b"H"):
        form, count = struct.unpack_from("!bh", body)
        return f"{letter} {form} {count}"
    return letter + (" " + body.decode() if kind == b"Z" else "")


class Base(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.connection = self.connect()
        self.addCleanup(lambda: self.connection.socket.close())

    def connect(self, **options):
        return target.server.connect("protocol_tests", **options)

    def talk(self, *messages, readies=None):
        """Sends everything at once; the transcript up to as many ReadyForQuery as there are Sync and Query."""
        readies = readies if readies is not None else sum(m[:1] in b"SQ" for m in messages)
        self.connection.send(b"".join(messages))
        transcript = []
        while readies:
            text = entry(*self.connection.receive())
            transcript.append(text)
            readies -= text.startswith("Z")
        return transcript

    def expect(self, messages, *transcript, **options):
        self.assertEqual(self.talk(*messages, **options), list(transcript))


def setUpModule():  # pylint: disable=invalid-name
    target.fresh_database("protocol_tests")
    connection = target.server.connect("protocol_tests")
    for sql in ("CREATE TABLE t (id int PRIMARY KEY, name text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)"):
        connection.simple(sql)
    connection.close()


class Extended(Base):
    def test_the_usual_sequence(self):
        self.expect([parse("SELECT id, name FROM t WHERE id >= $1 ORDER BY id"), describe(b"S"), bind([b"2"]),
                     describe(b"P"), execute(), SYNC],
                    "1", "t 23", "T id:23:0 name:25:0", "2", "T id:23:0 name:25:0", "D 2 b", "D 3 NULL", "C SELECT 2",
                    "Z I")

    def test_portal_suspension(self):
        self.expect([parse("SELECT id FROM t ORDER BY id"), bind(), execute(limit=2), execute(limit=2),
                     SYNC], "1", "2", "D 1", "D 2", "s", "D 3", "C SELECT 1", "Z I")

    def test_limit_equal_to_the_rows_suspends(self):
        self.expect([parse("SELECT id FROM t ORDER BY id"), bind(), execute(limit=3), execute(limit=3), SYNC],
                    "1", "2", "D 1", "D 2", "D 3", "s", "C SELECT 0", "Z I")

    def test_named_portals_interleave(self):
        self.expect([query("BEGIN"), parse("SELECT id FROM t ORDER BY id", "s"), bind(statement="s", portal="p1"),
                     bind(statement="s", portal="p2"), execute("p1", 1), execute("p2", 2), execute("p1", 1), SYNC,
                     execute("p2", 5), close(b"P", "p1"), execute("p1"), SYNC, query("ROLLBACK")],
                    "C BEGIN", "Z T", "1", "2", "2", "D 1", "s", "D 1", "D 2", "s", "D 2", "s", "Z T",
                    "D 3", "C SELECT 1", "3", "E 34000", "Z E", "C ROLLBACK", "Z I")

    def test_portal_ends_with_its_transaction(self):
        self.expect([parse("SELECT id FROM t"), bind(portal="p"), execute("p", 1), SYNC, execute("p", 1), SYNC],
                    "1", "2", "D 1", "s", "Z I", "E 34000", "Z I")

    def test_a_portal_shows_what_was_there_when_it_was_opened(self):
        self.expect([query("BEGIN"), query("INSERT INTO t VALUES (70, 'x')"),
                     parse("SELECT id FROM t WHERE id >= 70 ORDER BY id", "s"), bind(statement="s", portal="p"),
                     bind(statement="s", portal="q"), execute("p", 1), SYNC,
                     query("INSERT INTO t SELECT max(id) + 1 FROM t"), execute("p", 1), SYNC,
                     query("DELETE FROM t WHERE id >= 70"), execute("q"), SYNC, query("ROLLBACK")],
                    "C BEGIN", "Z T", "C INSERT 0 1", "Z T", "1", "2", "2", "D 70", "s", "Z T", "C INSERT 0 1", "Z T",
                    "C SELECT 0", "Z T", "C DELETE 2", "Z T", "D 70", "C SELECT 1", "Z T", "C ROLLBACK", "Z I")

    def test_a_table_that_an_open_portal_reads_is_in_use(self):
        for sql in ("ALTER TABLE t ADD COLUMN b int", "TRUNCATE t", "DROP TABLE t"):
            self.expect([query("BEGIN"), parse("SELECT id FROM t"), bind(portal="p"), execute("p", 1), SYNC, query(sql),
                         query("ROLLBACK")],
                        "C BEGIN", "Z T", "1", "2", "D 1", "s", "Z T", "E 55006", "Z E", "C ROLLBACK", "Z I")

    def test_portals_from_before_a_savepoint_outlive_it(self):
        self.expect([query("BEGIN"), query("INSERT INTO t VALUES (80, 'x')"),
                     parse("SELECT id FROM t ORDER BY id", "s"), bind(statement="s", portal="p"), execute("p", 1), SYNC,
                     query("SAVEPOINT a"), bind(statement="s", portal="q"), execute("q", 1), SYNC,
                     query("INSERT INTO t VALUES (81, 'x')"), query("SELECT 1/0"), execute("p", 1), SYNC,
                     query("ROLLBACK TO a"), execute("p", 2), SYNC, execute("q", 1), SYNC, query("ROLLBACK")],
                    "C BEGIN", "Z T", "C INSERT 0 1", "Z T", "1", "2", "D 1", "s", "Z T", "C SAVEPOINT", "Z T", "2",
                    "D 1", "s", "Z T", "C INSERT 0 1", "Z T", "E 22012", "Z E", "E 25P02", "Z E", "C ROLLBACK", "Z T",
                    "D 2", "D 3", "s", "Z T", "E 34000", "Z E", "C ROLLBACK", "Z I")

    def test_a_portal_whose_rows_could_not_be_kept_never_ends_as_if_whole(self):
        slow = "SELECT g, (SELECT count(*) FROM generate_series(1, 20000) h WHERE h <> g) FROM generate_series(1, 400) g"
        self.talk(query("BEGIN"), query("INSERT INTO t VALUES (90)"), parse(slow, "slow"), bind(statement="slow", portal="slow"),
                  execute("slow", 1), SYNC, query("SAVEPOINT s"), query("SET LOCAL statement_timeout = 20"),
                  query("INSERT INTO t VALUES (91)"), query("ROLLBACK TO s; SET LOCAL statement_timeout = 0"))
        rest = self.talk(execute("slow"), SYNC)
        if rest[-2][0] == "C":
            self.assertEqual(sum(text.startswith("D ") for text in rest), 399)
        else:
            self.assertEqual(rest[-2], "E 57014")
        self.talk(query("ROLLBACK"))

    def test_rows_of_a_fetch_come_in_parts(self):
        self.talk(query("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 5)"))
        self.expect([parse("FETCH 4 FROM c"), bind(), execute(limit=3), execute(limit=3), SYNC],
                    "1", "2", "D 1", "D 2", "D 3", "s", "D 4", "C FETCH 1", "Z T")
        self.expect([query("FETCH ALL FROM c; COMMIT")], "T generate_series:23:0", "D 5", "C FETCH 1", "C COMMIT", "Z I")

    def test_rows_of_changes_and_commands_come_in_parts(self):
        self.expect([parse("INSERT INTO t SELECT g FROM generate_series(90, 94) g RETURNING id"), bind(), execute(limit=2),
                     execute(limit=2), execute(limit=2), execute(limit=2), SYNC,
                     parse("SHOW search_path"), bind(), execute(limit=1), execute(limit=1), SYNC,
                     query("DELETE FROM t WHERE id >= 90")],
                    "1", "2", "D 90", "D 91", "s", "D 92", "D 93", "s", "D 94", "C INSERT 0 1", "C INSERT 0 0", "Z I",
                    "1", "2", 'D "$user", public', "s", "C SHOW", "Z I", "C DELETE 5", "Z I")

    def test_result_formats_of_a_command_are_counted(self):
        self.expect([parse("SHOW ALL"), bind(results=(1, 1)), SYNC, parse("SHOW search_path"), bind(results=(0, 0)), SYNC],
                    "1", "E 08P01", "Z I", "1", "E 08P01", "Z I")

    def test_as_many_parameters_as_the_protocol_counts(self):
        places = ",".join(f"(${i})" for i in range(1, 65536))
        self.expect([query("CREATE TABLE wide (a int PRIMARY KEY, b int NOT NULL DEFAULT 7)"),
                     parse(f"INSERT INTO wide VALUES {places}"),
                     message(b"B", b"\0\0" + struct.pack("!hH", 0, 65535) +
                             b"".join(struct.pack("!i", len(str(i))) + str(i).encode() for i in range(65535)) +
                             struct.pack("!h", 0)),
                     execute(), SYNC, query("DROP TABLE wide")],
                    "C CREATE TABLE", "Z I", "1", "2", "C INSERT 0 65535", "Z I", "C DROP TABLE", "Z I")

    def test_vacuum_in_a_pipeline(self):
        self.expect([parse("SELECT 1"), bind(), execute(), parse("VACUUM"), bind(), execute(), SYNC],
                    "1", "2", "D 1", "C SELECT 1", "1", "2", "E 25001", "Z I")

    def test_statement_survives_sync_and_close_is_quiet(self):
        self.expect([parse("SELECT 7", "seven"), SYNC, bind(statement="seven"), execute(), SYNC, close(b"S", "seven"),
                     close(b"S", "never"), close(b"P", "never"), SYNC, bind(statement="seven"), SYNC],
                    "1", "Z I", "2", "D 7", "C SELECT 1", "Z I", "3", "3", "3", "Z I", "E 26000", "Z I")

    def test_named_statement_may_not_be_replaced(self):
        self.expect([parse("SELECT 1", "once"), parse("SELECT 2", "once"), SYNC, parse("SELECT 3"), parse("SELECT 4"),
                     bind(), execute(), SYNC],
                    "1", "E 42P05", "Z I", "1", "1", "2", "D 4", "C SELECT 1", "Z I")

    def test_everything_is_skipped_up_to_sync(self):
        self.expect([parse("SELECT 1/(SELECT 0)"), bind(), execute(), parse("SELECT 2"), bind(), execute(), SYNC,
                     parse("SELECT 3"), bind(), execute(), SYNC],
                    "1", "2", "E 22012", "Z I", "1", "2", "D 3", "C SELECT 1", "Z I")

    def test_units_between_syncs_are_one_transaction(self):
        self.expect([parse("INSERT INTO t VALUES (50, 'x')"), bind(), execute(), parse("INSERT INTO t VALUES (1, 'x')"),
                     bind(), execute(), SYNC, query("SELECT count(*) FROM t WHERE id = 50")],
                    "1", "2", "C INSERT 0 1", "1", "2", "E 23505", "Z I", "T count:20:0", "D 0", "C SELECT 1", "Z I")

    def test_statement_without_rows_has_no_data(self):
        self.expect([parse("DELETE FROM t WHERE id = $1"), describe(b"S"), bind([b"77"]), describe(b"P"), execute(), SYNC],
                    "1", "t 23", "n", "2", "n", "C DELETE 0", "Z I")

    def test_describe_does_not_run(self):
        self.expect([parse("INSERT INTO t VALUES (60, 'x') RETURNING id"), describe(b"S"), bind(), describe(b"P"), SYNC,
                     query("SELECT count(*) FROM t WHERE id = 60")],
                    "1", "t ", "T id:23:0", "2", "T id:23:0", "Z I", "T count:20:0", "D 0", "C SELECT 1", "Z I")

    def test_empty_statement(self):
        self.expect([parse(""), describe(b"S"), bind(), execute(), SYNC], "1", "t ", "n", "2", "I", "Z I")

    def test_null_parameter_and_named_types(self):
        self.expect([parse("SELECT $1, $2, $3", oids=(23, 25, 0)), describe(b"S"), bind([None, b"x", b"y"]), execute(), SYNC],
                    "1", "t 23 25 25", "T ?column?:23:0 ?column?:25:0 ?column?:25:0", "2", "D NULL x y", "C SELECT 1", "Z I")

    def test_binary_parameters_and_results(self):
        values = [struct.pack("!i", 258), struct.pack("!q", -2), struct.pack("!d", 1.5), b"\x01", b"ab", b"\x00\xff"]
        self.expect([parse("SELECT $1::int4, $2::int8, $3::float8, $4::bool, $5::text, $6::bytea"),
                     bind(values, formats=(1,), results=(1,)), describe(b"P"), execute(), SYNC],
                    "1", "2", "T int4:23:1 int8:20:1 float8:701:1 bool:16:1 text:25:1 bytea:17:1",
                    "D 0x00000102 0xfffffffffffffffe 0x3ff8000000000000 0x01 ab 0x00ff", "C SELECT 1", "Z I")

    def test_binary_values_of_other_types(self):
        self.expect([parse("SELECT 12345.678::numeric, -0.05::numeric, 'NaN'::numeric, date '2000-01-02', timestamp "
                           "'2000-01-01 00:00:01', timestamptz '1999-12-31 23:59:59+00', 1.5::real, 7::int2, "
                           "'00000000-0000-0000-0000-000000000001'::uuid, '{\"a\": 1}'::jsonb"),
                     bind(results=(1,)), execute(), SYNC],
                    "1", "2", "D 0x0003000100000003000109291a7c 0x0001ffff4000000201f4 0x00000000c0000000 0x00000001 "
                    "0x00000000000f4240 0xfffffffffff0bdc0 0x3fc00000 0x0007 0x00000000000000000000000000000001 "
                    "0x017b2261223a20317d", "C SELECT 1", "Z I")

    def test_a_format_for_each_column(self):
        self.expect([parse("SELECT 1, 2, 'x'::text"), bind(results=(0, 1, 0)), describe(b"P"), execute(), SYNC],
                    "1", "2", "T ?column?:23:0 ?column?:23:1 text:25:0", "D 1 0x00000002 x", "C SELECT 1", "Z I")

    def test_malformed_binary_parameter(self):
        self.expect([parse("SELECT $1::int4"), bind([b"\x00\x01"], formats=(1,)), SYNC], "1", "E 08P01", "Z I")

    def test_wrong_number_of_parameters(self):
        self.expect([parse("SELECT $1::int"), bind([b"1", b"2"]), SYNC], "1", "E 08P01", "Z I")

    def test_wrong_number_of_result_formats(self):
        self.expect([parse("SELECT 1, 2"), bind(results=(0, 0, 0)), SYNC], "1", "E 08P01", "Z I")

    def test_unknown_statement_and_portal(self):
        self.expect([describe(b"S", "nope"), SYNC, describe(b"P", "nope"), SYNC, execute("nope"), SYNC,
                     bind(statement="nope"), SYNC],
                    "E 26000", "Z I", "E 34000", "Z I", "E 34000", "Z I", "E 26000", "Z I")

    def test_only_rollback_can_be_bound_in_an_aborted_transaction(self):
        self.expect([parse("SELECT 1", "one"), parse("ROLLBACK", "back"), SYNC, query("BEGIN"), query("SELECT 1/0"),
                     bind(statement="one"), SYNC, parse("SELECT 2"), SYNC, bind(statement="back"), execute(), SYNC],
                    "1", "1", "Z I", "C BEGIN", "Z T", "E 22012", "Z E", "E 25P02", "Z E", "E 25P02", "Z E", "2",
                    "C ROLLBACK", "Z I")

    def test_flush_sends_without_ending_the_transaction(self):
        self.connection.send(parse("SELECT 5") + bind() + execute() + FLUSH)
        self.assertEqual([entry(*self.connection.receive()) for _ in range(4)], ["1", "2", "D 5", "C SELECT 1"])
        self.expect([SYNC], "Z I")

    def test_begin_and_commit_by_execute(self):
        self.expect([parse("BEGIN"), bind(), execute(), SYNC, parse("SELECT 1"), bind(), execute(), SYNC,
                     parse("COMMIT"), bind(), execute(), SYNC],
                    "1", "2", "C BEGIN", "Z T", "1", "2", "D 1", "C SELECT 1", "Z T", "1", "2", "C COMMIT", "Z I")

    def test_a_thousand_units_at_once(self):
        unit = [parse("SELECT $1::int * 2"), bind([b"21"]), execute(), SYNC]
        self.assertEqual(self.talk(*(unit * 1000)), ["1", "2", "D 42", "C SELECT 1", "Z I"] * 1000)


class Simple(Base):
    def test_several_statements(self):
        self.expect([query("SELECT 1 AS a; UPDATE t SET name = name WHERE id = 1; SELECT 'x' AS b")],
                    "T a:23:0", "D 1", "C SELECT 1", "C UPDATE 1", "T b:25:0", "D x", "C SELECT 1", "Z I")

    def test_the_rest_of_a_string_is_dropped_after_an_error(self):
        self.expect([query("SELECT 1 AS a; SELECT 1/0; SELECT 2 AS b")],
                    "T a:23:0", "D 1", "C SELECT 1", "E 22012", "Z I")

    def test_empty_query(self):
        self.expect([query(""), query(" ; ; "), query("-- only a comment")], "I", "Z I", "I", "Z I", "I", "Z I")

    def test_queries_sent_ahead(self):
        self.expect([query("SELECT 1 AS a"), query("SELEC"), query("SELECT 2 AS a")],
                    "T a:23:0", "D 1", "C SELECT 1", "Z I", "E 42601", "Z I", "T a:23:0", "D 2", "C SELECT 1", "Z I")

    def test_warning_comes_before_its_tag(self):
        self.connection.notices = []
        self.expect([query("COMMIT")], "C COMMIT", "Z I")
        self.assertEqual([n["C"] for n in self.connection.notices], ["25P01"])

    def test_a_notice_of_a_statement_that_waits_comes_once(self):
        holder = self.connect()
        self.addCleanup(lambda: holder.socket.close())
        holder.simple("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        self.connection.notices = []
        self.connection.send(query("VACUUM (FREEZE) t"))
        observer = self.connect()
        self.addCleanup(lambda: observer.socket.close())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'VACUUM (FREEZE)%' AND wait_event_type = 'Lock'"
        while observer.simple(waits)[-1].rows != [["1"]]:
            pass
        holder.simple("ROLLBACK")
        self.assertEqual([entry(*self.connection.receive()) for _ in range(2)], ["C VACUUM", "Z I"])
        self.assertEqual(len(self.connection.notices), 0 if target.server.name == "postgresql" else 1)

    def test_set_reports_parameter_status(self):
        self.connection.parameters.clear()
        self.expect([query("SET application_name = 'reported'")], "C SET", "Z I")
        self.assertEqual(self.connection.parameters, {"application_name": "reported"})


class Copy(Base):
    def setUp(self):
        super().setUp()
        self.connection.simple("CREATE TABLE IF NOT EXISTS c (a int, b text)")
        self.connection.simple("TRUNCATE c")

    def test_in_and_out(self):
        self.expect([query("COPY c FROM STDIN"), data(b"1\tx\n2"), data(b"\ty\n"), COPY_DONE, query("COPY c TO STDOUT")],
                    "G 0 2", "C COPY 2", "Z I", "H 0 2", "d 1\tx", "d 2\ty", "c", "C COPY 2", "Z I", readies=2)

    def test_given_up(self):
        self.expect([query("COPY c FROM STDIN"), data(b"1\tx\n"), message(b"f", cstring("enough")),
                     query("SELECT count(*) FROM c")],
                    "G 0 2", "E 57014", "Z I", "T count:20:0", "D 0", "C SELECT 1", "Z I")

    def test_data_after_an_error_is_dropped(self):
        self.expect([query("COPY c FROM STDIN"), data(b"x\tx\n"), data(b"2\ty\n"), COPY_DONE,
                     query("SELECT count(*) FROM c")],
                    "G 0 2", "E 22P02", "Z I", "T count:20:0", "D 0", "C SELECT 1", "Z I")

    def test_in_the_extended_protocol(self):
        self.expect([parse("COPY c FROM STDIN"), bind(), execute(), data(b"5\tz\n"), COPY_DONE, SYNC],
                    "1", "2", "G 0 2", "C COPY 1", "Z I")

    def test_another_message_ends_the_connection(self):
        transcript = []
        self.connection.send(query("COPY c FROM STDIN") + data(b"1\tx\n") + query("SELECT 1"))
        with self.assertRaises(wire.WireError):
            while True:
                transcript.append(entry(*self.connection.receive()))
        self.assertEqual(transcript, ["G 0 2", "E 08P01", "E 08P01"])
        self.connection.socket.close()
        self.connection = self.connect()
        self.expect([query("SELECT count(*) FROM c")], "T count:20:0", "D 0", "C SELECT 1", "Z I")

    def test_end_marker(self):
        self.expect([query("COPY c FROM STDIN"), data(b"1\tx\n\\.\n"), COPY_DONE], "G 0 2", "C COPY 1", "Z I",
                    readies=1)


class Startup(Base):
    def raw(self):
        connection = socket.create_connection((target.server.host, target.server.port), timeout=20)
        self.addCleanup(connection.close)
        return connection

    def startup(self, version, settings):
        body = struct.pack("!i", version) + b"".join(cstring(k) + cstring(v) for k, v in settings.items()) + b"\0"
        return struct.pack("!i", len(body) + 4) + body

    def test_encryption_requests_are_answered(self):
        connection = self.raw()
        for code, accepted in ((80877103, b"S"), (80877104, b"G")):
            connection.sendall(struct.pack("!ii", 8, code))
            answer = connection.recv(1)
            self.assertIn(answer, (b"N", accepted))
            if answer != b"N":
                return
        connection.sendall(self.startup(196608, {"user": "bop", "database": "bop"}))
        self.assertEqual(connection.recv(1), b"R")

    def test_parameters_after_login(self):
        for name in ("server_version", "server_encoding", "client_encoding", "DateStyle", "TimeZone",
                     "integer_datetimes", "standard_conforming_strings", "is_superuser", "session_authorization",
                     "IntervalStyle", "application_name", "default_transaction_read_only", "in_hot_standby"):
            self.assertIn(name, self.connection.parameters)
        self.assertEqual(self.connection.parameters["client_encoding"], "UTF8")
        self.assertEqual(self.connection.parameters["session_authorization"], "bop")

    def test_missing_user(self):
        connection = self.raw()
        connection.sendall(self.startup(196608, {"database": "bop"}))
        answer = connection.recv(4096)
        self.assertEqual((answer[:1], wire.parse_fields(answer[5:])["C"]), (b"E", "28000"))

    def test_old_protocol_is_refused(self):
        connection = self.raw()
        connection.sendall(self.startup(131072, {"user": "bop"}))
        answer = connection.recv(4096)
        # PostgreSQL answers in the old protocol's format, which has no fields.
        self.assertEqual(answer[:1], b"E")
        self.assertIn(b"unsupported frontend protocol 2.0", answer)

    def test_newer_minor_version_is_negotiated(self):
        connection = self.raw()
        connection.sendall(self.startup(196608 + 9999, {"user": "bop", "database": "bop", "_pq_.unknown": "1"}))
        answer = connection.recv(4096)
        self.assertEqual(answer[:1], b"v")
        minor, count = struct.unpack_from("!ii", answer, 5)
        # Newer servers answer with the whole version number, PostgreSQL 15 with the minor part's.
        self.assertIn(minor, (0, 196608))
        self.assertEqual((count, answer[13:26]), (1, b"_pq_.unknown\0"))

    def test_unknown_database(self):
        with self.assertRaises(wire.ConnectError) as caught:
            target.server.connect("no_such_database")
        self.assertEqual(caught.exception.fields["C"], "3D000")
        self.assertEqual(caught.exception.fields["S"], "FATAL")

    def test_unknown_setting(self):
        with self.assertRaises(wire.ConnectError) as caught:
            self.connect(options={"no_such_setting": "1"})
        self.assertEqual(caught.exception.fields["C"], "42704")

    def test_garbage_is_not_answered_with_a_hang(self):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", struct.pack("!ii", 4, 196608), b"\x00\x00\x00\x00\x00\x00\x00\x00",
                        struct.pack("!ii", 2147483647, 196608) + b"x" * 100):
            connection = self.raw()
            connection.sendall(garbage)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass

    def test_unknown_message_ends_the_connection(self):
        self.connection.send(message(b"?", b"abc"))
        with self.assertRaises(wire.WireError):
            while entry(*self.connection.receive()) != "nothing":
                pass

    def test_terminate_inside_a_transaction_rolls_back(self):
        other = self.connect()
        other.simple("BEGIN")
        other.simple("INSERT INTO t VALUES (900, 'gone')")
        other.close()
        deadline = time.monotonic() + 20
        while True:
            result = self.connection.simple("INSERT INTO t VALUES (900, 'mine') ON CONFLICT DO NOTHING")[-1]
            if result.tag == "INSERT 0 1" or time.monotonic() > deadline:
                break
        self.assertEqual(result.tag, "INSERT 0 1")
        self.connection.simple("DELETE FROM t WHERE id = 900")


class Cancel(Base):
    def send_cancel(self, pid, secret):
        with socket.create_connection((target.server.host, target.server.port), timeout=20) as connection:
            connection.sendall(struct.pack("!iiii", 16, 80877102, pid, secret))
            self.assertEqual(connection.recv(1), b"")

    def test_wrong_key_does_nothing(self):
        self.send_cancel(self.connection.backend_pid, self.connection.backend_secret ^ 1)
        self.expect([query("SELECT 1 AS a")], "T a:23:0", "D 1", "C SELECT 1", "Z I")

    def test_cancel_of_an_idle_session_does_nothing(self):
        self.send_cancel(self.connection.backend_pid, self.connection.backend_secret)
        self.assertIn(self.connection.simple("SELECT 1")[-1].tag, ("SELECT 1", None))
        self.expect([query("SELECT 1 AS a")], "T a:23:0", "D 1", "C SELECT 1", "Z I")

    def test_cancel_in_a_transaction_aborts_it(self):
        self.connection.simple("BEGIN")
        timer = threading.Timer(0.3, self.send_cancel, (self.connection.backend_pid, self.connection.backend_secret))
        timer.start()
        result = self.connection.simple("WITH RECURSIVE r(n) AS (SELECT 1::bigint UNION ALL SELECT n + 1 FROM r WHERE "
                                        "n < 1000000000) SELECT max(n) FROM r")[-1]
        timer.join()
        self.assertEqual((result.error or {}).get("C"), "57014")
        self.assertEqual(self.connection.transaction_status, "E")


if __name__ == "__main__":
    target.main()
