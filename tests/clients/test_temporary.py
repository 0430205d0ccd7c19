#!/usr/bin/env python3
"""What becomes of temporary tables when their session ends, in order or not, and when the node does.

For BOP only; that they are PostgreSQL's otherwise is shown in tests/slt.
"""

import os

import own_node

LEFT = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg_temp_%'), " \
       "(SELECT count(*) FROM pg_class WHERE relpersistence = 't')"


class Temporary(own_node.NodeCase):
    def setUp(self):
        self.node = self.make_node(os.path.join(self.make_folder("temporary"), "data"))
        self.node.start()

    def run_all(self, connection, *statements):
        for sql in statements:
            self.assertIsNone(connection.simple(sql)[-1].error, sql)

    def wait_for_nothing_left(self, connection=None):
        self.wait_until(lambda: self.ask(LEFT, connection) == [["0", "0"]], "temporary tables are left")

    def make(self):
        connection = self.connect()
        self.run_all(connection, "CREATE TEMP TABLE t (id serial PRIMARY KEY, s text UNIQUE)",
                     "INSERT INTO t (s) VALUES ('a'), ('b')", "CREATE TEMP VIEW v AS SELECT * FROM t",
                     "CREATE TEMP SEQUENCE sq")
        return connection

    def test_gone_when_the_session_ends(self):
        connection = self.make()
        self.assertEqual(self.ask(LEFT)[0][0], "1")
        connection.close()
        self.wait_for_nothing_left()

    def test_gone_when_the_session_is_cut_inside_a_transaction(self):
        connection = self.make()
        self.run_all(connection, "BEGIN", "INSERT INTO t (s) VALUES ('c')")
        connection.socket.close()
        self.wait_for_nothing_left()

    def test_gone_when_the_session_is_terminated(self):
        connection = self.make()
        pid = self.ask("SELECT pg_backend_pid()", connection)[0][0]
        self.assertEqual(self.ask(f"SELECT pg_terminate_backend({pid})"), [["t"]])
        self.wait_for_nothing_left()

    def test_gone_once_a_writer_lets_go(self):
        writer = self.connect()
        connection = self.make()
        self.run_all(writer, "BEGIN", "CREATE TABLE held (a int)")
        connection.close()
        self.assertEqual(self.ask(LEFT)[0][0], "1")
        self.run_all(writer, "COMMIT")
        self.wait_for_nothing_left()

    def test_gone_after_kill(self):
        connection = self.make()
        self.run_all(connection, "CREATE TABLE kept (a int)", "INSERT INTO kept VALUES (1)")
        self.node.kill()
        self.node.start()
        self.assertEqual(self.ask(LEFT), [["0", "0"]])
        self.assertEqual(self.ask("SELECT a FROM kept"), [["1"]])

    def test_gone_after_a_stop_in_order(self):
        self.make()
        self.node.stop_keeping()
        self.node.start()
        self.assertEqual(self.ask(LEFT), [["0", "0"]])

    def test_two_sessions_have_each_their_own(self):
        first, second = self.make(), self.make()
        self.run_all(second, "DELETE FROM t")
        self.assertEqual(self.ask("SELECT count(*) FROM t", first), [["2"]])
        name = self.ask("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()", first)[0][0]
        refused = second.simple(f"SELECT * FROM {name}.t")[-1].error
        self.assertEqual((refused["C"], refused["M"]),
                         ("0A000", "cannot access temporary tables of other sessions"))
        refused = second.simple(f"CREATE TABLE {name}.x (a int)")[-1].error
        self.assertEqual((refused["C"], refused["M"]),
                         ("42P16", "cannot create relations in temporary schemas of other sessions"))
        first.close()
        second.close()
        self.wait_for_nothing_left()

    def test_a_role_may_not_make_them_without_the_right(self):
        admin = self.connect()
        self.run_all(admin, "CREATE ROLE temp_user", "REVOKE TEMPORARY ON DATABASE bop FROM PUBLIC",
                     "SET ROLE temp_user")
        refused = admin.simple("CREATE TEMP TABLE x (a int)")[-1].error
        self.assertEqual((refused["C"], refused["M"]),
                         ("42501", 'permission denied to create temporary tables in database "bop"'))
        self.run_all(admin, "RESET ROLE", "GRANT TEMPORARY ON DATABASE bop TO temp_user", "SET ROLE temp_user",
                     "CREATE TEMP TABLE x (a int)", "INSERT INTO x VALUES (1)", "SELECT * FROM x", "DROP TABLE x")


if __name__ == "__main__":
    own_node.main()
