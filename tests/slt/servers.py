"""Servers that the tests start: PostgreSQL 15 as the oracle, BOP as the subject, or one that already runs.

A server owns its data directory (a new temporary one unless given) and its process. `start` returns once it answers,
`stop` ends it in order, `kill` sends SIGKILL to exactly the processes that this object started.
"""

import fcntl
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

import wire


class ServerError(Exception):
    pass


class PortClaim:
    """The first port from `base` on that nobody listens at and no other test process has taken.

    The claim is a lock on a file, held as long as this object lives."""

    def __init__(self, base):
        folder = os.path.join(tempfile.gettempdir(), "bop-test-ports")
        os.makedirs(folder, exist_ok=True)
        for port in range(base, base + 60):
            self.lock = os.open(os.path.join(folder, str(port)), os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                self.release()
                continue
            self.port = port
            return
        raise ServerError(f"no free port from {base} on")

    def release(self):
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    __del__ = release


def postgres_bin():
    """The folder of PostgreSQL 15's programs, or None."""
    for folder in [os.environ.get("BOP_PG_BIN", ""), *glob.glob("/usr/lib/postgresql/15/bin"),
                   *glob.glob("/usr/pgsql-15/bin")]:
        if folder and os.path.exists(os.path.join(folder, "initdb")):
            return folder
    return None


class Server:
    """What the tests need to know of any server."""

    name = "server"
    host = "127.0.0.1"
    port = 0
    user = "bop"
    password = ""
    database = "bop"

    def connect(self, database=None, timeout=30.0, options=None):
        return wire.Connection(self.host, self.port, self.user, self.password, database or self.database, timeout,
                               options)

    def url(self, database=None):
        secret = f":{urllib.parse.quote(self.password, safe='')}" if self.password else ""
        return f"postgresql://{self.user}{secret}@{self.host}:{self.port}/{database or self.database}"

    def environment(self, database=None):
        """The environment in which psql and pgbench find this server."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return {**clean, "PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user,
                "PGPASSWORD": self.password, "PGDATABASE": database or self.database, "PSQLRC": "/dev/null",
                "PGCONNECT_TIMEOUT": "20", "LC_ALL": "C.UTF-8"}

    def _wait_until_it_answers(self, process, log, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                connection = self.connect(timeout=5.0)
                connection.simple("SELECT 1")
                connection.close()
                return
            except (wire.WireError, wire.ConnectError) as error:
                if process.poll() is not None:
                    raise ServerError(f"{self.name} ended with {process.returncode}:\n{tail(log)}") from None
                if time.monotonic() > deadline:
                    raise ServerError(f"{self.name} did not answer in {seconds} s ({error}):\n{tail(log)}") from None
                time.sleep(0.02)

    def start(self):
        pass

    def stop(self):
        pass

    def cpu_seconds(self):
        """Processor time of the server so far, its ended and its living children included."""
        return cpu_of(self.process.pid) + sum(cpu_of(pid) for pid in children(self.process.pid))


def tail(path, size=2000):
    try:
        with open(path, "rb") as file:
            return file.read()[-size:].decode(errors="replace")
    except OSError:
        return "(no log)"


class External(Server):
    """A server that somebody else runs, by its URL."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.name = "external"
        self.host, self.port = parts.hostname, parts.port or 5432
        self.user = urllib.parse.unquote(parts.username or "bop")
        self.password = urllib.parse.unquote(parts.password or "")
        self.database = parts.path.lstrip("/") or self.user


class Postgres(Server):
    """PostgreSQL 15 with a fresh cluster: UTF8, locale C, UTC, superuser and database `bop`.

    Loopback is trusted, or with `password` asks for it by SCRAM-SHA-256 as BOP does."""

    name = "postgresql"

    def __init__(self, port=None, directory=None, fsync=True, settings=(), scratch=None, password=""):
        self.password = password
        self.folder = postgres_bin()
        if self.folder is None:
            raise ServerError("PostgreSQL 15 is not installed")
        self.claims = [] if port else [PortClaim(41000)]
        self.port = port or self.claims[0].port
        self.fsync = fsync
        self.settings = list(settings)
        self.owned = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="bop-pg-", dir=scratch)
        self.log = self.directory + ".log"
        self.process = None
        # PostgreSQL refuses to run as root; the package made a user for it.
        self.as_user = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            self.as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)

    def _program(self, name):
        return os.path.join(self.folder, name)

    def start(self, seconds=90):
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith("PG")}, "TZ": "UTC", "HOME": "/"}
        fresh = not os.path.exists(os.path.join(self.directory, "PG_VERSION"))
        if fresh:
            command = [self._program("initdb"), "-E", "UTF8", "--locale=C", "-U", "bop", "--no-sync", "-D",
                       self.directory]
            command += ["-A", "trust"]
            secret = self.directory + ".password"
            if self.password:
                with open(secret, "w", encoding="utf-8") as file:
                    os.fchmod(file.fileno(), 0o600)
                    if self.as_user:
                        os.fchown(file.fileno(), self.as_user["user"], self.as_user["group"])
                    file.write(self.password + "\n")
                command[-2:] = ["-A", "scram-sha-256", f"--pwfile={secret}"]
            made = subprocess.run(command, env=environment, capture_output=True, cwd="/", check=False, **self.as_user)
            if self.password:
                os.unlink(secret)
            if made.returncode != 0:
                raise ServerError(f"initdb failed:\n{made.stderr.decode()}")
        options = ["listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=", "timezone=UTC",
                   "log_timezone=UTC", "max_connections=200", f"fsync={'on' if self.fsync else 'off'}", *self.settings]
        command = [self._program("postgres"), "-D", self.directory]
        for option in options:
            command += ["-c", option]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, **self.as_user)
        target, self.database = self.database, "postgres"
        try:
            self._wait_until_it_answers(self.process, self.log, seconds)
            if fresh:
                connection = self.connect()
                connection.simple(f"CREATE DATABASE {target}")
                connection.close()
        finally:
            self.database = target

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)
            if os.path.exists(self.log):
                os.unlink(self.log)

    def kill(self):
        """SIGKILL for the postmaster and its backends, which are its direct children in sessions of their own.

        Stopped first, so that it starts no child in between. Answers when they are gone: PostgreSQL refuses to start
        while one of them still holds the shared memory."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGSTOP)
        backends = children(self.process.pid)
        self.process.kill()
        for pid in backends:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        deadline = time.monotonic() + 20
        while any(state_of(pid) not in (None, "Z") for pid in backends) and time.monotonic() < deadline:
            time.sleep(0.002)


def cpu_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return sum(int(ticks) for ticks in file.read().rsplit(")", 1)[1].split()[11:15]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


def state_of(pid):
    """The letter of a process's state, None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def children(parent):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    if int(file.read().rsplit(")", 1)[1].split()[1]) == parent:
                        found.append(int(entry))
            except OSError:
                pass
    return found


class Bop(Server):
    """One BOP node. Ready is when it prints its `ready:` line, which carries the URL."""

    name = "bop"
    prefix = ()  # a command that runs the program

    def __init__(self, binary, port=None, http_port=None, directory=None, flags=(), scratch=None):
        self.binary = os.path.abspath(binary)
        self.claims = [PortClaim(41030), PortClaim(41030)]
        self.port = port or self.claims[0].port
        self.http_port = http_port or self.claims[1].port
        self.flags = list(flags)
        self.owned = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="bop-node-", dir=scratch)
        self.log = self.directory + ".log"
        self.process = None

    def start(self, seconds=60):
        command = [*self.prefix, self.binary, "serve", "--data-dir", self.directory, "--pg-port", str(self.port), "--http-port",
                   str(self.http_port), *self.flags]
        with open(self.log, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait_until_ready(begin, seconds)
        except ServerError:
            self.kill()
            raise

    def _wait_until_ready(self, begin, seconds):
        """Until the `ready:` line after offset `begin` of the log, and until it answers."""
        deadline = time.monotonic() + seconds
        while True:
            with open(self.log, "rb") as log:
                log.seek(begin)
                ready = [line for line in log.read().decode(errors="replace").splitlines(keepends=True)
                         if line.startswith("ready: ") and line.endswith("\n")]
            if ready:
                break
            if self.process.poll() is not None:
                raise ServerError(f"bop ended with {self.process.returncode}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise ServerError(f"bop was not ready in {seconds} s:\n{tail(self.log)}")
            time.sleep(0.01)
        address = External(ready[-1].split()[1])
        self.user, self.password, self.database = address.user, address.password, address.database
        self._wait_until_it_answers(self.process, self.log, 20)

    def stop_keeping(self):
        """Stops it and keeps its directory for another start."""
        owned, self.owned = self.owned, False
        self.stop()
        self.owned = owned

    def stop(self, seconds=30):
        """SIGTERM; answers the exit code, None when it had to be killed."""
        code = None
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        elif self.process is not None:
            code = self.process.returncode
        self.process = None
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)
            if os.path.exists(self.log):
                os.unlink(self.log)
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()


def add_target_options(parser, default="pg"):
    """The options by which every harness chooses its server."""
    parser.add_argument("--target", choices=["pg", "bop", "url"], default=default,
                        help="PostgreSQL 15, BOP, or a running server given by --url")
    parser.add_argument("--bop", default=os.environ.get("BOP_BINARY", ""), help="the bop program")
    parser.add_argument("--url", default="", help="postgresql://user:password@host:port/database")
    parser.add_argument("--port", type=int, default=0, help="the port to start the server at")
    parser.add_argument("--scratch", default=None, help="where to make temporary directories")


def open_target(options, **settings):
    """The server that the options of add_target_options describe, not started."""
    if options.target == "url":
        return External(options.url)
    if options.target == "pg":
        settings.pop("flags", None)
        return Postgres(port=options.port or None, scratch=options.scratch, **settings)
    if not options.bop:
        raise ServerError("--target bop needs --bop PATH")
    return Bop(options.bop, port=options.port or None, scratch=options.scratch, flags=settings.get("flags", ()))
