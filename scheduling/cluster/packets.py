"""Queue, Event and Value without a lock, to stand where django-q2 uses multiprocessing's.

A process that is killed while it holds the lock of a multiprocessing queue or event leaves everybody else
waiting for ever (django-q2 issues 23 and 339). Nothing here has a lock to be held.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import queue
import select
import socket
import time
from typing import Any

LARGEST = 64 << 10  # a packet over about 200 kB is refused by the kernel; what is larger goes by a memory file


class PacketQueue:
    """A queue between processes on a pair of packet sockets: each message arrives whole, at one reader.

    A full queue blocks its writer; a writer or reader that dies takes nothing with it but what it had read.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def put(self, item: Any) -> None:
        """Add an item; it is pickled, as both ends are processes of one program."""
        send(self._writer, pickle.dumps(item))

    def put_nowait(self, item: Any) -> bool:
        """Add an item unless the queue is full; gives whether it was added."""
        if not select.select([], [self._writer], [], 0)[1]:
            return False
        self.put(item)
        return True

    def get(self, timeout: float | None = None) -> Any:
        """Take the oldest item; queue.Empty where none came within `timeout` seconds."""
        if not select.select([self._reader], [], [], timeout)[0]:
            raise queue.Empty
        return pickle.loads(receive(self._reader))  # noqa: S301 - written by our own process

    def empty(self) -> bool:
        """Whether nothing waits to be read."""
        return not select.select([self._reader], [], [], 0)[0]

    def qsize(self) -> int:
        """1 where something waits, else 0: the kernel does not count packets."""
        return 0 if self.empty() else 1

    def close(self) -> None:
        """Nothing to do: the sockets end with their processes."""

    def join_thread(self) -> None:
        """Nothing to do: there is no feeder thread."""


class Flag:
    """An Event: one byte of shared memory, which is polled. A higher level of the same event may be set later."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    @property
    def level(self) -> int:
        """0 where it is not set."""
        return self._memory[0]

    def set(self, level: int = 1) -> None:
        """Set it; a level is never lowered."""
        self._memory[0] = max(level, self._memory[0])

    def is_set(self) -> bool:
        """Whether it is set."""
        return self.level > 0

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds; gives whether it is."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (end is None or time.monotonic() < end):
            time.sleep(0.01 if end is None else max(0.0, min(0.01, end - time.monotonic())))
        return self.is_set()


class Cell:
    """A Value of one number, where a torn read does no harm."""

    def __init__(self, kind: str, value: float) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 8)).cast("d")
        self.value = value

    @property
    def value(self) -> float:
        """The number."""
        return float(self._numbers[0])

    @value.setter
    def value(self, value: float) -> None:
        self._numbers[0] = value

    def get_lock(self) -> contextlib.AbstractContextManager[None]:
        """A lock that locks nothing."""
        return contextlib.nullcontext()


def send(to: socket.socket, data: bytes) -> None:
    """Send one message of any size as one packet."""
    if len(data) <= LARGEST:
        to.send(b"." + data)
        return
    file = os.memfd_create("message")
    try:
        with open(file, "wb", closefd=False) as writer:
            writer.write(data)
        socket.send_fds(to, [b"F"], [file])
    finally:
        os.close(file)


def receive(source: socket.socket) -> bytes:
    """The next message; empty where the other end is closed."""
    data, files, _flags, _address = socket.recv_fds(source, LARGEST + 1, 1)
    if not files:
        return data[1:]
    with open(files[0], "rb") as reader:
        reader.seek(0)
        return reader.read()
