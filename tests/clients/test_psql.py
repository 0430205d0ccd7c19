#!/usr/bin/env python3
"""psql: what it shows of the catalog, \\copy, variables, scripts and exit codes."""

import os
import tempfile
import unittest

import target

SCHEMA = """
CREATE TABLE customers (
    id serial PRIMARY KEY,
    name varchar(40) NOT NULL,
    email text UNIQUE,
    score numeric(8,2) DEFAULT 0.00,
    born date,
    seen timestamptz DEFAULT now(),
    CONSTRAINT score_range CHECK (score >= 0)
);
CREATE INDEX customers_name ON customers (name);
CREATE UNIQUE INDEX customers_lower_email ON customers (lower(email)) WHERE born IS NOT NULL;
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer int NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    flags boolean,
    code char(3) DEFAULT 'abc',
    body bytea,
    ratio double precision,
    tag uuid,
    doc jsonb
);
CREATE VIEW rich AS SELECT id, name FROM customers WHERE score > 100;
CREATE SCHEMA app;
CREATE TABLE app.things (a int, b smallint);
CREATE TABLE app.prices (net int, gross int GENERATED ALWAYS AS (net * 2) STORED);
CREATE SEQUENCE counter;
INSERT INTO customers (name, email) VALUES ('Ann', 'ann@example.org'), ('Bob', NULL);
"""

CUSTOMERS = """\
Table "public.customers"
 Column |           Type           | Collation | Nullable |                Default                
--------+--------------------------+-----------+----------+---------------------------------------
 id     | integer                  |           | not null | nextval('customers_id_seq'::regclass)
 name   | character varying(40)    |           | not null | 
 email  | text                     |           |          | 
 score  | numeric(8,2)             |           |          | 0.00
 born   | date                     |           |          | 
 seen   | timestamp with time zone |           |          | now()
Indexes:
    "customers_pkey" PRIMARY KEY, btree (id)
    "customers_email_key" UNIQUE CONSTRAINT, btree (email)
    "customers_lower_email" UNIQUE, btree (lower(email)) WHERE born IS NOT NULL
    "customers_name" btree (name)
Check constraints:
    "score_range" CHECK (score >= 0::numeric)
Referenced by:
    TABLE "orders" CONSTRAINT "orders_customer_fkey" FOREIGN KEY (customer) REFERENCES customers(id) ON DELETE CASCADE
"""

ORDERS = """\
Table "public.orders"
  Column  |       Type       | Collation | Nullable |           Default            
----------+------------------+-----------+----------+------------------------------
 id       | bigint           |           | not null | generated always as identity
 customer | integer          |           | not null | 
 flags    | boolean          |           |          | 
 code     | character(3)     |           |          | 'abc'::bpchar
 body     | bytea            |           |          | 
 ratio    | double precision |           |          | 
 tag      | uuid             |           |          | 
 doc      | jsonb            |           |          | 
Indexes:
    "orders_pkey" PRIMARY KEY, btree (id)
Foreign-key constraints:
    "orders_customer_fkey" FOREIGN KEY (customer) REFERENCES customers(id) ON DELETE CASCADE
"""

RIGHTS = """\
Access privileges
 Schema | Name |   Type   | Access privileges  | Column privileges | Policies 
--------+------+----------+--------------------+-------------------+----------
 rights | q    | sequence | bop=rwU/bop       +|                   | 
        |      |          | =U/bop             |                   | 
 rights | t    | table    | bop=arwdDxt/bop   +|                   | 
        |      |          | reader=r*/bop     +|                   | 
        |      |          | "the writer"=a/bop |                   | 
 rights | v    | view     |                    |                   | 
(3 rows)
"""

ALL_RELATIONS = """\
List of relations
 Schema |       Name       |   Type   | Owner 
--------+------------------+----------+-------
 public | counter          | sequence | bop
 public | customers        | table    | bop
 public | customers_id_seq | sequence | bop
 public | orders           | table    | bop
 public | orders_id_seq    | sequence | bop
 public | rich             | view     | bop
(6 rows)
"""

TABLES = """\
List of relations
 Schema |   Name    | Type  | Owner 
--------+-----------+-------+-------
 public | customers | table | bop
 public | orders    | table | bop
(2 rows)
"""

INDEXES = """\
List of relations
 Schema |         Name          | Type  | Owner |   Table   
--------+-----------------------+-------+-------+-----------
 public | customers_email_key   | index | bop   | customers
 public | customers_lower_email | index | bop   | customers
 public | customers_name        | index | bop   | customers
 public | customers_pkey        | index | bop   | customers
 public | orders_pkey           | index | bop   | orders
(5 rows)
"""

VIEW = """\
View "public.rich"
 Column |         Type          | Collation | Nullable | Default 
--------+-----------------------+-----------+----------+---------
 id     | integer               |           |          | 
 name   | character varying(40) |           |          |
"""

class Psql(unittest.TestCase):
    """A database of its own for each class, filled by `schema`."""

    maxDiff = None
    name, schema = "", ""

    @classmethod
    def setUpClass(cls):
        if not cls.name:
            raise unittest.SkipTest("no tests here")
        cls.database = target.fresh_database(cls.name)
        done = cls.psql_of(cls, ["-v", "ON_ERROR_STOP=1"], cls.schema)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def psql_of(self, arguments, stdin=None):
        return target.run(["psql", "-X", "-q", "-P", "pager=off", *arguments], self.database, stdin)

    def psql(self, *arguments, stdin=None, code=0, error=""):
        done = self.psql_of(list(arguments), stdin)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if error is not None:
            self.assertEqual(done.stderr, error)
        return done.stdout


class Catalog(Psql):
    """What \\d and its relatives show. Nothing here writes."""

    name, schema = "psql_catalog", SCHEMA

    def assert_shows(self, command, text):
        self.assertEqual(self.psql("-c", command).strip() + "\n", text)

    def test_d(self):
        self.assert_shows("\\d", ALL_RELATIONS)

    def assert_shows_but_on_bop(self, command, text, reason):
        """A known difference: BOP shows something else, and the day it no longer does this fails too."""
        if type(target.server).__name__ != "Bop":
            return self.assert_shows(command, text)
        with self.assertRaises(AssertionError, msg=f"no longer differs: {reason}"):
            self.assert_shows(command, text)
        return None

    def test_d_table(self):
        self.assert_shows_but_on_bop("\\d customers", CUSTOMERS, "the predicate of a partial index stands in brackets")

    def test_d_table_with_foreign_key(self):
        self.assert_shows_but_on_bop("\\d orders", ORDERS, "the default of a char column lacks ::bpchar")

    def test_d_view(self):
        self.assert_shows("\\d rich", VIEW)

    def test_d_index(self):
        shown = self.psql("-c", "\\d customers_name")
        self.assertIn('Index "public.customers_name"', shown)
        self.assertIn("name   | character varying(40) | yes  | name", shown)
        self.assertIn('btree, for table "public.customers"', shown)

    def test_d_sequence(self):
        shown = self.psql("-c", "\\d counter")
        self.assertIn('Sequence "public.counter"', shown)
        self.assertIn(" bigint |     1 |       1 | 9223372036854775807 |         1 | no      |     1\n", shown)

    def test_d_in_schema(self):
        self.assertIn('Table "app.things"', self.psql("-c", "\\d app.things"))

    def test_d_generated(self):
        self.assertIn(" gross  | integer |           |          | generated always as (net * 2) stored\n",
                      self.psql("-c", "\\d app.prices"))

    def test_d_pattern(self):
        shown = self.psql("-c", "\\dt c*")
        self.assertIn("customers", shown)
        self.assertNotIn("orders", shown)

    def test_d_missing(self):
        done = target.run(["psql", "-X", "-c", "\\d nothing_here"], self.database)
        self.assertEqual((done.returncode, done.stderr), (1, 'Did not find any relation named "nothing_here".\n'))

    def test_d_plus(self):
        shown = self.psql("-c", "\\d+ customers")
        self.assertIn("Storage", shown)
        self.assertIn('"customers_pkey" PRIMARY KEY, btree (id)', shown)

    def test_dt(self):
        self.assert_shows("\\dt", TABLES)

    def test_dt_other_schema(self):
        self.assertIn(" app    | things | table | bop", self.psql("-c", "\\dt app.*"))

    def test_di(self):
        self.assert_shows("\\di", INDEXES)

    def test_dv_ds(self):
        self.assertIn(" public | rich | view | bop", self.psql("-c", "\\dv"))
        self.assertIn(" public | counter          | sequence | bop", self.psql("-c", "\\ds"))

    def test_dn(self):
        shown = self.psql("-At", "-c", "\\dn").split()
        self.assertEqual([line.split("|")[0] for line in shown], ["app", "public"])

    def test_dp_and_its_like(self):
        self.psql("-c", "CREATE ROLE reader", "-c", "CREATE ROLE \"the writer\" IN ROLE reader",
                  "-c", "CREATE SCHEMA rights", "-c", "CREATE TABLE rights.t (a int)", "-c", "CREATE SEQUENCE rights.q",
                  "-c", "CREATE VIEW rights.v AS SELECT 1",
                  "-c", "GRANT SELECT ON rights.t TO reader WITH GRANT OPTION", "-c", "GRANT INSERT ON rights.t TO \"the writer\"",
                  "-c", "GRANT USAGE ON SEQUENCE rights.q TO PUBLIC", "-c", "GRANT USAGE ON SCHEMA rights TO reader",
                  "-c", f"GRANT CREATE ON DATABASE {self.database} TO reader")
        try:
            self.assert_shows("\\dp rights.*", RIGHTS)
            self.assertEqual(self.psql("-c", "\\z rights.*").strip() + "\n", RIGHTS)
            shown = self.psql("-At", "-c", "\\dn+ rights")
            self.assertEqual(shown, "rights|bop|bop=UC/bop\nreader=U/bop|\n")
            self.assertIn("|=Tc/bop\nbop=CTc/bop\nreader=C/bop", self.psql("-At", "-c", "\\l"))
            self.assertIn("the writer|Cannot login|{reader}\n", self.psql("-At", "-c", "\\du"))
        finally:
            self.psql("-c", "DROP SCHEMA rights CASCADE", "-c", f"REVOKE CREATE ON DATABASE {self.database} FROM reader",
                      "-c", "DROP ROLE reader, \"the writer\"", error=None)

    def test_du(self):
        shown = self.psql("-c", "\\du")
        self.assertIn("List of roles", shown)
        self.assertRegex(shown, r"\n bop +\| Superuser")

    def test_l(self):
        shown = self.psql("-At", "-c", "\\l")
        names = [line.split("|")[0] for line in shown.splitlines()]
        self.assertIn(self.database, names)
        self.assertIn("bop", names)
        self.assertRegex(shown, rf"(?m)^{self.database}\|bop\|UTF8\|C\|C\|")

    def test_echo_hidden_queries_work(self):
        shown = self.psql("-E", "-c", "\\d orders")
        self.assertIn("********* QUERY **********", shown)

    def test_conninfo(self):
        self.assertIn(f'connected to database "{self.database}" as user "bop"', self.psql("-c", "\\conninfo"))


class Statements(Psql):
    """Running statements and scripts."""

    name, schema = "psql_statements", "CREATE TABLE customers (id int PRIMARY KEY, name text);"

    def test_table_format(self):
        self.assertEqual(self.psql("-c", "SELECT 1 AS one, 'x' AS two, NULL AS three"),
                         " one | two | three \n-----+-----+-------\n   1 | x   | \n(1 row)\n\n")

    def test_several_commands(self):
        self.assertEqual(self.psql("-At", "-c", "SELECT 1", "-c", "SELECT 2; SELECT 3"), "1\n2\n3\n")

    def test_single_transaction_of_one_command(self):
        self.psql("-c", "CREATE TABLE half (a int); SELECT 1/0", code=1, error="ERROR:  division by zero\n")
        self.psql("-c", "SELECT * FROM half", code=1, error=None)

    def test_error_text(self):
        self.psql("-c", "SELECT zip FROM customers", code=1,
                  error='ERROR:  column "zip" does not exist\nLINE 1: SELECT zip FROM customers\n'
                        '               ^\n')

    def test_error_verbose(self):
        done = self.psql_of(["-c", "\\set VERBOSITY verbose", "-c", "INSERT INTO customers VALUES (1, 'x'), (1, 'y')"])
        self.assertIn("ERROR:  23505: duplicate key value violates unique constraint \"customers_pkey\"\n"
                      "DETAIL:  Key (id)=(1) already exists.\n", done.stderr)
        self.assertIn("TABLE NAME:  customers\n", done.stderr)

    def test_exit_codes(self):
        self.assertEqual(self.psql_of(["-c", "SELECT 1"]).returncode, 0)
        self.assertEqual(self.psql_of(["-c", "SELEC 1"]).returncode, 1)
        self.assertEqual(target.run(["psql", "-X", "-d", "no_such_database", "-c", "SELECT 1"]).returncode, 2)
        stop = self.psql_of(["-v", "ON_ERROR_STOP=1"], "SELEC 1;\nSELECT 2;\n")
        self.assertEqual(stop.returncode, 3)
        self.assertEqual(self.psql_of([], "SELEC 1;\nSELECT 2;\n").returncode, 0)

    def test_missing_database_text(self):
        done = target.run(["psql", "-X", "-d", "no_such_database", "-c", "SELECT 1"])
        self.assertIn('FATAL:  database "no_such_database" does not exist', done.stderr)

    def test_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "script.sql")
            with open(path, "w", encoding="utf-8") as file:
                file.write("\\set two 2\nSELECT :two * 21 AS answer;\n\\echo done\n")
            self.assertEqual(self.psql("-At", "-f", path), "42\ndone\n")
            with open(path, "w", encoding="utf-8") as file:
                file.write("CREATE TABLE from_file (a int);\nSELEC 1;\nINSERT INTO from_file VALUES (1);\n")
            done = self.psql_of(["-v", "ON_ERROR_STOP=1", "-f", path])
            self.assertEqual(done.returncode, 3)
            self.assertIn(f"psql:{path}:2: ERROR:  syntax error at or near \"SELEC\"", done.stderr)
            self.assertEqual(self.psql("-At", "-c", "SELECT count(*) FROM from_file"), "0\n")

    def test_one_transaction(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "script.sql")
            with open(path, "w", encoding="utf-8") as file:
                file.write("CREATE TABLE one_transaction (a int);\nSELECT 1/0;\n")
            self.assertEqual(self.psql_of(["-1", "-v", "ON_ERROR_STOP=1", "-f", path]).returncode, 3)
        self.assertEqual(self.psql("-At", "-c", "SELECT to_regclass('one_transaction') IS NULL"), "t\n")

    def test_variables(self):
        script = "\\set name 'O''Neil'\nSELECT :'name' AS quoted, :\"column\" FROM (SELECT 5 AS \"a b\") t;\n"
        self.assertEqual(self.psql("-At", "-v", "column=a b", stdin=script), "O'Neil|5\n")

    def test_gset_and_conditions(self):
        script = ("SELECT 7 AS seven, 'x' AS letter \\gset\n"
                  "\\if :{?seven}\n\\echo :seven :letter\n\\else\n\\echo none\n\\endif\n"
                  "SELECT count(*) > 1 AS many FROM (VALUES (1), (2)) v \\gset\n\\if :many\n\\echo many\n\\endif\n")
        self.assertEqual(self.psql("-At", stdin=script), "7 x\nmany\n")

    def test_gexec(self):
        script = "SELECT format('SELECT %s * 10', n) FROM generate_series(1, 3) n \\gexec\n"
        self.assertEqual(self.psql("-At", stdin=script), "10\n20\n30\n")

    def test_gdesc(self):
        self.assertEqual(self.psql("-At", stdin="SELECT 1 AS a, now() AS b, 1.5::numeric(4,2) AS c \\gdesc\n"),
                         "a|integer\nb|timestamp with time zone\nc|numeric(4,2)\n")

    def test_expanded(self):
        self.assertEqual(self.psql("-x", "-c", "SELECT 1 AS a, 'b' AS bcd"),
                         "-[ RECORD 1 ]\na   | 1\nbcd | b\n\n")

    def test_row_count_and_errors_in_variables(self):
        script = ("SELECT 1 UNION SELECT 2;\n\\echo :ROW_COUNT :ERROR\nSELEC;\n"
                  "\\echo :ERROR :SQLSTATE :LAST_ERROR_MESSAGE\n")
        self.assertEqual(self.psql("-At", stdin=script, error=None),
                         "1\n2\n2 false\ntrue 42601 syntax error at or near \"SELEC\"\n")

    def test_on_error_rollback(self):
        script = ("\\set ON_ERROR_ROLLBACK on\nBEGIN;\nCREATE TABLE kept (a int);\nSELECT 1/0;\n"
                  "INSERT INTO kept VALUES (1);\nCOMMIT;\nSELECT count(*) FROM kept;\n")
        self.assertEqual(self.psql("-At", stdin=script, error=None), "1\n")

    def test_autocommit_off(self):
        script = "\\set AUTOCOMMIT off\nCREATE TABLE lost (a int);\n"
        self.psql(stdin=script)
        self.assertEqual(self.psql("-At", "-c", "SELECT to_regclass('lost') IS NULL"), "t\n")

    def test_command_tags(self):
        done = target.run(["psql", "-X"], self.database,
                          "CREATE TABLE tags (a int);\nINSERT INTO tags VALUES (1), (2);\nUPDATE tags SET a = 3;\n"
                          "DELETE FROM tags;\nBEGIN;\nROLLBACK;\nDROP TABLE tags;\n")
        self.assertEqual(done.stdout, "CREATE TABLE\nINSERT 0 2\nUPDATE 2\nDELETE 2\nBEGIN\nROLLBACK\nDROP TABLE\n")

    def test_notice(self):
        self.psql("-c", "DROP TABLE IF EXISTS never_was", error='NOTICE:  table "never_was" does not exist, skipping\n')

    def test_connect_again(self):
        script = f"\\c bop\nSELECT current_database();\n\\c {self.database}\nSELECT current_database();\n"
        self.assertEqual(self.psql("-At", stdin=script), f"bop\n{self.database}\n")

    def test_unicode(self):
        self.assertEqual(self.psql("-At", "-c", "SELECT 'Grüße, 世界 😀', length('世界')"), "Grüße, 世界 😀|2\n")


class Copy(Psql):
    name = "psql_copy"

    def test_copy_file_in_and_out(self):
        with tempfile.TemporaryDirectory() as folder:
            source, result = os.path.join(folder, "in.csv"), os.path.join(folder, "out.csv")
            with open(source, "w", encoding="utf-8") as file:
                file.write('a,b\n1,one\n2,"two, ""quoted"""\n3,\n')
            self.psql("-c", "CREATE TABLE copied (a int, b text)")
            done = target.run(["psql", "-X", "-c", f"\\copy copied FROM '{source}' WITH (FORMAT csv, HEADER)"],
                              self.database)
            self.assertEqual((done.returncode, done.stdout), (0, "COPY 3\n"), done.stderr)
            self.psql("-c", f"\\copy (SELECT a, b FROM copied ORDER BY a DESC) TO '{result}' WITH (FORMAT csv, HEADER)")
            with open(result, encoding="utf-8") as file:
                self.assertEqual(file.read(), 'a,b\n3,\n2,"two, ""quoted"""\n1,one\n')

    def test_copy_from_standard_input(self):
        script = "CREATE TABLE piped (a int, b text);\nCOPY piped FROM STDIN;\n1\tx\n2\t\\N\n\\.\nTABLE piped;\n"
        self.assertEqual(self.psql("-At", stdin=script), "1|x\n2|\n")

    def test_copy_error_names_the_line(self):
        script = "CREATE TABLE broken (a int);\nCOPY broken FROM STDIN;\n1\nx\n\\.\n"
        done = self.psql_of([], script)
        self.assertIn('ERROR:  invalid input syntax for type integer: "x"\nCONTEXT:  COPY broken, line 2, column a: "x"',
                      done.stderr)

    def test_copy_many_rows(self):
        rows = "".join(f"{i}\trow {i}\n" for i in range(20000))
        self.psql("-c", "CREATE TABLE many (a int, b text)")
        done = target.run(["psql", "-X", "-c", "COPY many FROM STDIN"], self.database, rows)
        self.assertEqual(done.stdout, "COPY 20000\n", done.stderr)
        self.assertEqual(self.psql("-c", "COPY many TO STDOUT"), rows)


if __name__ == "__main__":
    target.main()
