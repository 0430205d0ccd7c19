#!/usr/bin/env python3
"""TLS on PostgreSQL's port: who gets in and who does not, what is bound to the channel, broken handshakes.

For BOP only: the certificate that a node makes for itself, and its settings, are its own.
"""

import os
import shutil
import signal
import socket
import ssl
import stat
import struct
import subprocess
import threading
import time
import unittest.mock

import own_node
import servers
import wire
from own_node import bop

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class TlsConnection(wire.Connection):
    """The test's own client, under TLS. `flag` is the one of SCRAM's first message."""

    flag = "n"

    def __init__(self, *arguments, versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), flag="n"):
        self.versions, self.flag = versions, flag
        super().__init__(*arguments)

    def _startup(self, user, password, database, options):
        self.socket.sendall(SSL_REQUEST)
        answer = self.socket.recv(1)
        if answer != b"S":
            raise wire.WireError(f"SSLRequest was answered {answer!r}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version, context.maximum_version = self.versions
        self.socket = context.wrap_socket(self.socket)
        super()._startup(user, password, database, options)

    def send(self, data):
        # "y": the client could bind and was offered nothing, so it says.
        if self.flag != "n":
            data = data.replace(b"n,,n=", self.flag.encode() + b",,n=").replace(b"c=biws", b"c=eSws")
        super().send(data)


class Tls(own_node.SharedNodeCase):
    @property
    def certificate(self):
        return os.path.join(self.node.directory, "tls.crt")

    def psql(self, sql, *options, host="localhost", timeout=60, stdin=None):
        parts = [f"host={host}", *options]
        return subprocess.run(["psql", "-X", "-At", "-d", " ".join(parts), "-c", sql], input=stdin,
                              env=self.node.environment(), capture_output=True, text=True, timeout=timeout, check=False)

    def shown(self, sql, *options, **more):
        done = self.psql(sql, *options, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def refused(self, words, *options, **more):
        done = self.psql("SELECT 1", *options, **more)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(words, done.stderr)

    def connect(self, **more):
        return TlsConnection("127.0.0.1", self.node.port, self.node.user, self.node.password, "bop", 30, **more)

    def raw(self):
        """A socket whose handshake may begin."""
        raw = socket.create_connection(("127.0.0.1", self.node.port), 30)
        self.addCleanup(raw.close)
        raw.sendall(SSL_REQUEST)
        self.assertEqual(raw.recv(1), b"S")
        return raw

    def shown_certificate(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(self.raw()) as channel:
            return channel.getpeercert(binary_form=True)


MINE = "SELECT ssl, version, cipher <> '', bits >= 128 FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


class Node(Tls):
    def test_files_are_made_for_the_owner_only(self):
        for name in ("tls.crt", "tls.key"):
            mode = os.stat(os.path.join(self.node.directory, name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_psql_encrypts_and_verifies(self):
        self.assertEqual(self.shown(MINE, "sslmode=require"), "t|TLSv1.3|t|t")
        self.assertEqual(self.shown(MINE), "t|TLSv1.3|t|t")  # libpq prefers it
        self.assertEqual(self.shown(MINE, "sslmode=disable"), "f|||")
        for host in ("localhost", "127.0.0.1"):
            self.assertEqual(self.shown(MINE, "sslmode=verify-full", f"sslrootcert={self.certificate}", host=host),
                             "t|TLSv1.3|t|t")
        self.assertEqual(self.shown(MINE, "sslmode=require", "ssl_max_protocol_version=TLSv1.2"), "t|TLSv1.2|t|t")
        self.assertEqual(self.shown("SHOW ssl"), "on")

    def test_a_certificate_of_others_is_not_taken_for_ours(self):
        other = os.path.join(self.folder, "other.crt")
        make_certificate(other, os.path.join(self.folder, "other.key"))
        self.refused("certificate verify failed", "sslmode=verify-full", f"sslrootcert={other}")

    def test_channel_binding(self):
        self.assertEqual(self.shown("SELECT 1", "sslmode=require", "channel_binding=require"), "1")
        self.assertEqual(self.shown("SELECT 1", "sslmode=require", "channel_binding=disable"), "1")
        self.refused("channel binding required", "sslmode=disable", "channel_binding=require")
        self.refused("password authentication failed", "sslmode=require", "channel_binding=require",
                     "password=wrong")

    def test_a_lost_offer_of_channel_binding_is_noticed(self):
        with self.assertRaises(wire.ConnectError) as caught:
            self.connect(flag="y")
        self.assertEqual((caught.exception.fields["C"], caught.exception.fields["M"]),
                         ("28000", "SCRAM channel binding negotiation error"))
        self.connect(flag="n").close()

    def test_a_proof_for_another_channel_is_refused(self):
        class Wrong(TlsConnection):
            def send(self, data):
                if b"SCRAM-SHA-256\0" in data:
                    first = data[data.index(b"n,,"):].replace(b"n,,", b"p=tls-server-end-point,,")
                    data = wire.message(b"p", wire.cstring("SCRAM-SHA-256-PLUS") + struct.pack("!i", len(first)) + first)
                super().send(data)

        with self.assertRaises(wire.ConnectError) as caught:
            Wrong("127.0.0.1", self.node.port, self.node.user, self.node.password, "bop", 30)
        self.assertEqual((caught.exception.fields["C"], caught.exception.fields["M"]),
                         ("28000", "SCRAM channel binding check failed"))

    def test_old_versions_are_refused(self):
        with self.assertRaises((ssl.SSLError, OSError)):
            self.connect(versions=(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1))

    def test_broken_handshakes(self):
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\0" * 40, b""):
            raw = self.raw()
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
        self.connect().close()

    def test_bytes_behind_the_request_are_not_read_as_encrypted(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), 30)
        self.addCleanup(raw.close)
        body = struct.pack("!i", 196608) + b"user\0bop\0\0"
        raw.sendall(SSL_REQUEST + struct.pack("!i", len(body) + 4) + body)
        self.assertIn(b"received unencrypted data after SSL request", raw.recv(4096))

    def test_who_stops_in_the_handshake_holds_up_nobody(self):
        silent = [self.raw() for _ in range(20)]
        for raw in silent[::2]:
            raw.sendall(b"\x16\x03\x01\x00\xf8\x01")
        self.assertEqual(self.shown("SELECT 1", "sslmode=require"), "1")

    def test_cancel_over_tls(self):
        connection = self.connect()
        ended = []
        thread = threading.Thread(
            target=lambda: ended.append(connection.simple("SELECT count(*) FROM generate_series(1, 1000000000)")[-1]))
        thread.start()
        deadline = time.monotonic() + 30
        while not ended and time.monotonic() < deadline:
            raw = self.raw()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(raw) as channel:
                channel.sendall(struct.pack("!iiii", 16, 80877102, connection.backend_pid, connection.backend_secret))
                self.assertEqual(channel.recv(10), b"")
            thread.join(0.2)
        self.assertEqual(ended[0].error["C"], "57014")
        connection.close()

    def test_large_answers_and_copies(self):
        self.shown("CREATE TABLE big (a int, v text)")
        rows = "".join(f"{i}\t{'x' * 200}\n" for i in range(50_000))
        self.assertEqual(self.shown("COPY big FROM STDIN", "sslmode=require", stdin=rows), "COPY 50000")
        self.assertEqual(self.shown("COPY big TO STDOUT", "sslmode=require"), rows.strip())
        connection = self.connect()
        result = connection.simple("SELECT * FROM big ORDER BY a")[-1]
        self.assertEqual((len(result.rows), result.rows[-1][0]), (50_000, "49999"))
        connection.close()

    def test_a_client_that_reads_slowly_gets_everything(self):
        connection = self.connect()
        count = 300_000
        connection.send(wire.message(b"Q", b"SELECT g, repeat('y', 50) FROM generate_series(1, 300000) g\0"))
        other = self.connect()
        self.assertEqual(other.simple("SELECT 1")[-1].rows, [["1"]])
        other.close()
        self.assertEqual(len(connection._results(None)[-1].rows), count)  # pylint: disable=protected-access
        connection.close()

    def test_bop_sql_encrypts(self):
        url = self.node.url()
        for suffix, expected in (("", "t"), ("?sslmode=require", "t"), ("?sslmode=disable", "f")):
            done = bop("sql", url + suffix, "--format", "csv", "-c", MINE)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"\n{expected},", done.stdout)

    def test_pg_stat_ssl_shows_others_to_superusers_only(self):
        self.shown("CREATE ROLE watcher LOGIN PASSWORD 'w'")
        connection = self.connect()
        of_it = f"SELECT ssl, version FROM pg_stat_ssl WHERE pid = {connection.backend_pid}"
        self.assertEqual(self.shown(of_it), "t|TLSv1.3")
        self.assertEqual(self.shown(of_it, "user=watcher", "password=w", "dbname=bop"), "|")
        connection.close()

    def test_the_shell_outlives_a_connection_that_breaks_while_it_sends(self):
        for mode in ("require", "disable"):
            with subprocess.Popen([own_node.options.bop, "sql", f"{self.node.url()}?sslmode={mode}", "-c",
                                   f"CREATE TEMP TABLE cut_{mode} (a text)", "-c", f"\\copy cut_{mode} from program 'yes'"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                deadline = time.monotonic() + 20
                while process.poll() is None and time.monotonic() < deadline:
                    self.shown("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                               f"WHERE query LIKE 'COPY cut_{mode}%' AND pid <> pg_backend_pid()")
                self.assertEqual(process.wait(10), 2, process.stderr.read())


class Files(Tls):
    """The certificate's files, which these tests change."""

    def replaced(self, certificate, key):
        for source, name in ((certificate, "tls.crt"), (key, "tls.key")):
            os.replace(source, os.path.join(self.node.directory, name))

    def test_1_a_changed_certificate_is_taken(self):
        before = self.shown_certificate()
        old = self.connect()
        new = [os.path.join(self.folder, name) for name in ("new.crt", "new.key")]
        make_certificate(*new)
        self.replaced(*new)
        self.wait_until(lambda: self.shown_certificate() != before, "the certificate is not taken")
        self.assertEqual(old.simple("SELECT 1")[-1].rows, [["1"]])
        old.close()

    def test_2_a_pair_that_does_not_fit_is_not_taken(self):
        before = self.shown_certificate()
        for name in ("tls.crt", "tls.key"):
            path = os.path.join(self.node.directory, name)
            shutil.copy2(path, path + ".kept")
        make_certificate(os.path.join(self.node.directory, "tls.crt"), os.path.join(self.folder, "lost.key"))
        self.node.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "the TLS certificate stays as it is" in servers.tail(self.node.log, 100_000), "it does not say so")
        self.assertEqual(self.shown_certificate(), before)
        self.node.stop_keeping()
        with self.assertRaisesRegex(servers.ServerError, "does not belong to the certificate"):
            self.node.start()
        for name in ("tls.crt", "tls.key"):
            path = os.path.join(self.node.directory, name)
            os.replace(path + ".kept", path)
        self.node.start()

    def test_3_a_key_that_others_may_read_is_refused(self):
        self.node.stop_keeping()
        key = os.path.join(self.node.directory, "tls.key")
        os.chmod(key, 0o644)
        with self.assertRaisesRegex(servers.ServerError, "has group or world access"):
            self.node.start()
        os.chmod(key, 0o600)
        os.unlink(self.certificate)  # made again, for the same key
        self.node.start()
        self.connect().close()

    def test_4_settings_that_do_not_fit_refuse_the_start(self):
        self.node.stop_keeping()
        for flags, words in ((["--tls-cert-file", "/nowhere.crt"], "go together"),
                             (["--tls-cert-file", "/nowhere.crt", "--tls-key-file", "/nowhere.key"], "/nowhere.key")):
            self.node.flags = flags
            with self.assertRaisesRegex(servers.ServerError, words):
                self.node.start()
        self.node.flags = ["--tls-min-version", "TLSv1.3"]
        self.node.start()
        self.refused("", "sslmode=require", "ssl_max_protocol_version=TLSv1.2")
        self.assertEqual(self.shown(MINE, "sslmode=require"), "t|TLSv1.3|t|t")


class Required(Tls):
    flags = ("--tls", "require")

    @classmethod
    def start(cls):
        with unittest.mock.patch.object(wire, "Connection", TlsConnection):
            cls.node.start()

    def test_only_tls_gets_in(self):
        self.refused("connections without TLS are refused", "sslmode=disable")
        self.assertEqual(self.shown(MINE, "sslmode=allow"), "t|TLSv1.3|t|t")
        self.assertEqual(self.shown(MINE), "t|TLSv1.3|t|t")
        done = bop("sql", "--data-dir", self.node.directory, "-c", "SELECT 1")
        self.assertEqual(done.returncode, 0, done.stderr)


class Off(Tls):
    flags = ("--tls", "off")

    def test_no_tls_is_offered(self):
        self.refused("server does not support SSL", "sslmode=require")
        self.assertEqual(self.shown(MINE), "f|||")
        self.assertEqual(self.shown("SHOW ssl"), "off")
        self.assertFalse(os.path.exists(self.certificate))
        done = bop("sql", self.node.url() + "?sslmode=require", "-c", "SELECT 1")
        self.assertIn("the server offers no TLS", done.stderr)


def make_certificate(certificate, key):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "3", "-subj", "/CN=other", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    os.chmod(key, 0o600)


if __name__ == "__main__":
    own_node.main()
