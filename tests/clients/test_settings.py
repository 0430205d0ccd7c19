#!/usr/bin/env python3
"""ALTER ROLE and ALTER DATABASE ... SET: with what the sessions that come begin."""

import unittest

import target


class Settings(unittest.TestCase):
    def setUp(self):
        self.database = target.fresh_database("settings_test")
        self.other = target.fresh_database("settings_test_2")
        self.own = target.server.connect(database=self.database)
        self.addCleanup(self.own.close)
        self.user = self.rows("SELECT current_user")[0][0]
        self.addCleanup(self.reset)
        self.reset()

    def reset(self):
        self.run_sql(f"ALTER ROLE {self.user} RESET ALL")
        self.run_sql(f"ALTER ROLE {self.user} IN DATABASE {self.database} RESET ALL")
        self.run_sql("ALTER ROLE ALL RESET ALL")

    def result(self, sql, connection=None):
        return (connection or self.own).simple(sql)[-1]

    def run_sql(self, sql, connection=None):
        result = self.result(sql, connection)
        self.assertIsNone(result.error, f"{sql}: {result.error}")

    def rows(self, sql, connection=None):
        result = self.result(sql, connection)
        self.assertIsNone(result.error, f"{sql}: {result.error}")
        return result.rows

    def refused(self, sql, code, connection=None):
        error = self.result(sql, connection).error
        self.assertIsNotNone(error, sql)
        self.assertEqual(error["C"], code, f"{sql}: {error}")
        return error["M"]

    def in_new_session(self, sql, database=None):
        connection = target.server.connect(database=database or self.database)
        try:
            return self.rows(sql, connection)
        finally:
            connection.close()

    def show(self, name, database=None):
        return self.in_new_session(f"SHOW {name}", database)[0][0]

    def test_of_a_role(self):
        self.run_sql(f"ALTER ROLE {self.user} SET statement_timeout = '7s'")
        self.assertEqual(self.rows("SHOW statement_timeout")[0][0], "0")
        self.assertEqual(self.show("statement_timeout"), "7s")
        self.assertEqual(self.show("statement_timeout", self.other), "7s")
        self.assertEqual(self.rows(f"SELECT rolconfig FROM pg_roles WHERE rolname = '{self.user}'"),
                         [["{statement_timeout=7s}"]])
        self.run_sql(f"ALTER ROLE {self.user} RESET statement_timeout")
        self.assertEqual(self.show("statement_timeout"), "0")
        self.assertEqual(self.rows(f"SELECT rolconfig FROM pg_roles WHERE rolname = '{self.user}'"), [[None]])

    def test_of_a_database(self):
        self.run_sql(f"ALTER DATABASE {self.database} SET search_path TO app, public")
        self.run_sql("CREATE SCHEMA app")
        self.assertEqual(self.show("search_path"), "app, public")
        self.assertNotEqual(self.show("search_path", self.other), "app, public")
        self.in_new_session("CREATE TABLE here (a int)")
        self.assertEqual(self.rows("SELECT schemaname FROM pg_tables WHERE tablename = 'here'"), [["app"]])
        self.assertEqual(self.rows("SELECT setrole, setconfig FROM pg_db_role_setting WHERE setdatabase = (SELECT oid "
                                   "FROM pg_database WHERE datname = current_database())"),
                         [["0", '{"search_path=app, public"}']])
        self.run_sql(f"ALTER DATABASE {self.database} SET search_path TO DEFAULT")
        self.assertNotEqual(self.show("search_path"), "app, public")

    def test_the_nearer_one_counts(self):
        self.run_sql("ALTER ROLE ALL SET lock_timeout = 1000")
        self.assertEqual(self.show("lock_timeout"), "1s")
        self.run_sql(f"ALTER DATABASE {self.database} SET lock_timeout = 2000")
        self.assertEqual(self.show("lock_timeout"), "2s")
        self.run_sql(f"ALTER ROLE {self.user} SET lock_timeout = 3000")
        self.assertEqual(self.show("lock_timeout"), "3s")
        self.run_sql(f"ALTER ROLE {self.user} IN DATABASE {self.database} SET lock_timeout = 4000")
        self.assertEqual(self.show("lock_timeout"), "4s")
        self.assertEqual(self.show("lock_timeout", self.other), "3s")

    def test_it_is_what_reset_goes_back_to(self):
        self.run_sql(f"ALTER ROLE {self.user} SET datestyle = 'German'")
        connection = target.server.connect(database=self.database)
        self.addCleanup(connection.close)
        self.assertEqual(self.rows("SELECT '2024-02-03'::date", connection), [["03.02.2024"]])
        self.run_sql("SET datestyle = 'ISO, MDY'", connection)
        self.assertEqual(self.rows("SELECT '2024-02-03'::date", connection), [["2024-02-03"]])
        self.run_sql("RESET datestyle", connection)
        self.assertEqual(self.rows("SELECT '2024-02-03'::date", connection), [["03.02.2024"]])

    def test_from_current_and_names_of_ones_own(self):
        self.run_sql("SET work_mem = '7MB'")
        self.run_sql(f"ALTER ROLE {self.user} SET work_mem FROM CURRENT")
        self.run_sql(f"ALTER ROLE {self.user} SET app.tenant TO 'blue'")
        self.assertEqual(self.show("work_mem"), "7MB")
        self.assertEqual(self.show("app.tenant"), "blue")
        self.run_sql(f"ALTER ROLE {self.user} RESET ALL")
        self.assertNotEqual(self.show("work_mem"), "7MB")

    def test_what_is_refused(self):
        self.refused(f"ALTER ROLE {self.user} SET nosuch = 1", "42704")
        self.refused(f"ALTER ROLE {self.user} SET statement_timeout = 'long'", "22023")
        self.refused(f"ALTER ROLE {self.user} SET server_version = '1'", "55P02")
        self.refused("ALTER ROLE nobody_there SET work_mem = '1MB'", "42704")
        self.refused("ALTER DATABASE nowhere SET work_mem = '1MB'", "3D000")
        self.refused(f"ALTER ROLE {self.user} IN DATABASE nowhere SET work_mem = '1MB'", "3D000")

    def test_who_may(self):
        self.result("DROP ROLE settings_test_role")
        self.run_sql("CREATE ROLE settings_test_role LOGIN")
        self.addCleanup(self.run_sql, "DROP ROLE settings_test_role")
        connection = target.server.connect(database=self.database)
        self.addCleanup(connection.close)
        self.run_sql("SET ROLE settings_test_role", connection)
        self.run_sql("ALTER ROLE settings_test_role SET work_mem = '2MB'", connection)
        self.refused(f"ALTER ROLE {self.user} SET work_mem = '2MB'", "42501", connection)
        self.refused("ALTER ROLE ALL SET work_mem = '2MB'", "42501", connection)
        message = self.refused(f"ALTER DATABASE {self.database} SET work_mem = '2MB'", "42501", connection)
        self.assertEqual(message, f"must be owner of database {self.database}")

    def test_they_go_with_the_role_and_the_database(self):
        self.result("DROP ROLE settings_test_role")
        self.run_sql("CREATE ROLE settings_test_role")
        before = self.rows("SELECT count(*) FROM pg_db_role_setting")
        self.run_sql("ALTER ROLE settings_test_role SET work_mem = '2MB'")
        self.run_sql(f"ALTER DATABASE {self.other} SET work_mem = '2MB'")
        self.run_sql("DROP ROLE settings_test_role")
        self.run_sql(f"DROP DATABASE {self.other}")
        self.assertEqual(self.rows("SELECT count(*) FROM pg_db_role_setting"), before)


if __name__ == "__main__":
    target.main()
