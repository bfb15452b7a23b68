"""A TCP proxy that does to connections what bad networks do: drop, delay, cut off, and deliver twice. Seeded.

What happens to a connection is drawn when it is opened. Nothing is invented: every byte that arrives was sent, in its order, so that a fault looks to both
sides as a real one does.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

_BLOCK = 16 * 1024


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of connections that each fault befalls; they are drawn one after another.

    Attributes
    ----------
    refused
        Closed before a byte passes.
    request_cut, answer_cut
        Closed after some bytes of what the client, or the server, sent.
    answer_lost
        The server gets everything, the client no answer: its connection closes.
    doubled
        What the client sent is sent once more to the server, on a connection of its own, when this one is over.
    delayed
        Every block waits, up to ``delay_s``.
    life_bytes
        Every other connection is cut off, too, after so many bytes one way, on average.
    """

    refused: float = 0.04
    request_cut: float = 0.05
    answer_cut: float = 0.05
    answer_lost: float = 0.05
    doubled: float = 0.05
    delayed: float = 0.10
    delay_s: float = 0.2
    life_bytes: int = 30_000


@dataclass(slots=True)
class _Fate:
    kind: str = "worn_out"
    after_bytes: int = 0
    delay_s: float = 0.0


@dataclass
class FaultyProxy:
    """A proxy on a port of its own before a server's; use it with ``with``.

    Attributes
    ----------
    seen
        How many connections each fault befell; "worn_out" are those that lived until they were cut off, or until they were closed.
    """

    to_port: int
    seed: int
    faults: Faults = field(default_factory=Faults)
    seen: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> FaultyProxy:
        self._dice = random.Random(self.seed)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._open: set[socket.socket] = set()
        self._doubling: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            left = list(self._open)
        for connection in left:
            _close(connection)
        for thread in self._doubling:
            thread.join(timeout=10)

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            fate = self._draw()
            threading.Thread(target=self._serve, args=(client, fate), daemon=True).start()

    def _draw(self) -> _Fate:
        with self._lock:
            fate, draw = _Fate(), self._dice.random()
            for kind in ("refused", "request_cut", "answer_cut", "answer_lost", "doubled"):
                share = getattr(self.faults, kind)
                if draw < share:
                    fate.kind = kind
                    break
                draw -= share
            lives = fate.kind in ("worn_out", "doubled")
            fate.after_bytes = (
                round(self._dice.expovariate(1 / self.faults.life_bytes)) if lives else self._dice.randrange(3000)
            )
            if self._dice.random() < self.faults.delayed:
                fate.delay_s = self._dice.random() * self.faults.delay_s
            self.seen[fate.kind] = self.seen.get(fate.kind, 0) + 1
            if fate.delay_s:
                self.seen["delayed"] = self.seen.get("delayed", 0) + 1
            return fate

    def _serve(self, client: socket.socket, fate: _Fate) -> None:
        with self._tracked(client):
            if fate.kind == "refused":
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.to_port), timeout=10)
            except OSError:
                return
            server.settimeout(None)
            sent = bytearray()
            with self._tracked(server):
                up = threading.Thread(target=self._carry, args=(client, server, fate, "request", sent), daemon=True)
                up.start()
                self._carry(server, client, fate, "answer", None)
                up.join()
        if fate.kind == "doubled" and sent and not self._ending.is_set():
            again = threading.Thread(target=self._send_again, args=(bytes(sent),), daemon=True)
            self._doubling.append(again)
            again.start()

    def _tracked(self, connection: socket.socket):
        proxy = self

        class Tracked:
            def __enter__(self) -> None:
                with proxy._lock:
                    proxy._open.add(connection)

            def __exit__(self, *_: object) -> None:
                with proxy._lock:
                    proxy._open.discard(connection)
                _close(connection)

        return Tracked()

    def _carry(
        self, source: socket.socket, sink: socket.socket, fate: _Fate, what: str, kept: bytearray | None
    ) -> None:
        """Carry bytes one way until an end or the fault; closing both ends what flows the other way, too."""
        passed = 0
        try:
            while block := source.recv(_BLOCK):
                if fate.delay_s:
                    time.sleep(fate.delay_s)
                if what == "answer" and fate.kind == "answer_lost":
                    break
                is_cut = fate.kind in (f"{what}_cut", "worn_out", "doubled")
                if is_cut and passed + len(block) > fate.after_bytes:
                    sink.sendall(block[: fate.after_bytes - passed])
                    break
                sink.sendall(block)
                passed += len(block)
                if kept is not None and fate.kind == "doubled":
                    kept += block
        except OSError:
            pass
        for connection in (source, sink):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _send_again(self, sent: bytes) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.to_port), timeout=10) as server:
            server.sendall(sent)
            server.shutdown(socket.SHUT_WR)
            while server.recv(_BLOCK):
                pass


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
