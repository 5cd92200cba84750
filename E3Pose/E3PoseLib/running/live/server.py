"""An OpenIGTLink server that keeps the newest image of each device, and survives what clients do.

pyigtl reads and writes the messages. What is added here is about connections: its own server goes on waiting for a
client that has left, and for the rest of a message that never comes.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import pyigtl
from pyigtl.messages import MessageBase

from ...errors import E3PoseError
from ...imaging.formats.contents import MAXIMUM_BYTES

HEADER_VERSIONS = (1, 2, 3)

IMAGE = "IMAGE"
"""The type of message that is looked at."""

MOST_DEVICES = 8
"""Heads are followed in the images of so many devices of one client; then the longest silent is forgotten."""

LOOKS_SECONDS = 0.01
"""How long a socket is waited for before it is seen to what is to be sent."""

STALLED_SECONDS = 5.0
"""After which a message whose rest does not come, or is not taken, is given up, with its client."""

KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPALIVE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds of silence after which a client is asked whether it is there still, between two such questions, and how many
are asked in vain: one that is gone with its network is found out in half a minute. Each system has some of these."""

UNANSWERED_MS = 30000
"""After which what was sent and not received ends a connection; until then nothing is asked. Linux knows this."""

ERRORS = "HeadPoseError"
"""Device name of the text that says what is wrong with a message."""


class ImageServer(pyigtl.OpenIGTLinkServer):
    """Serves one client after the other; further ones wait until the one before has left.

    Parameters
    ----------
    host : str
        Address on which it listens.
    port : int
        0 for any that is free.

    Attributes
    ----------
    n_clients : int
        That have come so far.

    Raises
    ------
    E3PoseError
        If the address cannot be listened on.
    """

    def __init__(self, host: str, port: int) -> None:
        self.n_clients = 0
        self._client: socket.socket | None = None
        self._address = (host, port)
        self._arrived = threading.Event()
        self._one_client = threading.Lock()  # held while messages are matched with the client that is there
        try:
            with _signals_kept():
                super().__init__(port=port, start_now=False)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            is_of_port = isinstance(error, OverflowError) or error.errno in (errno.EADDRINUSE, errno.EACCES)
            way = "choose another port by --port" if is_of_port else "is --host this computer's?"
            raise E3PoseError(f"{host}:{port}: cannot listen there ({reason}); {way}") from error
        self.incoming_messages = Waiting()
        self.RequestHandlerClass = cast(Any, _Client)
        self.port = int(self.server_address[1])
        self._serving = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._serving.start()

    def server_bind(self) -> None:
        """Listen where it was told; pyigtl knows its own computer and, on Linux, names of interfaces alone."""
        # On Windows the option would let two programs have one port.
        self.allow_reuse_address = os.name != "nt"
        self.server_address = self._address
        socketserver.TCPServer.server_bind(self)

    @property
    def n_skipped(self) -> int:
        """Messages to which a newer one of the same device came before they were looked at, or those of too many."""
        return self.incoming_messages.n_skipped

    def newest(self, timeout_seconds: float) -> tuple[int, list[tuple[Any, float]]]:
        """The messages that have come, the newest of each device; waits for one, but no longer than that.

        Returns
        -------
        tuple
            The number of the client that has sent them, from 1, and the messages, each with when it came, in seconds by
            `time.monotonic`.
        """
        if not self._arrived.wait(timeout_seconds):
            return self.n_clients, []
        self._arrived.clear()
        with self._one_client, self.lock_incoming_messages:
            messages = list(self.incoming_messages.values())
            self.incoming_messages.clear()
            return self.n_clients, messages

    def say(self, message: Any, client: int) -> None:
        """Send a message to a client; to none where another one is there by now."""
        with self._one_client:
            if client == self.n_clients:
                self.send_message(message, wait=False)

    def begin_anew(self, connection: socket.socket) -> None:
        """Another client has come: what was from the one before, or is meant for it, goes."""
        with self._one_client, self.lock_incoming_messages, self.lock_outgoing_messages:
            self._client = connection
            self.incoming_messages.clear()
            self.outgoing_messages.clear()
            self.n_clients += 1

    def complain(self, reason: str) -> None:
        """Tell the client what is wrong with what it sent."""
        words = pyigtl.StringMessage(reason.encode("ascii", "replace").decode(), device_name=ERRORS)
        self.say(words, self.n_clients)

    def take(self, header: dict[str, Any], connection: socket.socket) -> None:
        """Receive a message whose header has come.

        Raises
        ------
        OSError
            If the client leaves, or stalls.
        ValueError, LookupError, NotImplementedError, struct.error
            If its content is not what its type says.
        """
        if self._receive_message_from_socket(connection):
            self._arrived.set()
        elif MessageBase.create_message(header["message_type"]) is None:
            self.complain(f"{header['message_type']} messages are not understood; send IMAGE")

    def close(self) -> None:
        """Stop serving and free the port."""
        self.communication_thread_stop_requested = True
        if self._client is not None:
            with suppress(OSError):  # it has left; else it may be in the middle of a message for as long as it likes
                self._client.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        self.server_close()
        self._serving.join(timeout=STALLED_SECONDS)


class Waiting(dict):
    """What has come and was not looked at yet: of each device the newest image, the newest other message, and when it
    came (`time.monotonic`).

    Of images, and of others, that of the longest silent device goes where there are more than `MOST_DEVICES`.

    Attributes
    ----------
    n_skipped : int
        Messages that have gone before they were looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_skipped = 0

    def __setitem__(self, device: str, message: Any) -> None:
        is_image = message.message_type == IMAGE
        self.n_skipped += self.pop((is_image, device), None) is not None
        super().__setitem__((is_image, device), (message, time.monotonic()))
        alike = [key for key in self if key[0] == is_image]
        if len(alike) > MOST_DEVICES:
            del self[alike[0]]
            self.n_skipped += 1


class _Client(socketserver.BaseRequestHandler):
    """One client, as long as it is there."""

    server: ImageServer

    def handle(self) -> None:
        server = self.server
        self.request.settimeout(LOOKS_SECONDS)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in {**KEEPALIVE, "TCP_USER_TIMEOUT": UNANSWERED_MS}.items():
            with suppress(OSError):  # known by name and refused
                if hasattr(socket, option):
                    self.request.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        server.begin_anew(self.request)
        server._connected = True
        try:
            while not server.communication_thread_stop_requested and self._exchange():
                pass
        except OSError:
            pass  # it has left, or stalls
        except Exception as error:
            # What comes next cannot be told from the rest of this message.
            server.complain(f"a message could not be read ({type(error).__name__}: {error}); the connection is closed")
            with suppress(OSError):
                self._send()
        finally:
            server._connected = False

    def _exchange(self) -> bool:
        """Receive a message where one has come, and send what is to be sent; False once the client has left.

        Raises
        ------
        OSError
            If it leaves in between, or stalls within a message.
        ValueError
            If it sends something else than OpenIGTLink, or stalls within a header.
        """
        raw = self._header()
        if raw is None:
            return False
        if raw:
            header = MessageBase.parse_header(raw)
            if header["header_version"] not in HEADER_VERSIONS:
                raise ValueError("this is no OpenIGTLink message")
            if header["body_size"] > MAXIMUM_BYTES:
                raise ValueError(f"a message of {header['body_size']} bytes; at most {MAXIMUM_BYTES} are read")
            self.server.take(header, self.request)
        self._send()
        return True

    def _header(self) -> bytes | None:
        """The header of the next message, which stays to be read; nothing where none has come, None once it has left.

        Raises
        ------
        ValueError
            If only part of one comes.
        """
        began = time.monotonic()
        while True:
            try:
                raw = self.request.recv(MessageBase.IGTL_HEADER_SIZE, socket.MSG_PEEK)
            except TimeoutError:
                return b""
            if not raw:
                return None
            if len(raw) == MessageBase.IGTL_HEADER_SIZE:
                return bytes(raw)
            if time.monotonic() - began > STALLED_SECONDS or self.server.communication_thread_stop_requested:
                raise ValueError("the rest of a header did not come")
            time.sleep(0.01)

    def _send(self) -> None:
        self.request.settimeout(STALLED_SECONDS)  # of a client that is slow to read
        try:
            while self.server._send_queued_message_from_socket(self.request):
                pass
        finally:
            self.request.settimeout(LOOKS_SECONDS)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """pyigtl puts handlers of its own in place of those by which a command ends as a whole."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
