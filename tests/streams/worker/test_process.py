"""What a process needs around the loop, tried in processes of their own."""

import gc
import subprocess
import sys

import pytest

from keepwell.streams.worker.process import RARE, rare_collections


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_loop_that_hangs_ends_the_process_with_the_stacks_of_all_threads() -> None:
    ended = run(
        "import threading\n"
        "from keepwell.streams.worker.process import Watchdog\n"
        "def hangs(): threading.Event().wait()\n"
        "with Watchdog(lambda: 1.0, limit=0.1): hangs()\n"
    )
    assert ended.returncode == 70
    assert "in hangs" in ended.stderr
    assert "no beat of the loop for 0.1 s" in ended.stderr


def test_a_loop_that_beats_is_left_alone_and_the_watchdog_ends_with_it() -> None:
    ended = run(
        "import threading, time\n"
        "from keepwell.streams.worker.process import Watchdog\n"
        "seen = []\n"
        "with Watchdog(lambda: len(seen.append(1) or '') or 0.0, limit=0.1):\n"
        "    while len(seen) < 3: time.sleep(0.01)\n"
        "assert 'watchdog' not in {thread.name for thread in threading.enumerate()}\n"
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_first_signal_asks_and_the_second_ends() -> None:
    ended = run(
        "import os, signal\n"
        "from keepwell.streams.worker.process import stop_on_signals\n"
        "stop = stop_on_signals()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert stop.wait(10)\n"
        "print('asked', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "signal.pause()\n"
    )
    assert (ended.stdout, ended.returncode) == ("asked\n", -15)


def test_what_is_alive_at_the_start_is_kept_out_of_collections() -> None:
    ended = run(
        "import gc\n"
        "from keepwell.streams.worker.process import tune_gc\n"
        "tune_gc()\n"
        "assert gc.get_freeze_count() > 1000 and gc.get_threshold()[0] >= 10_000\n"
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("before", [(700, 10, 10), RARE])
def test_collections_are_rare_meanwhile_and_as_before_afterwards(before: tuple[int, int, int]) -> None:
    others = gc.get_threshold()
    gc.set_threshold(*before)
    try:
        with pytest.raises(OSError, match="full"), rare_collections():
            assert gc.get_threshold() == RARE
            raise OSError("full")
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*others)
