"""A client that keeps the notifications which it hears (LISTEN). Imported after `target` or `own_node`, which find `wire`."""

import select
import struct
import time

import wire


class Listener(wire.Connection):
    """Keeps the notifications that arrive, and where among the answer's messages they do."""

    def __init__(self, *arguments, **options):
        self.heard = []
        super().__init__(*arguments, **options)

    def receive(self):
        while True:
            self._need(5)
            if self.buffer[self.offset:self.offset + 1] != b"A":
                return super().receive()
            self.hear()

    def wait(self, count, seconds=20):
        """Until so many were heard while nothing was asked."""
        deadline = time.monotonic() + seconds
        while len(self.heard) < count:
            if self.offset == len(self.buffer):
                ready = select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]
                if not ready:
                    raise AssertionError(f"heard only {self.heard}")
            self._need(5)
            assert self.buffer[self.offset:self.offset + 1] == b"A", self.buffer[self.offset:]
            self.hear()
        return self.take()

    def hear(self):
        (length,) = struct.unpack_from("!i", self.buffer, self.offset + 1)
        self._need(length + 1)
        body = self.buffer[self.offset + 5:self.offset + 1 + length]
        self.offset += length + 1
        (sender,) = struct.unpack_from("!i", body)
        channel, payload = body[4:-1].split(b"\0")
        self.heard.append((sender, channel.decode(), payload.decode()))

    def take(self):
        heard, self.heard = self.heard, []
        return heard

    def hears_nothing(self):
        """Not even with the answer to a query, nor after a commit of its own."""
        self.simple("SELECT 1")
        return not self.heard
