"""A small PostgreSQL wire client that shows what drivers hide: tags, type OIDs, every error field, both protocols.

Protocol 3.0 over TCP, blocking. A message is one type byte, a 4-byte big-endian length that counts itself, and the
body; the startup message has no type byte. Authentication: trust, clear text and SCRAM-SHA-256.

A Connection belongs to one thread. `pipeline` sends many extended-protocol units, each closed by its own Sync, before
it reads; the answer to a unit is only certain once its ReadyForQuery arrived. `unfinished` is what arrived of an
answer when the connection broke.
"""

import base64
import hashlib
import hmac
import os
import socket
import struct
from dataclasses import dataclass, field


class WireError(Exception):
    """The connection broke or the server does not follow the protocol. A server's ErrorResponse is not one."""


class ConnectError(Exception):
    """The server answered the startup with an ErrorResponse; `fields` are its fields."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('C')}: {fields.get('M')}")
        self.fields = fields


@dataclass
class Result:
    """The answer to one statement."""

    names: list | None = None
    oids: list | None = None
    formats: list | None = None
    rows: list = field(default_factory=list)
    copy: list = field(default_factory=list)
    tag: str | None = None
    error: dict | None = None
    notices: list = field(default_factory=list)


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def cstring(text):
    return text.encode() + b"\0"


class ScramClient:
    """SCRAM-SHA-256 of RFC 5802 and 7677, without channel binding."""

    def __init__(self, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.first_bare = f"n=,r={self.nonce}"

    def first(self):
        return ("n,," + self.first_bare).encode()

    def final(self, server_first):
        text = server_first.decode()
        parts = dict(p.split("=", 1) for p in text.split(","))
        if not parts["r"].startswith(self.nonce):
            raise WireError("SCRAM: the server's nonce does not start with ours")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(parts["s"]), int(parts["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={parts['r']}"
        auth = ",".join([self.first_bare, text, without_proof]).encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), auth, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final):
        parts = dict(p.split("=", 1) for p in server_final.decode().split(","))
        if base64.b64decode(parts.get("v", "")) != self.server_signature:
            raise WireError("SCRAM: the server's signature is wrong")


class Connection:
    def __init__(self, host, port, user, password="", database=None, timeout=30.0, options=None):
        self.notices = []
        self.unfinished = Result()
        self.parameters = {}
        self.transaction_status = "I"
        self.buffer = b""
        self.offset = 0
        try:
            self.socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise WireError(f"connect: {error}") from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._startup(user, password, database or user, options or {})
        except BaseException:
            self.socket.close()
            raise

    # -- bytes ---------------------------------------------------------------------------------------------------

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise WireError(f"send: {error}") from None

    def _need(self, count):
        while len(self.buffer) - self.offset < count:
            try:
                chunk = self.socket.recv(262144)
            except OSError as error:
                raise WireError(f"receive: {error or type(error).__name__}") from None
            if not chunk:
                raise WireError("receive: the server closed the connection")
            self.buffer = self.buffer[self.offset:] + chunk
            self.offset = 0

    def receive(self):
        """The next message as (type, body); notices and parameter changes are kept aside."""
        while True:
            self._need(5)
            kind = self.buffer[self.offset:self.offset + 1]
            (length,) = struct.unpack_from("!i", self.buffer, self.offset + 1)
            if length < 4:
                raise WireError(f"message {kind!r} has length {length}")
            self._need(length + 1)
            body = self.buffer[self.offset + 5:self.offset + 1 + length]
            self.offset += length + 1
            if kind == b"N":
                self.notices.append(parse_fields(body))
            elif kind == b"S":
                name, value = body[:-1].split(b"\0")
                self.parameters[name.decode()] = value.decode()
            elif kind != b"A":
                return kind, body

    # -- startup -------------------------------------------------------------------------------------------------

    def _startup(self, user, password, database, options):
        settings = {"user": user, "database": database, "client_encoding": "UTF8", **options}
        body = struct.pack("!i", 196608) + b"".join(cstring(k) + cstring(v) for k, v in settings.items()) + b"\0"
        self.send(struct.pack("!i", len(body) + 4) + body)
        scram = None
        while True:
            kind, body = self.receive()
            if kind == b"E":
                raise ConnectError(parse_fields(body))
            if kind == b"K":
                self.backend_pid, self.backend_secret = struct.unpack("!ii", body)
            elif kind == b"Z":
                self.transaction_status = body.decode()
                return
            elif kind == b"R":
                (code,) = struct.unpack_from("!i", body)
                if code == 3:
                    self.send(message(b"p", cstring(password)))
                elif code == 10:
                    scram = ScramClient(password)
                    first = scram.first()
                    self.send(message(b"p", cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
                elif code == 11:
                    self.send(message(b"p", scram.final(body[4:])))
                elif code == 12:
                    scram.check(body[4:])
                elif code != 0:
                    raise WireError(f"authentication request {code} is not known here")

    # -- the two protocols ---------------------------------------------------------------------------------------

    def simple(self, sql, copy_data=None):
        """One Query message; the results of its statements."""
        self.send(message(b"Q", cstring(sql)))
        return self._results(copy_data)

    def extended(self, sql, parameters=(), copy_data=None, parameter_oids=()):
        """Parse, Bind, Describe, Execute, Sync, all in text. One statement; the answer is a list for symmetry."""
        self.send(extended_unit(sql, parameters, parameter_oids))
        return self._results(copy_data, after_copy=message(b"S"))

    def pipeline(self, units):
        """Sends all (sql, parameters) at once and yields each unit's results after its ReadyForQuery."""
        self.send(b"".join(extended_unit(sql, parameters) for sql, parameters in units))
        for _ in units:
            yield self._results(None)

    def _results(self, copy_data, after_copy=b""):
        """Everything up to ReadyForQuery as results. A statement that returns nothing at all (empty query) too.

        `after_copy` follows the data of COPY FROM: a server ignores the Sync that it meets while it copies in.
        """
        results = []
        current = self.unfinished = Result()
        self.notices = []

        def close():
            nonlocal current
            current.notices, self.notices = self.notices, []
            results.append(current)
            current = self.unfinished = Result()

        while True:
            kind, body = self.receive()
            if kind == b"T":
                current.names, current.oids, current.formats = parse_row_description(body)
            elif kind == b"D":
                current.rows.append(parse_row(body))
            elif kind == b"C":
                current.tag = body[:-1].decode()
                close()
            elif kind == b"I":
                current.tag = ""
                close()
            elif kind == b"E":
                current.error = parse_fields(body)
                close()
            elif kind == b"Z":
                self.transaction_status = body.decode()
                if self.notices and results:
                    results[-1].notices += self.notices
                return results
            elif kind == b"G":
                if copy_data is None:
                    self.send(message(b"f", cstring("no data given")) + after_copy)
                else:
                    self.send(message(b"d", copy_data) + message(b"c") + after_copy)
            elif kind == b"d":
                current.copy.append(body)
            elif kind not in (b"1", b"2", b"3", b"n", b"t", b"H", b"c", b"s"):
                raise WireError(f"message {kind!r} does not belong here")

    def close(self):
        try:
            self.socket.sendall(message(b"X"))
        except OSError:
            pass
        self.socket.close()


def extended_unit(sql, parameters=(), parameter_oids=()):
    """The bytes of one statement through the unnamed statement and portal, closed by Sync."""
    oids = struct.pack(f"!h{len(parameter_oids)}I", len(parameter_oids), *parameter_oids)
    values = struct.pack("!h", len(parameters))
    for value in parameters:
        if value is None:
            values += struct.pack("!i", -1)
        else:
            data = value if isinstance(value, bytes) else str(value).encode()
            values += struct.pack("!i", len(data)) + data
    bind = cstring("") + cstring("") + struct.pack("!h", 0) + values + struct.pack("!h", 0)
    return (message(b"P", cstring("") + cstring(sql) + oids) + message(b"B", bind)
            + message(b"D", b"P" + cstring("")) + message(b"E", cstring("") + struct.pack("!i", 0)) + message(b"S"))


def parse_fields(body):
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}


def parse_row_description(body):
    (count,) = struct.unpack_from("!h", body)
    offset = 2
    names, oids, formats = [], [], []
    for _ in range(count):
        end = body.index(b"\0", offset)
        names.append(body[offset:end].decode())
        oid, _size, _modifier, form = struct.unpack_from("!IhiH", body, end + 7)
        oids.append(oid)
        formats.append(form)
        offset = end + 19
    return names, oids, formats


def parse_row(body):
    (count,) = struct.unpack_from("!h", body)
    offset = 2
    row = []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, offset)
        offset += 4
        if length < 0:
            row.append(None)
        else:
            row.append(body[offset:offset + length].decode("utf-8", "surrogateescape"))
            offset += length
    return row
