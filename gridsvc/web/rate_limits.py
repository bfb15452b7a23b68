"""How much one caller may post: a bucket per caller, shared by all worker processes through memory they inherit.

Why not Flask-Limiter: its only store that needs no further server counts in each process for itself, so that the limit would
depend on which worker a connection meets. What is needed here is one number per caller.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import threading
import time
from collections.abc import Callable

from flask import current_app, request

from gridsvc.errors import TooManyRequestsError
from gridsvc.web.callers import Caller, caller

_SLOTS = 1 << 17
_BYTES = 8
_MINUTE_S = 60.0


class RateLimit:
    """A leaky bucket for each caller, by the generic cell rate algorithm: one instant per caller, until which it is full.

    Made before worker processes are forked, it is one for all of them. Two workers that meet on one caller at the same
    moment may let one item too many pass; nobody waits for a lock that a killed process could take along.

    Parameters
    ----------
    per_minute
        Items a minute in the long run; 0: no limit.
    burst
        Items at once by a caller that was quiet.
    clock
        Seconds of a clock that all processes share.
    """

    def __init__(self, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.burst = per_minute, burst
        self._clock = clock
        self._lock = threading.Lock()
        self._memory = mmap.mmap(-1, _SLOTS * _BYTES)
        self._full_until = memoryview(self._memory).cast("d")

    def spend(self, who: str, items: int) -> float:
        """Take ``items`` from the bucket of ``who`` and return 0.0; or take nothing and return how long to wait. Unit: s."""
        if not self.per_minute:
            return 0.0
        each = _MINUTE_S / self.per_minute
        slot = int.from_bytes(hashlib.blake2b(who.encode(), digest_size=_BYTES).digest()) % _SLOTS
        with self._lock:
            now = self._clock()
            full_until = max(self._full_until[slot], now) + items * each
            wait = full_until - now - self.burst * each
            if wait > 1e-9:
                return wait
            self._full_until[slot] = full_until
        return 0.0


def spend(items: int) -> None:
    """Count items against the caller of the present request.

    Raises
    ------
    TooManyRequestsError
        When they are too many for now; the answer says in Retry-After when they will not be.
    """
    spend_as(current_app.extensions["gridsvc_rate_limit"], caller(), request.remote_addr, items)


def spend_as(limit: RateLimit, who: Caller, address: str | None, items: int) -> None:
    """Count items against a caller at an address, as `spend` does."""
    name = f"address {address}" if who.is_anonymous else f"login {who.login}"
    wait = limit.spend(name, items)
    if wait:
        seconds = math.ceil(wait)
        raise TooManyRequestsError(
            f"More than {limit.per_minute:,} reports and photos a minute came from this caller.",
            hint=f"Wait {seconds} s, as the Retry-After header says, then send the same again.",
            retry_after_s=seconds,
        )
