"""Processes that help this one: safe to start in a server with threads and connections, deaf to Ctrl-C, gone with who started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from typing import Any


def helper_context(module: str) -> Any:
    """Return a way of starting processes, all of which have ``module`` loaded already; they begin with `behave_as_helper`.

    A terminal sends its Ctrl-C to all of them. One that just began would print a trace, so they are born with it blocked: they
    inherit that from the process that forks them, which is started here.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    # begun by itself it would be begun by the next call, and end by letting Ctrl-C through again
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def behave_as_helper() -> None:
    """Leave Ctrl-C to the process that started this one, and end at once when that process is gone, killed or not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
