#!/usr/bin/env python3
"""`bop sql`: scripts through pipes, and a person at a pseudo terminal."""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slt"))

# pylint: disable=wrong-import-position
import servers

binary = ""
node = None
folder = ""

SETUP = """
CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL UNIQUE, balance numeric(12,2) DEFAULT 0 CHECK (balance >= 0));
CREATE TABLE entry (n int REFERENCES account, note text);
CREATE INDEX entry_note ON entry (note);
CREATE VIEW rich AS SELECT owner FROM account WHERE balance > 100;
CREATE SEQUENCE numbers START 7;
CREATE SCHEMA side; CREATE TABLE side.t (x int);
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS int CHECK (VALUE < 10);
COMMENT ON TABLE account IS 'who has what';
INSERT INTO account VALUES (1, 'ada', 100), (2, 'grace', 250.5);
INSERT INTO entry VALUES (1, NULL), (2, 'two');
"""


def shell(*arguments, stdin="", environment=None, timeout=60):
    return subprocess.run([binary, "sql", node.url(), *arguments], input=stdin, capture_output=True, text=True,
                          timeout=timeout, check=False, env={**os.environ, **(environment or {})})


class Scripts(unittest.TestCase):
    def out(self, text, *arguments, code=0):
        done = shell(*arguments, stdin=text)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_statements_and_exit_codes(self):
        self.assertIn("(2 rows)", self.out("SELECT * FROM account;\n"))
        self.assertEqual(self.out("SELECT 1 AS one\n;SELECT 2\n AS two", "--format", "csv"), "one\n1\ntwo\n2\n")
        done = shell(stdin="SELECT 1;\nSELECT nothing;\nSELECT 3;\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing", done.stderr)
        self.assertNotIn("3\n", done.stdout)
        self.assertEqual(shell("-c", "SELECT 1", "-c", "\\dt").returncode, 0)
        self.assertEqual(shell("-c", "\\nosuch").returncode, 1)
        self.assertEqual(subprocess.run([binary, "sql", "postgresql://x:y@127.0.0.1:1/z"], check=False,
                                        capture_output=True).returncode, 2)

    def test_backslashes_in_quotes_are_none(self):
        self.assertEqual(self.out("SELECT 'a\\d' AS a, $x$\\q$x$ AS b; -- \\q\n/* \\q */ SELECT 1 AS c;\n",
                                  "--format", "csv"), "a,b\na\\d,\\q\nc\n1\n")

    def test_long_statements(self):
        rows = ",\n".join(f"({i}, 'row {i}')" for i in range(60000))
        self.assertEqual(self.out(f"CREATE TEMP TABLE l (a int, b text);\nINSERT INTO l VALUES\n{rows};\n"
                                  "SELECT count(*) FROM l;\n", "--format", "csv"), "count\n60000\n")
        self.assertEqual(self.out("CREATE FUNCTION two(a int) RETURNS int BEGIN ATOMIC\n  SELECT a;\n  SELECT 2;\nEND;\n"
                                  "SELECT two(1);\nDROP FUNCTION two;\n", "--format", "csv"), "two\n2\n")

    def test_formats(self):
        sql = "SELECT id, owner, balance, NULL AS nothing, true AS t FROM account ORDER BY id;\n"
        self.assertEqual(json.loads(self.out("\\pset format json\n" + sql)),
                         [{"id": 1, "owner": "ada", "balance": 100.00, "nothing": None, "t": True},
                          {"id": 2, "owner": "grace", "balance": 250.50, "nothing": None, "t": True}])
        self.assertEqual(self.out("\\pset format csv\n" + sql),
                         "id,owner,balance,nothing,t\n1,ada,100.00,,t\n2,grace,250.50,,t\n")
        self.assertEqual(self.out("\\pset null (none)\n\\pset format csv\n\\pset tuples_only on\n" + sql),
                         "1,ada,100.00,(none),t\n2,grace,250.50,(none),t\n")
        self.assertIn("1|ada|100.00||t\n", self.out("\\a\n" + sql))
        self.assertIn("1;ada;", self.out("\\a\n\\pset fieldsep ;\n" + sql).replace("; ", ";") + "1;ada;")
        expanded = self.out("\\x\n" + sql)
        self.assertIn("-[ RECORD 1 ]", expanded)
        self.assertIn("owner   | ada\n", expanded)
        self.assertIn("owner   | grace", self.out("SELECT * FROM account WHERE id = 2 \\gx\n"))
        self.assertIn("Time: ", self.out("\\timing on\nSELECT 1;\n"))
        self.assertEqual(self.out("\\pset format nosuch\n", code=1), "")
        self.assertIn("null         ''", self.out("\\pset\n"))
        for wrong in ("\\x often", "\\t x", "\\timing x", "\\pset expanded x", "\\pset footer x", "\\pset tuples_only x", "\\pset pager x"):
            self.assertEqual(self.out(wrong + "\n", code=1), "", wrong)
        self.assertIn("expanded     auto\n", self.out("\\x auto\n\\pset\n"))

    def test_describe(self):
        tables = self.out("\\d\n")
        for words in ("List of relations", "public | account | table    | bop", "numbers", "rich"):
            self.assertIn(words, tables)
        self.assertNotIn("side", tables)
        account = self.out("\\d account\n")
        for words in ('Table "public.account"', "balance | numeric(12,2) |", '"account_pkey" PRIMARY KEY, btree (id)',
                      '"account_owner_key" UNIQUE CONSTRAINT, btree (owner)', "Check constraints:",
                      'TABLE "entry" CONSTRAINT "entry_n_fkey" FOREIGN KEY (n) REFERENCES account(id)'):
            self.assertIn(words, account)
        self.assertIn("Foreign-key constraints:", self.out("\\d entry\n"))
        self.assertIn("entry_note", self.out("\\di entry*\n"))
        self.assertIn("rich", self.out("\\dv\n"))
        self.assertIn("numbers", self.out("\\ds\n"))
        self.assertIn("Start", self.out("\\d numbers\n"))
        self.assertIn("side", self.out("\\dn\n"))
        self.assertIn("Superuser", self.out("\\du\n"))
        self.assertIn("UTF8", self.out("\\l\n"))
        self.assertIn("generate_series", self.out("\\df generate_series\n"))
        self.assertIn("mood", self.out("\\dT\n"))
        self.assertIn("small", self.out("\\dD\n"))
        self.assertIn("who has what", self.out("\\dt+ account\n"))
        self.assertIn("side   | t", self.out("\\dt side.*\n"))
        self.assertIn("View definition:", self.out("\\d+ rich\n"))
        self.assertIn("CREATE OR REPLACE VIEW rich AS", self.out("\\sv rich\n"))
        self.assertIn("pg_class", self.out("\\dtS pg_class\n"))
        self.assertIn("Access privileges", self.out("\\dp account\n"))
        missing = shell(stdin="\\d nosuch\n")
        self.assertIn('Did not find any relation named "nosuch".', missing.stderr)
        self.assertIn("(0 rows)", self.out("\\dt nosuch*\n"))

    def test_copy(self):
        name = os.path.join(folder, "entry copy.csv")
        self.assertEqual(self.out(f"\\copy entry TO '{name}' (FORMAT csv, HEADER)\n"), "COPY 2\n")
        with open(name, encoding="utf-8") as file:
            self.assertEqual(file.read(), "n,note\n1,\n2,two\n")
        self.assertEqual(self.out("BEGIN;\n" f"\\copy entry (n, note) FROM '{name}' (FORMAT csv, HEADER)\n"
                                  "SELECT count(*) FROM entry;\nROLLBACK;\n", "--format", "csv"), "count\n4\n")
        self.assertEqual(self.out(f"\\copy (SELECT owner FROM account WHERE owner <> ' to ' ORDER BY id) to '{name}.2'\n"),
                         "COPY 2\n")
        self.assertEqual(self.out("\\copy entry FROM /none/at/all\n", code=1), "")
        self.assertEqual(self.out("BEGIN;\nCOPY entry FROM STDIN;\n1\tx\n2\t\\N\n\\.\nSELECT count(*) FROM entry;\nROLLBACK;\n",
                                  "--format", "csv"), "count\n4\n")
        self.assertEqual(self.out("COPY account TO STDOUT;\n"), "1\tada\t100.00\n2\tgrace\t250.50\n")

    def test_copy_takes_its_data_from_where_it_stands(self):
        make = "CREATE TEMP TABLE c (a int, b text);\n"
        data = "1\tx\n2\ty\n\\.\n"
        count = "SELECT a, b FROM c ORDER BY a;\n"
        expected = "a,b\n1,x\n2,y\n"
        for copy in ("COPY c FROM STDIN;\n", "\\copy c from stdin\n", "\\copy c (a, b) FROM STDIN\n"):
            self.assertEqual(self.out(make + copy + data + count, "--format", "csv"), expected, copy)
            script = os.path.join(folder, "copies.sql")
            with open(script, "w", encoding="utf-8") as file:
                file.write(make + copy + data + count)
            self.assertEqual(self.out("1\tnot this\n", "--format", "csv", "-f", script), expected, copy)
            self.assertEqual(self.out(f"\\i {script}\nSELECT 3 AS d;\n", "--format", "csv"), expected + "d\n3\n")
        with open(script, "w", encoding="utf-8") as file:
            file.write(make + "\\copy c from pstdin\n" + count)
        self.assertEqual(self.out(data, "--format", "csv", "-f", script), expected)
        self.assertEqual(self.out(data, "--format", "csv", "-c", make + "\\copy c from stdin\n" + count), expected)
        output = os.path.join(folder, "copied.txt")
        self.assertEqual(self.out(f"\\o {output}\n\\copy (select 1, 'x') to stdout\n\\copy (select 2) to pstdout\n"), "2\n")
        with open(output, encoding="utf-8") as file:
            self.assertIn("1\tx\n", file.read())

    def test_copy_with_a_program(self):
        self.assertEqual(self.out("CREATE TEMP TABLE c (a int);\n\\copy c from program 'echo 1; echo 2'\n"
                                  "\\copy c to program 'tr 12 ab'\n", "--format", "csv"), "a\nb\n")
        done = shell(stdin="CREATE TEMP TABLE c (a int);\n\\copy c from program 'echo 1; exit 3'\nSELECT 42;\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("echo 1; exit 3: the command ended with code 3", done.stderr)
        self.assertNotIn("42", done.stdout)
        self.assertIn("single quotes", shell(stdin="\\copy account from program cat\n").stderr)

    def test_data_that_cannot_be_read_fail(self):
        begin = "CREATE TABLE unread (a int);\n"
        done = shell(stdin=begin + f"\\copy unread from '{folder}'\n")
        self.assertEqual((done.returncode, done.stdout), (1, "CREATE TABLE\n"))
        self.assertIn(f"cannot read {folder}: Is a directory", done.stderr)
        # Opening the file works, reading it does not: memory at address 0 is nobody's.
        done = shell(stdin="\\copy unread from /proc/self/mem\n")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("COPY from stdin failed: the file could not be read: Input/output error", done.stderr)
        self.assertEqual(self.out("SELECT count(*) FROM unread; DROP TABLE unread;\n", "--format", "csv"), "count\n0\n")
        for arguments, code in ((("-f", folder), 2), (("-f", "/proc/self/mem"), 1), (("-f", "/none"), 2),
                                (("-c", f"\\i {folder}"), 1), (("-c", "\\i /proc/self/mem"), 1)):
            done = shell(*arguments)
            self.assertEqual((done.returncode, done.stdout), (code, ""), arguments)
            self.assertRegex(done.stderr, "Is a directory|Input/output error|No such file", arguments)

    def test_interrupted_data_are_not_stored(self):
        self.out("CREATE TABLE halves (a int);\n")
        for arguments in (("-c", "\\copy halves from pstdin"), ("-c", "COPY halves FROM STDIN"), ()):
            with subprocess.Popen([binary, "sql", node.url(), *arguments], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                if not arguments:
                    process.stdin.write("COPY halves FROM STDIN;\n")
                process.stdin.write("1\n2\n")
                process.stdin.flush()
                deadline = time.monotonic() + 20
                while "COPY" not in self.out("SELECT state, query FROM pg_stat_activity WHERE state = 'active' AND "
                                             "query LIKE 'COPY halves%';\n", "--format", "csv"):
                    self.assertLess(time.monotonic(), deadline)
                # Sent again until it has come while data were waited for.
                while process.poll() is None and time.monotonic() < deadline:
                    process.send_signal(signal.SIGINT)
                    try:
                        process.wait(0.3)
                    except subprocess.TimeoutExpired:
                        pass
                self.assertEqual(process.wait(), 1)
                self.assertIn("canceled by user", process.stderr.read())
        self.assertEqual(self.out("SELECT count(*) FROM halves; DROP TABLE halves;\n", "--format", "csv"), "count\n0\n")

    def test_commands_that_end_early(self):
        done = shell("--format", "csv", stdin="SELECT generate_series(1, 100000) AS g \\g |head -1\n"
                     "\\o |head -1\nSELECT generate_series(1, 100000) AS h;\n\\o\nSELECT 42 AS i;\n")
        self.assertEqual((done.returncode, done.stdout), (0, "g\nh\ni\n42\n"), done.stderr)
        self.assertIn("not everything could be written", done.stderr)
        # What the shell starts meanwhile dies of a broken pipe as it would otherwise, without a word.
        done = shell("--format", "csv", stdin="\\o |cat\n\\! yes | head -1\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "y\n", ""))
        for script in ("\\o /dev/full\nSELECT 1;\n", "SELECT 1 \\g /dev/full\n",
                       "\\copy (SELECT generate_series(1, 10)) to /dev/full\n"):
            done = shell(stdin=script)
            self.assertEqual((done.returncode, done.stdout), (1, "COPY 10\n" if "copy" in script else ""), script)
            self.assertIn("not everything could be written", done.stderr)

    def test_options_take_one_value_each(self):
        script = os.path.join(folder, "one.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write("SELECT 1 AS one;\n")
        for arguments in (["-f", script, node.url()], ["-c", "SELECT 1 AS one", node.url()],
                          [node.url(), "-f", script], ["--format", "csv", "-f", script, node.url()]):
            done = subprocess.run([binary, "sql", *arguments], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("one", done.stdout)
        self.assertEqual(self.out("", "--format", "csv", "-c", "SELECT 1 AS a", "-c", "SELECT 2 AS b"), "a\n1\nb\n2\n")

    def test_files_and_output(self):
        script, output = os.path.join(folder, "script.sql"), os.path.join(folder, "output.txt")
        with open(script, "w", encoding="utf-8") as file:
            file.write("SELECT 'from a file' AS f;\n\\echo 'and echoed'\n")
        self.assertIn("from a file", self.out(f"\\i {script}\n"))
        self.assertIn("and echoed", self.out("", "-f", script))
        self.assertEqual(self.out(f"\\o {output}\nSELECT 42 AS hidden;\n\\o\n\\echo shown\n"), "shown\n")
        with open(output, encoding="utf-8") as file:
            self.assertIn("42", file.read())
        self.assertIn("HIDDEN", self.out("SELECT 'hidden' \\g | tr a-z A-Z\n"))
        self.assertEqual(self.out("\\i /none\n", code=1), "")
        with open(script, "w", encoding="utf-8") as file:
            file.write(f"\\i {script}\n")
        self.assertEqual(shell(stdin=f"\\i {script}\n").returncode, 1)

    def test_buffer_commands(self):
        self.assertEqual(self.out("SELECT 1\n+ 1 AS x\n\\p\n\\r\nSELECT 3 AS y;\n", "--format", "csv"),
                         "SELECT 1\n+ 1 AS x\ny\n3\n")
        self.assertEqual(self.out("SELECT 5 AS a;\n\\g\n", "--format", "csv"), "a\n5\na\n5\n")
        self.assertEqual(self.out("SELECT 5 AS a \\watch 0.01 3\n", "--format", "csv"), "a\n5\n" * 3)
        editor = os.path.join(folder, "editor.sh")
        with open(editor, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nsed -i 's/one/two/; s/$/;/' \"$1\"\n")
        os.chmod(editor, 0o700)
        done = shell("--format", "csv", stdin="SELECT 'one' AS e\n\\e\n", environment={"EDITOR": editor})
        self.assertEqual((done.returncode, done.stdout), (0, "e\ntwo\n"), done.stderr)

    def test_variables(self):
        self.assertEqual(self.out("\\set a 1 2\n\\set b 'it''s'\nSELECT :a AS a, :'b' AS \"B\", ':a' AS c, a[1:2] AS \"it's\" "
                                  "FROM (SELECT ARRAY[1,2,3] AS a) x ORDER BY :\"b\";\n\\echo :a :'b' :{?a} :{?z}\n",
                                  "--format", "csv"), "a,B,c,it's\n12,it's,:a,\"{1,2}\"\n12 'it''s' TRUE FALSE\n")
        self.assertEqual(self.out("\\set two '1; SELECT 2'\nSELECT :two;\n\\unset two\n\\echo :two\n", "-At"), "1\n2\n:two\n")
        done = shell("-At", "-v", "n=7", "--set", "t=account", stdin="SELECT :n, count(*) FROM :t;\n")
        self.assertEqual(done.stdout, "7|2\n", done.stderr)
        for wrong in ("\\set a-b 1\n", "\\set ON_ERROR_STOP maybe\n", "\\set FETCH_COUNT 10\n", "\\set PROMPT1 x\n", "\\unset\n"):
            self.assertEqual(self.out(wrong, code=1), "")
        self.assertIn("ON_ERROR_STOP = 'on'\n", self.out("\\set\n"))
        self.assertEqual(self.out("\\echo :DBNAME :USER :ENCODING\n"), "bop bop UTF8\n")
        self.assertEqual(self.out("\\getenv h HOME\n\\echo :h\n\\setenv BOP_TEST it\n\\! echo $BOP_TEST\n"),
                         os.environ["HOME"] + "\nit\n")
        self.assertEqual(self.out("\\prompt 'name? ' n\nada\nSELECT :'n';\n", "-At"), "name? ada\n")
        self.assertEqual(self.out("SELECT 1 \\; SELECT 2;\n", "-At"), "1\n2\n")

    def test_errors_and_what_is_told_of_statements(self):
        script = "SELECT nosuch;\n\\echo :ERROR :SQLSTATE :ROW_COUNT\nSELECT id FROM account;\n" \
                 "\\echo :ERROR :SQLSTATE :ROW_COUNT :LAST_ERROR_SQLSTATE :'LAST_ERROR_MESSAGE'\n"
        expected = "true 42703 0\n1\n2\nfalse 00000 2 42703 'column \"nosuch\" does not exist'\n"
        self.assertEqual(self.out(script, "-At", "-v", "ON_ERROR_STOP=0"), expected)
        self.assertEqual(self.out("\\set ON_ERROR_STOP off\n" + script, "-At"), expected)
        self.assertEqual(self.out(script, "-At", code=1), "")
        done = shell("-At", stdin="\\set ECHO queries\nSELECT 1;\n\\set ECHO all\n\\echo x\n\\set ECHO errors\nSELECT none;\n")
        self.assertEqual(done.stdout, "SELECT 1;\n1\n\\echo x\nx\n\\set ECHO errors\n")
        self.assertIn("STATEMENT: SELECT none\n", done.stderr)
        self.assertEqual(self.out("CREATE TEMP TABLE q (a int);\n\\x\n", "-q"), "")

    def test_answers_become_variables_and_statements(self):
        self.assertEqual(self.out("SELECT 1 AS one, 'a b' AS \"Two\", NULL AS n \\gset p_ \\echo :p_one :p_Two :p_n\n"), "1 a b :p_n\n")
        for wrong, why in (("SELECT 1 WHERE false", "no rows returned for"), ("VALUES (1), (2)", "more than one row returned for"),
                           ("SELECT 1 AS \"a b\"", "invalid variable name"), ("SELECT nosuch", "nosuch")):
            done = shell(stdin=wrong + " \\gset\n")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(why, done.stderr)
        script = "SELECT 'SELECT 1', NULL, 'SELECT 2' UNION ALL SELECT 'SELECT nosuch', 'SELECT 3', NULL \\gexec\nSELECT 4;\n"
        self.assertEqual(self.out(script, "-At", code=1), "1\n2\n")
        self.assertEqual(self.out("\\set ON_ERROR_STOP 0\n" + script, "-At"), "1\n2\n3\n4\n")
        self.assertEqual(self.out("SELECT format('CREATE TEMP TABLE g%s (a int)', i) FROM generate_series(1, 2) i \\gexec\n"
                                  "SELECT count(*) FROM g1, g2;\n", "-At"), "0\n")
        self.assertEqual(self.out("CREATE TEMP TABLE g (a int) \\gset\n"), "CREATE TABLE\n")

    def test_transactions_and_savepoints_of_the_shell(self):
        begin = "CREATE TEMP TABLE s (a int);\n\\set AUTOCOMMIT off\n"
        # A transaction is begun before statements that may stand in one, and in no other case.
        self.assertEqual(self.out(begin + "INSERT INTO s VALUES (1);\nROLLBACK;\nSELECT count(*) FROM s;\nCOMMIT;\n"
                                  " /* /* */ */ -- c\nVACUUM;\nCREATE DATABASE shell_own;\nDROP DATABASE shell_own;\nBEGIN;\nEND;\n"
                                  "VACUUM;\n", "-Atq"), "0\n")
        done = shell("-At", stdin=begin + "SELECT 1;\nVACUUM;\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("25001", done.stderr)
        rows = "SELECT string_agg(a::text, ',') FROM s;\n"
        script = "\\set ON_ERROR_STOP off\n\\set ON_ERROR_ROLLBACK {}\nCREATE TEMP TABLE s (a int);\nBEGIN;\nINSERT INTO s VALUES (1);\n" \
                 "SELECT nosuch;\n" + rows + "SAVEPOINT a;\nINSERT INTO s VALUES (2);\nSELECT nosuch;\nROLLBACK TO a;\nRELEASE a;\n" \
                 "INSERT INTO s VALUES (3);\nCOMMIT;\n" + rows
        self.assertEqual(self.out(script.format("on"), "-Atq"), "1\n1,3\n")
        self.assertEqual(self.out(script.format("off"), "-Atq"), "\n")
        self.assertEqual(self.out(script.format("interactive"), "-Atq"), "\n")

    def test_conditions(self):
        script = "SELECT count(*) > 1 AS many FROM account \\gset\n\\if :many\n\\echo many\n\\elif true\n\\echo `exit 3`\nSELECT nosuch;\n" \
                 "\\else\n\\i /none\n\\endif\n"
        self.assertEqual(self.out(script), "many\n")
        self.assertEqual(self.out("SELECT\n\\if yes\n'a;' AS x\n\\else\n'b;' AS y\n\\if 1\n(\n\\endif\n\\endif\n;\n", "--format", "csv"), "x\na;\n")
        done = shell(stdin="\\if nonsense\n\\echo 1\n\\else\n\\echo 2\n\\endif\n")
        self.assertEqual((done.returncode, done.stdout), (0, "2\n"))
        self.assertIn("Boolean expected", done.stderr)
        for wrong, why in (("\\endif\n", "no matching"), ("\\if 1\n\\else\n\\else\n", "cannot occur after"),
                           ("\\if 1\n", "reached EOF without finding closing")):
            done = shell(stdin=wrong)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)

    def test_where_texts_and_files_go(self):
        output, inner = os.path.join(folder, "texts.txt"), os.path.join(folder, "inner.sql")
        done = shell(stdin=f"\\o {output}\n\\echo -n out\n\\qecho where answers go\n\\warn to errors\n\\echo '-n' \"q\" 'a\\tb';\n\\o\n")
        self.assertEqual((done.stdout, done.stderr), ('out-n "q" a\tb;\n', "to errors\n"))
        with open(output, encoding="utf-8") as file:
            self.assertEqual(file.read(), "where answers go\n")
        with open(inner, "w", encoding="utf-8") as file:
            file.write("\\echo inner\n\\q\n\\echo never\n")
        with open(os.path.join(folder, "outer.sql"), "w", encoding="utf-8") as file:
            file.write("\\ir inner.sql\n\\echo behind\n")
        self.assertEqual(self.out(f"\\i {folder}/outer.sql\n\\echo and here\n"), "inner\nbehind\nand here\n")
        self.assertEqual(self.out("", "-f", os.path.join(folder, "outer.sql")), "inner\nbehind\n")
        self.assertEqual(self.out("", "-c", "\\if 0\n\\if 1\n\\endif\n\\else\n\\q\n", "-c", "\\echo next"), "next\n")
        self.assertEqual(self.out(f"\\cd {folder}\n\\! pwd\n\\cd /none\n", code=1), os.path.realpath(folder) + "\n")
        self.assertEqual(self.out(f"SELECT 1\n\\w {output}\n;\n\\w |cat\n", "-At"), "1\nSELECT 1\n")
        with open(output, encoding="utf-8") as file:
            self.assertEqual(file.read(), "SELECT 1\n")
        self.assertEqual(self.out("\\t \\a\nSELECT 1, 2;\n\\set x 5 \\\\ SELECT :x;\n", "-q"), "1|2\n5\n")

    def test_connect(self):
        out = self.out("CREATE DATABASE other;\n\\c other\nSELECT current_database();\n\\c bop\nDROP DATABASE other;\n")
        self.assertIn('You are now connected to database "other" as user "bop".', out)
        self.assertIn(" other", out)
        self.assertIn("the connection before is kept", shell(stdin="\\c nosuch\n").stderr)
        self.assertIn("on host", self.out("\\conninfo\n"))


class Terminal:
    """`bop sql` at a pseudo terminal; what it shows is read as it comes."""

    def __init__(self, *arguments, home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(HOME=home, TERM="xterm", COLUMNS="120")
            os.environ.pop("BOP_HISTORY", None)
            os.execv(binary, [binary, "sql", node.url(), *arguments])
        self.shown = ""

    def expect(self, pattern, seconds=20):
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown)):
            if time.monotonic() > deadline:
                raise AssertionError(f"{pattern!r} did not come; shown: {self.shown!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                if not data:
                    raise AssertionError(f"{pattern!r} did not come before the end; shown: {self.shown!r}")
                self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        self.shown = self.shown[found.end():]
        return found

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect_prompt(self, prompt):
        """And that keys are the editor's: until then the terminal gives Ctrl-C and Ctrl-D a meaning of its own."""
        self.expect(prompt)
        deadline = time.monotonic() + 20
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > deadline:
                raise AssertionError("no line is edited")
            time.sleep(0.002)

    def ask(self, text, pattern, prompt="bop=> "):
        self.type(text)
        found = self.expect(pattern)
        self.expect_prompt(prompt)
        return found

    def end(self):
        self.type("\\q\r")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.02)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        raise AssertionError("it did not end")


class Person(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="bop-home-", dir=folder)
        self.terminal = None

    def open(self, *arguments):
        self.terminal = Terminal(*arguments, home=self.home)
        self.terminal.expect_prompt("bop=> ")
        return self.terminal

    def close(self):
        self.assertEqual(self.terminal.end(), 0)

    def test_prompts_and_lines(self):
        at = self.open()
        at.ask("SELECT 1 + 1 AS two;\r", r"two \n-+\n +2\n\(1 row\)")
        at.ask("SELECT\r", "", "bop-> ")
        at.ask("(\r", "", r"bop\(> ")
        at.ask("'\r", "", "bop'> ")
        at.ask("x');\r", r"\n +\+\n x\n")
        at.ask("BEGIN;\r", "BEGIN", r"bop\*=> ")
        at.ask("SELECT nosuch;\r", "ERROR: .*nosuch", "bop!=> ")
        at.ask("ROLLBACK;\r", "ROLLBACK")
        self.close()

    def test_editing_and_history(self):
        at = self.open()
        at.ask("SELECT 'x' AS left;\x01\x0bSELECT 'ket' AS k;\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[Dp\r",
               r"\n kept")
        at.ask("SELECT 'many',\r", "", "bop-> ")
        at.ask("'lines';\r", "lines")
        self.close()
        history = os.path.join(self.home, ".bop_history")
        self.assertEqual(stat.S_IMODE(os.stat(history).st_mode), 0o600)
        at = self.open()
        at.ask("\x1b[A\x1b[A\x1b[A\r", r"\n kept")  # \q, the two lines, then it
        self.close()

    def test_history_of_shells_that_are_killed_or_side_by_side(self):
        first = self.open()
        first.ask("SELECT 'of the ' || 'first' AS f;\r", "of the first")
        second = self.open()
        second.ask("SELECT 'of the ' || 'second' AS s;\r", "of the second")
        first.ask("SELECT 'and ' || 'again' AS a;\r", "and again")
        for at in (first, second):
            os.kill(at.pid, signal.SIGKILL)
            os.waitpid(at.pid, 0)
            os.close(at.fd)
        at = self.open()
        at.ask("\x1b[A\r", r"\n and again")
        at.ask("\x1b[A\x1b[A\r", r"\n of the second")
        at.ask("\x1b[A\x1b[A\x1b[A\x1b[A\r", r"\n of the first")
        self.close()
        history = os.path.join(self.home, ".bop_history")
        with open(history, "w", encoding="utf-8") as file:
            file.write("mine\n")
        at = self.open()
        at.ask("SELECT 1;\r", "1 row")
        self.close()
        with open(history, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine\n")
        with open(history, "w", encoding="utf-8") as file:
            file.write("_HiStOrY_V2_\n" + "".join(f"SELECT\\040{i};\n" for i in range(5000)))
        at = self.open()
        at.ask("\x1b[A\r", r"\n +4999")
        self.close()
        with open(history, encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 1 + 2000 + 1)

    def test_long_answers_go_through_the_pager(self):
        os.environ["PAGER"] = "sed 's/^/paged:/'"
        self.addCleanup(os.environ.pop, "PAGER")
        at = self.open()
        fcntl.ioctl(at.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 80, 0, 0))
        at.ask("SELECT 'short' AS s;\r", r"\n short")
        at.ask("SELECT generate_series(1, 30) AS g;\r", r"paged: *g *\n[\s\S]*paged: +30\npaged:\(30 rows\)")
        at.ask("SELECT repeat('x', 80 * 20) AS wide;\r", r"paged: *wide")
        at.ask("\\?\r", r"paged: +\\q ")
        at.ask("SELECT generate_series(1, 30) AS g \\watch 0.01 2\r", r"\n +30\n")
        at.ask("\\pset pager off\r", "")
        at.ask("\\x auto\r", "automatically")
        at.ask("SELECT repeat('x', 80) AS wide;\r", r"RECORD 1[\s\S]*wide \| x")
        at.ask("SELECT repeat('x', 8) AS small;\r", r"\n xxxxxxxx\n")
        at.ask("SELECT generate_series(1, 30) AS g;\r", r"\n +30\n")
        at.ask("\\pset pager always\r", "")
        at.ask("SELECT 'one' AS g;\r", r"paged: one\n")
        self.close()
        os.environ["PAGER"] = "head -1"
        at = self.open()
        fcntl.ioctl(at.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 80, 0, 0))
        at.ask("SELECT generate_series(1, 100000) AS many;\r", "many")
        at.ask("SELECT 'alive' AS a;\r", r"\n alive")
        self.close()

    def test_completion(self):
        at = self.open()
        at.ask("SELECT ow\t FROM acc\t ORDER BY 1;\r", r"owner \n-+\n ada\n grace\n")
        at.ask("SELECT count(*) fr\t account;\r", r"\n +2\n")
        at.ask("\\d acc\t\r", 'Table "public.account"')
        at.type("\\d\t\t")
        at.expect(r"\\dt")
        at.ask("\x03", r"\^C")
        at.ask("SELECT x FROM side.\t;\r", r"\(0 rows\)")
        self.close()

    def test_ctrl_c_gives_a_line_up(self):
        at = self.open()
        at.ask("SELECT 'never\r", "", "bop'> ")
        at.ask("seen\x03", r"\^C")
        at.ask("SELECT 'seen' AS s;\r", r"\n seen")
        self.close()

    def test_ctrl_c_cancels_the_statement_only(self):
        at = self.open()
        at.type("SELECT count(*) FROM generate_series(1, 100000000000) i;\r")
        at.expect(r"\d+\.\d s, 0 rows")  # the progress
        begin = time.monotonic()
        at.ask("\x03", "canceling statement due to user request")
        self.assertLess(time.monotonic() - begin, 10)
        at.ask("SELECT 'alive' AS a;\r", r"\n alive")
        at.type("SELECT 1 \\watch 0.2\r")
        at.expect(r"every 0.2s[\s\S]*every 0.2s")
        at.ask("\x03", "")
        at.ask("SELECT 'again' AS a;\r", r"\n again")
        self.close()

    def test_typed_data_of_copy(self):
        at = self.open()
        at.ask("CREATE TABLE typed (a int, b text);\r", "CREATE TABLE")
        for copy in ("COPY typed FROM STDIN;\r", "\\copy typed from stdin\r"):
            at.ask(copy, "", ">> ")
            at.ask("1\tow\r", "", ">> ")  # a tab is one, not a wish to complete
            at.type("2\t")
            at.ask("\x03", "ERROR: .*COPY from stdin failed: canceled by user")
        at.ask("SELECT count(*) FROM typed;\r", r"\n +0\n")
        at.ask("BEGIN;\r", "BEGIN", r"bop\*=> ")
        at.ask("COPY typed FROM STDIN;\r", "", ">> ")
        at.ask("3\tthree\r", "", ">> ")
        at.ask("\\.\r", "COPY 1", r"bop\*=> ")
        at.ask("COMMIT;\r", "COMMIT")
        at.ask("SELECT b || '!' AS b FROM typed;\r", r"\n three!\n")
        at.ask("DROP TABLE typed;\r", "DROP")
        self.close()

    def test_conditions_at_the_prompt(self):
        at = self.open()
        at.ask("\\if 0\r", "", "bop@> ")
        at.ask("SELECT 'not' || 'this';\r", "query ignored", "bop@> ")
        at.ask("\\d\r", r"\\d command ignored", "bop@> ")
        at.ask("\x03", "escaped")
        at.ask("\\if 0\r", "", "bop@> ")
        at.ask("\\else\r", "")
        at.ask("\\prompt 'your name: ' n\r", "", "your name: ")
        at.ask("ada\r", "")
        at.ask("SELECT :'n' || '!' AS n; SELECT nosuch; SELECT 'on' || 'ward' AS o;\r", r"ada![\s\S]*ERROR[\s\S]*onward")
        at.ask("\\endif\r", "")
        self.close()

    def test_end_of_input_leaves(self):
        at = self.open()
        at.type("\x04")
        deadline = time.monotonic() + 20
        while os.waitpid(at.pid, os.WNOHANG)[0] == 0:
            self.assertLess(time.monotonic(), deadline)
            if select.select([at.fd], [], [], 0.02)[0]:
                try:
                    os.read(at.fd, 4096)
                except OSError:
                    pass
        os.close(at.fd)


def main():
    global binary, node, folder
    parser = argparse.ArgumentParser()
    parser.add_argument("--bop", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    binary = os.path.abspath(options.bop)
    folder = tempfile.mkdtemp(prefix="bop-shell-test-")
    node = servers.Bop(binary, directory=os.path.join(folder, "data"))
    try:
        node.start()
        done = shell(stdin=SETUP)
        assert done.returncode == 0, done.stderr
        program = unittest.main(argv=[sys.argv[0], *options.tests], exit=False, verbosity=2)
    finally:
        node.stop()
        shutil.rmtree(folder, True)
    sys.exit(0 if program.result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
