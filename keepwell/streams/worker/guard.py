"""Limits on refusals: a broken feed stops the worker before it drains into the dead letters."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from keepwell.streams.log import LogError


class Limits(NamedTuple):
    """At most `run` refusals in a row, and at most `share` refused of the last `window` records received.

    The defaults let any plausible mixture of bad records pass and stop where nearly nothing is readable any more, as after
    a sender's faulty release. They are judgement, not measurement.
    """

    run: int = 5000
    share: float = 0.9
    window: int = 10_000


class BrokenFeed(LogError):
    """Nearly everything received is refused. Nothing of the batch that crossed the limit was committed."""


class Guard:
    """Watches the refusals of one worker. `check` before the commit, `count` after it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._run = 0
        self._batches: deque[tuple[int, int]] = deque()
        self._received = 0
        self._refused = 0

    def check(self, received: int, refused: int) -> None:
        """Raises `BrokenFeed` where this batch would cross a limit. Changes nothing."""
        run = self._run_after(received, refused)
        if run > self._limits.run:
            raise BrokenFeed(f"{run} records in a row were refused (limit {self._limits.run}). {_ADVICE}")
        seen, bad = self._received + received, self._refused + refused
        if seen >= self._limits.window and bad > self._limits.share * seen:
            raise BrokenFeed(
                f"{bad} of the last {seen} records were refused (limit {self._limits.share:.0%}). {_ADVICE}"
            )

    def count(self, received: int, refused: int) -> None:
        """Takes a committed batch into account."""
        self._run = self._run_after(received, refused)
        self._batches.append((received, refused))
        self._received += received
        self._refused += refused
        while self._received - self._batches[0][0] >= self._limits.window:
            old_received, old_refused = self._batches.popleft()
            self._received -= old_received
            self._refused -= old_refused

    def _run_after(self, received: int, refused: int) -> int:
        # Batches do not tell the order within them: one accepted record ends the run.
        return self._run + refused if refused == received else 0


_ADVICE = (
    "The feed looks broken, so this batch was not committed. Look at the newest reasons with `keepwell dead-letters list`, "
    "mend the sender, then start again; to let the records become dead letters all the same, raise "
    "KEEPWELL_REFUSAL_RUN and KEEPWELL_REFUSAL_SHARE."
)
