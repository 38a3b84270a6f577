"""Lets all processes of a cluster share what is loaded, right before the first is forked.

What one of them writes to it has as a copy, a page at a time. So is decided what is written: not by the garbage
collector, and not by what a process allocates.
"""

from __future__ import annotations

import ctypes
import gc

LARGEST = 1 << 16  # bytes of a hole that is filled at once
SMALLEST = 24  # the least that malloc() gives
SMALLER = 0.9  # of the size before


class _Info(ctypes.Structure):
    """What mallinfo2() gives (glibc 2.33 and later); how much lies free in all, and of it at the heap's end."""

    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


_libc = ctypes.CDLL(None)
_libc.malloc.restype = _libc.sbrk.restype = ctypes.c_void_p
_libc.malloc.argtypes, _libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
TELLS = hasattr(_libc, "mallinfo2")
"""Whether the C library tells what is free."""
if TELLS:
    _libc.mallinfo2.restype = _Info


def share_memory() -> None:
    """Let what is loaded be shared by all processes that are forked from now on.

    Frozen objects are left alone by the garbage collector, which writes to each that it looks at: 25 MB a process at
    its first full collection without, 0.1 MB with it. Holes between what is loaded would be where each process puts
    what it allocates: 10 MB of a cluster of two workers.
    """
    gc.collect()
    _fill_holes()
    gc.freeze()


def _fill_holes() -> None:
    """Take what lies free between what malloc() has given, for good, the largest first: new things go to new pages."""
    if not TELLS:
        return
    end, size = _libc.sbrk(0) - _libc.mallinfo2().keepcost, LARGEST  # behind the end nothing has been given yet
    while size >= SMALLEST:
        taken = _libc.malloc(size)
        if taken >= end:  # there is no hole of that size left
            _libc.free(taken)
            size = int(size * SMALLER)
