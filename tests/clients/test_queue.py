#!/usr/bin/env python3
"""A table as a queue of jobs: several workers take them with FOR UPDATE SKIP LOCKED, each job once."""

import threading
import unittest

import target

JOBS = 300
WORKERS = 6


class Queue(unittest.TestCase):
    def setUp(self):
        self.database = target.fresh_database("queue_test")
        self.connection = self.connect()
        self.run_sql("CREATE TABLE q (id int PRIMARY KEY, payload text, taken_by int, done bool DEFAULT false)")
        self.run_sql("CREATE TABLE log (id int, worker int)")
        self.run_sql(f"INSERT INTO q SELECT g, 'job ' || g FROM generate_series(1, {JOBS}) g")

    def connect(self):
        connection = target.server.connect(database=self.database)
        self.addCleanup(connection.close)
        return connection

    def run_sql(self, sql, connection=None):
        result = (connection or self.connection).simple(sql)[-1]
        self.assertIsNone(result.error, f"{sql}: {result.error}")
        return result

    def work(self, job):
        """Runs `job(connection, worker)` in every worker until it answers None; what all of them took."""
        taken, problems = [], []
        lock = threading.Lock()
        connections = [self.connect() for _ in range(WORKERS)]

        def loop(worker):
            try:
                while (got := job(connections[worker], worker)) is not None:
                    with lock:
                        taken.append((got, worker))
            except Exception as problem:  # pylint: disable=broad-exception-caught
                with lock:
                    problems.append(problem)

        threads = [threading.Thread(target=loop, args=(n,)) for n in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(problems, [])
        return [job for job, _ in taken]

    def test_deleted_jobs_are_given_once(self):
        def job(connection, _):
            rows = self.run_sql("DELETE FROM q WHERE id = (SELECT id FROM q ORDER BY id FOR UPDATE SKIP LOCKED "
                                "LIMIT 1) RETURNING *", connection).rows
            return int(rows[0][0]) if rows else None

        self.assertEqual(sorted(self.work(job)), list(range(1, JOBS + 1)))
        self.assertEqual(self.run_sql("SELECT count(*) FROM q").rows[0][0], "0")

    def test_jobs_taken_in_transactions_are_done_once(self):
        def job(connection, worker):
            self.run_sql("BEGIN", connection)
            rows = self.run_sql("SELECT id, payload FROM q WHERE NOT done ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
                                connection).rows
            if not rows:
                self.run_sql("COMMIT", connection)
                return None
            number = int(rows[0][0])
            if number % 7 == worker and rows[0][1] != "again":  # a worker that gives up: the job comes again
                self.run_sql("ROLLBACK", connection)
                self.run_sql(f"UPDATE q SET payload = 'again' WHERE id = {number}", connection)
                return -1
            self.run_sql(f"INSERT INTO log VALUES ({number}, {worker})", connection)
            self.run_sql(f"UPDATE q SET done = true, taken_by = {worker} WHERE id = {number}", connection)
            self.run_sql("COMMIT", connection)
            return number

        taken = sorted(number for number in self.work(job) if number > 0)
        self.assertEqual(taken, list(range(1, JOBS + 1)))
        rows = self.run_sql("SELECT count(*), count(DISTINCT id) FROM log").rows
        self.assertEqual(rows, [[str(JOBS), str(JOBS)]])

    def test_several_jobs_at_once_by_update(self):
        def job(connection, worker):
            rows = self.run_sql(f"WITH next AS (SELECT id FROM q WHERE taken_by IS NULL ORDER BY id LIMIT 7 "
                                f"FOR NO KEY UPDATE SKIP LOCKED) UPDATE q SET taken_by = {worker} FROM next "
                                f"WHERE q.id = next.id RETURNING q.id", connection).rows
            with self.lock:
                self.all += [int(row[0]) for row in rows]
            return len(rows) or None

        self.lock, self.all = threading.Lock(), []
        self.work(job)
        self.assertEqual(sorted(self.all), list(range(1, JOBS + 1)))

    def test_a_job_of_a_worker_that_is_gone_comes_again(self):
        lost = target.server.connect(database=self.database)
        self.run_sql("BEGIN", lost)
        first = "DELETE FROM q WHERE id = (SELECT id FROM q ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id"
        self.assertEqual(self.run_sql(first, lost).rows, [["1"]])
        lost.close()
        # (PostgreSQL notices that it is gone a moment later.)
        while self.run_sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").rows[0][0] != "1":
            pass
        self.assertEqual(self.run_sql(first).rows, [["1"]])


if __name__ == "__main__":
    target.main()
