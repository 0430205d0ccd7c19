"""A node whose log is compressed and encrypted: over kills, another key, backups and without its key."""

import os
import secrets
import signal

from own_node import NodeCase, bop, main, servers


class CodedLog(NodeCase):
    def setUp(self):
        self.folder = self.make_folder("coded")
        self.key = os.path.join(self.folder, "key")
        self.first, self.second = secrets.token_hex(32), secrets.token_hex(32)
        self.write_key(self.first)
        self.data = os.path.join(self.folder, "data")
        self.flags = ["--log-compression", "zstd", "--log-encryption-key-file", self.key]
        self.node = self.make_node(self.data, self.flags)

    def write_key(self, *keys):
        with open(self.key, "w", encoding="ascii") as file:
            file.write("# keys of a test\n" + "".join(f"{key}\n" for key in keys))

    def fill(self, first, last):
        self.ask(f"INSERT INTO t SELECT g, 'a secret of nobody ' || g || repeat('x', 300) "
                 f"FROM generate_series({first}, {last}) g")

    def check(self, last):
        self.assertEqual(self.ask("SELECT count(*), sum(a), count(DISTINCT b) FROM t"),
                         [[str(last), str(last * (last + 1) // 2), str(last)]])

    def log_bytes(self):
        folder = os.path.join(self.data, "log")
        parts = []
        for name in sorted(os.listdir(folder)):
            if name.endswith(".log"):
                with open(os.path.join(folder, name), "rb") as file:
                    parts.append(file.read())
        return b"".join(parts)

    def test_over_kills_nothing_is_lost_and_nothing_is_readable(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int PRIMARY KEY, b text)")
        for i in range(3):
            self.fill(i * 200 + 1, i * 200 + 200)
            self.node.kill()
            self.node.start()
            self.check(i * 200 + 200)
        given = self.metric("bop_log_payload_given_bytes_total")
        self.fill(601, 2000)
        self.assertGreater(self.metric("bop_log_payload_given_bytes_total"), given + 100_000)
        self.assertLess(self.metric("bop_log_payload_stored_bytes_total"),
                        self.metric("bop_log_payload_given_bytes_total") // 2)
        self.assertNotIn(b"a secret of nobody", self.log_bytes())
        for words in (["verify"], ["verify", "--log-encryption-key-file", self.key]):
            done = bop("aof", *words, self.data)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("not decrypted" if len(words) == 1 else "all decrypted", done.stdout)

    def test_a_new_key_is_taken_while_the_node_runs(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int PRIMARY KEY, b text)")
        self.fill(1, 100)
        self.write_key(self.second, self.first)
        self.node.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "data keys of the log wrapped anew" in servers.tail(self.node.log, 100_000),
                        "the new key is not taken")
        self.fill(101, 200)
        self.node.kill()
        self.write_key(self.second)
        self.node.start()
        self.check(200)
        self.write_key(self.first)
        self.node.process.send_signal(signal.SIGHUP)
        # The file's first key wraps; the one before need not be there, since the keys are in the node's memory.
        self.fill(201, 300)
        self.check(300)

    def test_without_its_key_a_start_is_refused_and_says_which_one(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int PRIMARY KEY, b text)")
        self.fill(1, 50)
        self.node.stop_keeping()
        with self.assertRaisesRegex(servers.ServerError, "no key is set to unwrap them"):
            self.make_node(self.data).start()
        self.write_key(self.second)
        with self.assertRaisesRegex(servers.ServerError, "are wrapped by the key [0-9a-f]{16}, and .* holds [0-9a-f]{16}"):
            self.node.start()
        self.write_key("no key")
        with self.assertRaisesRegex(servers.ServerError, "line 2 is no key"):
            self.node.start()
        os.remove(self.key)
        with self.assertRaisesRegex(servers.ServerError, "key of the log cannot be read"):
            self.node.start()
        self.write_key(self.first)
        os.remove(os.path.join(self.data, "keys.0"))  # the other copy is enough
        self.node.start()
        self.check(50)
        self.assertTrue(os.path.exists(os.path.join(self.data, "keys.0")))

    def test_backups_are_extended_verified_and_restored(self):
        self.node.start()
        self.ask("CREATE TABLE t (a int PRIMARY KEY, b text)")
        backup = os.path.join(self.folder, "backup")
        key = ["--log-encryption-key-file", self.key]
        for i in range(2):
            self.fill(i * 100 + 1, i * 100 + 100)
            done = bop("backup", backup, "--data-dir", self.data, *key)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = bop("verify", backup)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--log-encryption-key-file", done.stderr)
        done = bop("verify", backup, env={**os.environ, "BOP_LOG_ENCRYPTION_KEY_FILE": self.key})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        restored = os.path.join(self.folder, "restored")
        done = bop("restore", backup, "--data-dir", restored)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.node.stop()
        self.node = self.make_node(restored, self.flags)
        self.node.start()
        self.check(200)


if __name__ == "__main__":
    main()
