"""Processes that help: Ctrl-C does not reach them, from their first instant on, and their parent hears it as before."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import signal

def is_deaf():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

if __name__ == "__mp_main__":
    print("born deaf" if is_deaf() else "born hearing", flush=True)

def work():
    signal.raise_signal(signal.SIGINT)
    print("worked", flush=True)

if __name__ == "__main__":
    # also where a shell runs the tests in the background, which ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from gridsvc.services.helper_processes import helper_context
    helper = helper_context("gridsvc.progress").Process(target=work)
    helper.start()
    helper.join()
    print("ended with", helper.exitcode, flush=True)
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("parent heard", flush=True)
"""


def test_ctrl_c_does_not_reach_a_helper_even_while_it_begins(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)

    assert (run.stdout.splitlines(), run.stderr) == (["born deaf", "worked", "ended with 0", "parent heard"], "")
