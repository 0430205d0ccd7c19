#!/usr/bin/env python3
"""Files of the server: read_csv, read_json, read_parquet, COPY with files; who may, which files, and nothing else.

For BOP only: PostgreSQL has no such functions, and its COPY may read what the server may.
"""

import os

import own_node
import wire


class Files(own_node.SharedNodeCase):
    @classmethod
    def start(cls):
        cls.files = os.path.join(cls.folder, "files")
        os.makedirs(os.path.join(cls.files, "sub"))
        cls.put("a.csv", "id,name,price,day\n1,ada,1.50,2024-01-02\n2,grace,,2024-03-04\n3,\"x,y\",7.25,\n")
        cls.put("sub/b.csv", "n\n10\n20\n")
        cls.put("rows.json", '{"a": 1, "s": "x", "b": true}\n{"a": 2, "s": null, "b": false}\n')
        cls.put("nested.json", '{"a": [1, 2]}\n')
        with open(os.path.join(cls.folder, "secret.csv"), "w", encoding="utf-8") as file:
            file.write("secret\n1\n")
        os.symlink(os.path.join(cls.folder, "secret.csv"), os.path.join(cls.files, "link.csv"))
        os.symlink(cls.folder, os.path.join(cls.files, "out"))
        os.symlink("a.csv", os.path.join(cls.files, "inside.csv"))
        cls.node.flags = ["--files-directory", cls.files]
        cls.node.start()
        cls.connection = cls.node.connect()
        cls.addClassCleanup(cls.connection.close)
        for sql in ("CREATE ROLE plain LOGIN PASSWORD 'p'", "GRANT CREATE ON SCHEMA public TO plain"):
            assert cls.connection.simple(sql)[-1].error is None, sql

    @classmethod
    def put(cls, name, text):
        with open(os.path.join(cls.files, name), "w", encoding="utf-8") as file:
            file.write(text)

    def run_sql(self, sql, connection=None):
        result = (connection or self.connection).simple(sql)[-1]
        self.assertIsNone(result.error, f"{sql}: {result.error}")
        return result

    def rows(self, sql):
        return [tuple(row) for row in self.run_sql(sql).rows]

    def state(self, sql, connection=None):
        own = connection or self.connection
        error = own.simple(sql)[-1].error
        if own.transaction_status != "I":
            own.simple("ROLLBACK")
        self.assertIsNotNone(error, sql)
        return error["C"]

    def test_csv_has_the_types_that_are_in_it(self):
        result = self.run_sql("SELECT * FROM read_csv('a.csv')")
        self.assertEqual(result.names, ["id", "name", "price", "day"])
        self.assertEqual(result.oids, [20, 25, 701, 1082])
        self.assertEqual([tuple(row) for row in result.rows],
                         [("1", "ada", "1.5", "2024-01-02"), ("2", "grace", None, "2024-03-04"), ("3", "x,y", "7.25", None)])

    def test_every_executor_and_use(self):
        for route in ("auto", "sqlite", "duckdb"):
            self.run_sql(f"SET bop.route = {route}")
            self.assertEqual(self.rows("SELECT sum(id), max(name) FROM read_csv('a.csv') f WHERE day IS NOT NULL"),
                             [("3", "grace")], route)
            self.assertEqual(self.rows("SELECT f.id, b.n FROM read_csv('a.csv') f JOIN read_csv('sub/b.csv') b "
                                       "ON b.n = f.id * 10 ORDER BY 1"), [("1", "10"), ("2", "20")], route)
            self.assertEqual(self.rows("SELECT name FROM read_csv('a.csv') WHERE id IN (SELECT n / 10 FROM "
                                       "read_csv('sub/b.csv')) ORDER BY id LIMIT 1"), [("ada",)], route)
        self.run_sql("RESET bop.route")
        self.run_sql("CREATE TABLE copied AS SELECT * FROM read_csv('a.csv')")
        self.run_sql("INSERT INTO copied (id, name) SELECT n, 'b' FROM read_csv('sub/b.csv') t(n)")
        self.assertEqual(self.rows("SELECT count(*), sum(id) FROM copied"), [("5", "36")])
        self.run_sql("UPDATE copied SET name = 'c' WHERE id IN (SELECT n FROM read_csv('sub/b.csv'))")
        self.assertEqual(self.rows("SELECT count(*) FROM copied WHERE name = 'c'"), [("2",)])
        self.run_sql("CREATE VIEW of_file AS SELECT id, name FROM read_csv('a.csv', header => true)")
        self.assertEqual(self.rows("SELECT name FROM of_file WHERE id = 2"), [("grace",)])
        self.run_sql("PREPARE p(int) AS SELECT name FROM read_csv('a.csv') WHERE id = $1")
        self.assertEqual(self.rows("EXECUTE p(1)"), [("ada",)])
        self.run_sql("BEGIN")
        self.run_sql("DECLARE c CURSOR FOR SELECT id FROM read_csv('a.csv') ORDER BY id")
        self.assertEqual(self.rows("FETCH 2 FROM c"), [("1",), ("2",)])
        self.run_sql("COMMIT")
        self.assertTrue(self.rows("EXPLAIN SELECT * FROM read_csv('a.csv')"))
        self.assertEqual(self.connection.extended("SELECT name FROM read_csv('a.csv') WHERE id = $1", ["3"])[-1].rows,
                         [["x,y"]])
        self.run_sql("DROP VIEW of_file")
        self.run_sql("DROP TABLE copied")

    def test_options(self):
        self.put("semicolon.txt", "1;x\n2;NULL\n")
        self.assertEqual(self.rows("SELECT * FROM read_csv('semicolon.txt', delim => ';', header => false, "
                                   "nullstr => 'NULL') AS t(a, b)"), [("1", "x"), ("2", None)])
        self.assertEqual(self.run_sql("SELECT * FROM read_csv('a.csv', all_varchar => true)").oids, [25, 25, 25, 25])
        self.assertEqual(self.state("SELECT * FROM read_csv('a.csv', filename => true)"), "0A000")
        self.assertEqual(self.state("SELECT * FROM read_csv('a.csv', header => 'x')"), "22023")
        self.assertEqual(self.state("SELECT * FROM read_csv('a.csv', header => true, header => true)"), "42601")
        self.assertEqual(self.state("SELECT * FROM read_csv('a.csv', 'sub/b.csv')"), "0A000")
        self.assertEqual(self.state("SELECT * FROM read_csv()"), "42883")
        self.assertEqual(self.state("SELECT * FROM t, read_csv(t.x)"), "42P01")

    def test_json(self):
        self.assertEqual(self.rows("SELECT a, s, b FROM read_json('rows.json')"), [("1", "x", "t"), ("2", None, "f")])
        self.assertEqual(self.state("SELECT * FROM read_json('nested.json')"), "0A000")
        self.assertEqual(self.state("SELECT * FROM read_json('a.csv')"), "22P04")

    def test_parquet_there_and_back(self):
        self.run_sql("CREATE TABLE p (i int, b bigint, n numeric(12,2), f double precision, r real, t text, v varchar(5), "
                     "y bytea, d date, m timestamp, z timestamptz, u uuid, k boolean, s smallint, h time)")
        self.run_sql("INSERT INTO p VALUES (1, 2, 3.45, 0.1, 0.5, 'Zürich', 'ab', '\\x00ff', '2024-02-29', "
                     "'2024-02-29 12:34:56.789', '2024-02-29 12:00+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, 7, "
                     "'13:14:15.5'), (NULL, NULL, NULL, 'NaN', NULL, '', NULL, NULL, 'infinity', '-infinity', 'infinity', "
                     "NULL, NULL, NULL, NULL), (-1, -9223372036854775808, -0.01, 'Infinity', 1e30, 'x', 'y', '', "
                     "'0001-01-01', '0001-01-01', '1900-01-01 00:00Z', NULL, false, -1, '00:00')")
        self.assertEqual(self.run_sql("COPY p TO 'p.parquet' (FORMAT parquet)").tag, "COPY 3")
        before = self.rows("SELECT * FROM p ORDER BY i")
        for route in ("sqlite", "duckdb"):
            self.run_sql(f"SET bop.route = {route}")
            self.assertEqual(self.rows("SELECT * FROM read_parquet('p.parquet') ORDER BY i"), before, route)
        self.run_sql("RESET bop.route")
        self.run_sql("CREATE TABLE q (LIKE p)")
        self.assertEqual(self.run_sql("COPY q FROM 'p.parquet' (FORMAT parquet)").tag, "COPY 3")
        self.assertEqual(self.rows("SELECT * FROM q ORDER BY i"), before)
        self.assertEqual(self.run_sql("COPY q (i, t) FROM 'p.parquet' (FORMAT parquet)").tag, "COPY 3")
        self.assertEqual(self.run_sql("COPY (SELECT i, t FROM q WHERE i > 0) TO 'sub/q.parquet' (FORMAT parquet)").tag,
                         "COPY 2")
        self.assertEqual(self.rows("SELECT count(*) FROM read_parquet('sub/q.parquet')"), [("2",)])
        self.assertEqual(self.run_sql("COPY (VALUES ('24:00:00'::time), ('23:59:59.5')) TO 'time.parquet' (FORMAT parquet)").tag,
                         "COPY 2")
        self.assertEqual(self.rows("SELECT * FROM read_parquet('time.parquet') ORDER BY 1"), [("23:59:59.5",), ("24:00:00",)])
        self.assertEqual(self.state("COPY p TO STDOUT (FORMAT parquet)"), "0A000")
        self.assertEqual(self.state("COPY p FROM STDIN (FORMAT parquet)"), "0A000")
        self.assertEqual(self.state("COPY p TO 'x.parquet' (FORMAT parquet, HEADER)"), "0A000")
        self.assertEqual(self.state("COPY (SELECT 1.5::numeric) TO 'x.parquet' (FORMAT parquet)"), "0A000")
        self.assertEqual(self.state("COPY (SELECT ARRAY[1]) TO 'x.parquet' (FORMAT parquet)"), "0A000")
        self.assertFalse(os.path.exists(os.path.join(self.files, "x.parquet")))
        self.assertEqual(self.state("COPY q FROM 'a.csv' (FORMAT parquet)"), "22P04")
        self.assertEqual(self.state("COPY q FROM 'sub/q.parquet' (FORMAT parquet)"), "42703")
        self.run_sql("DROP TABLE p, q")

    def test_copy_with_files(self):
        self.run_sql("CREATE TABLE c (i int PRIMARY KEY, t text)")
        self.put("in.csv", "i,t\n1,one\n2,\"two, or so\"\n")
        self.assertEqual(self.run_sql("COPY c FROM 'in.csv' (FORMAT csv, HEADER)").tag, "COPY 2")
        self.assertEqual(self.run_sql("COPY c TO 'out.csv' (FORMAT csv, HEADER)").tag, "COPY 2")
        with open(os.path.join(self.files, "out.csv"), encoding="utf-8") as file:
            self.assertEqual(file.read(), 'i,t\n1,one\n2,"two, or so"\n')
        for form in ("text", "binary"):
            self.run_sql(f"COPY c TO 'c.{form}' (FORMAT {form})")
            self.run_sql("BEGIN; DELETE FROM c")
            self.assertEqual(self.run_sql(f"COPY c FROM 'c.{form}' (FORMAT {form})").tag, "COPY 2")
            self.run_sql("COMMIT")
        error = self.connection.simple("COPY c FROM 'in.csv' (FORMAT csv, HEADER)")[-1].error
        self.assertEqual((error["C"], error["W"]), ("23505", "COPY c, line 2"))
        self.put("bad.csv", "x,one\n")
        error = self.connection.simple("COPY c FROM 'bad.csv' (FORMAT csv)")[-1].error
        self.assertEqual((error["C"], error["W"]), ("22P02", 'COPY c, line 1, column i: "x"'))
        # What fails leaves the file that was there as it was, and nothing beside it.
        self.assertEqual(self.state("COPY (SELECT 1 / (i - 2) FROM c) TO 'out.csv'"), "22012")
        with open(os.path.join(self.files, "out.csv"), encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 3)
        self.assertEqual([name for name in os.listdir(self.files) if ".part" in name], [])
        self.assertEqual(self.state("COPY c TO PROGRAM 'cat'"), "0A000")
        self.assertEqual(self.state("COPY c FROM 'none.csv'"), "58P01")
        self.assertEqual(self.state("COPY c TO 'none/x.csv'"), "58P01")
        self.assertEqual(self.state("COPY c TO 'sub'"), "42809")
        self.run_sql("DROP TABLE c")

    def test_superusers_only(self):
        plain = self.node.connect(options=None)
        plain.close()
        other = wire.Connection("127.0.0.1", self.node.port, "plain", "p", "bop")
        try:
            other.simple("CREATE TABLE mine (a int)")
            for sql in ("SELECT * FROM read_csv('a.csv')", "SELECT * FROM read_csv('none.csv')",
                        "SELECT * FROM read_json('rows.json')", "SELECT * FROM read_parquet('p.parquet')",
                        "COPY mine FROM 'a.csv'", "COPY mine TO 'x.csv'", "COPY mine TO 'x' (FORMAT parquet)",
                        "CREATE VIEW w AS SELECT * FROM read_csv('a.csv')"):
                self.assertEqual(self.state(sql, other), "42501", sql)
            # A view is no way around: its reader needs the right.
            self.run_sql("CREATE VIEW lent AS SELECT id FROM read_csv('a.csv')")
            self.run_sql("GRANT SELECT ON lent TO plain")
            for route in ("auto", "sqlite", "duckdb"):
                other.simple(f"SET bop.route = {route}")
                self.assertEqual(self.state("SELECT * FROM lent", other), "42501")
            self.run_sql("SET ROLE plain")
            self.assertEqual(self.state("SELECT * FROM read_csv('a.csv')"), "42501")
            self.run_sql("RESET ROLE")
            self.run_sql("PREPARE lent AS SELECT * FROM lent")
            self.run_sql("SET ROLE plain")
            self.assertEqual(self.state("EXECUTE lent"), "42501")
        finally:
            self.run_sql("RESET ROLE")
            self.run_sql("DROP VIEW IF EXISTS lent")
            other.close()

    def test_only_below_the_directory(self):
        self.assertEqual(self.rows("SELECT count(*) FROM read_csv('inside.csv')"), [("3",)])
        self.assertEqual(self.rows(f"SELECT count(*) FROM read_csv('{self.files}/sub/../a.csv')"), [("3",)])
        secret = os.path.join(self.folder, "secret.csv")
        outside = ["../secret.csv", secret, "link.csv", "out/secret.csv", "sub/../../secret.csv", "/etc/passwd",
                   "../none.csv", "/none/at/all", "/proc/self/environ", "sub/../../data/admin.password"]
        for name in outside:
            self.assertEqual(self.state(f"SELECT * FROM read_csv('{name}')"), "42501", name)
            self.assertEqual(self.state(f"COPY (SELECT 1) TO '{name}'"), "42501", name)
        self.run_sql("CREATE TABLE o (a text)")
        for name in outside:
            self.assertEqual(self.state(f"COPY o FROM '{name}'"), "42501", name)
            self.assertEqual(self.state(f"COPY o TO '{name}' (FORMAT parquet)"), "42501", name)
        self.run_sql("DROP TABLE o")
        for name in ("*.csv", "a?csv", "[a].csv", "{a,b}.csv", "sub/*", "**"):
            self.assertEqual(self.state(f"SELECT * FROM read_csv('{name}')"), "0A000", name)
        for name in ("none.csv", "https://localhost/a.csv", "s3://bucket/a.csv"):
            self.assertEqual(self.state(f"SELECT * FROM read_csv('{name}')"), "58P01", name)
        for name in ("", "sub", "."):
            self.assertIn(self.state(f"SELECT * FROM read_csv('{name}')"), ("22023", "42809", "42501"), name)
        fifo = os.path.join(self.files, "fifo.csv")
        os.mkfifo(fifo)
        self.assertEqual(self.state("SELECT * FROM read_csv('fifo.csv')"), "42809")
        os.unlink(fifo)
        with open(secret, encoding="utf-8") as file:
            self.assertEqual(file.read(), "secret\n1\n")

    def test_nothing_else_of_the_engine_is_reachable(self):
        """What DuckDB offers beside: its functions are unknown to the binder, its statements to the grammar."""
        for sql, states in {
            "SELECT * FROM glob('*')": ("42883",), "SELECT * FROM read_text('a.csv')": ("42883",),
            "SELECT * FROM read_blob('a.csv')": ("42883",), "SELECT * FROM read_csv_auto('a.csv')": ("42883",),
            "SELECT * FROM parquet_scan('p.parquet')": ("42883",), "SELECT * FROM read_ndjson('rows.json')": ("42883",),
            "SELECT * FROM sniff_csv('a.csv')": ("42883",), "SELECT * FROM duckdb_settings()": ("42883",),
            "SELECT * FROM 'a.csv'": ("42601",), 'SELECT * FROM "a.csv"': ("42P01",),
            "ATTACH 'x.db'": ("42601",), "INSTALL httpfs": ("42601",), "LOAD httpfs": ("42601",),
            "LOAD 'httpfs'": ("0A000",), "PRAGMA database_list": ("42601",), "EXPORT DATABASE 'x'": ("42601",),
            "SET enable_external_access = true": ("42704",), "SELECT getenv('HOME')": ("42883",),
            "SELECT bop_file('x')": ("42883",), "SELECT * FROM bop_file('x')": ("42883",),
            "SELECT read_csv('a.csv')": ("42883",), "SELECT * FROM read_csv('a.csv', hive_partitioning => true)": ("0A000",),
            "SELECT * FROM read_csv(ARRAY['a.csv'])": ("0A000",),
        }.items():
            for route in ("auto", "duckdb"):
                self.run_sql(f"SET bop.route = {route}")
                self.assertIn(self.state(sql), states, sql)
        self.run_sql("RESET bop.route")

    def test_a_file_that_changes(self):
        self.put("change.csv", "a,b\n1,2\n")
        self.run_sql("PREPARE changing AS SELECT a, b FROM read_csv('change.csv')")
        self.assertEqual(self.rows("EXECUTE changing"), [("1", "2")])
        self.put("change.csv", "a,b\n3,4\n5,6\n")
        self.assertEqual(self.rows("EXECUTE changing"), [("3", "4"), ("5", "6")])
        self.put("change.csv", "c\nx\n")
        self.assertEqual(self.state("EXECUTE changing"), "22P04")
        self.put("change.csv", "a,b\nx,y\n")
        self.assertEqual(self.state("EXECUTE changing"), "22P04")
        os.unlink(os.path.join(self.files, "change.csv"))
        self.assertEqual(self.state("EXECUTE changing"), "58P01")
        self.run_sql("DEALLOCATE changing")

    def test_off_by_default(self):
        node = self.make_node(os.path.join(self.folder, "other"))
        node.start()
        connection = node.connect()
        connection.simple("CREATE TABLE t (a int)")
        for sql in (f"SELECT * FROM read_csv('{self.files}/a.csv')", f"COPY t FROM '{self.files}/a.csv'",
                    f"COPY t TO '{self.files}/t.csv'", "COPY t TO 't.parquet' (FORMAT parquet)"):
            error = connection.simple(sql)[-1].error
            self.assertEqual(error["C"], "0A000", sql)
            self.assertIn("P", error, sql)
        connection.close()


if __name__ == "__main__":
    own_node.main()
