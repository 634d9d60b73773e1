"""Published rules as streams of alerts beside the release's own risk: at equal burden, and at equal stops told of in time.

A rule flags the moments after sessions at which it holds. As alerts they are quiet for a while after each, or a clinician
would get one a week. The release is given one line on its 30-day risk at the same moments, as quiet: what it is worth while
somebody still comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import pandas as pd

from keepwell.care.course import HOUR
from keepwell.care.endings import DAY
from training.dataset.landmarks import after_sessions
from training.evaluate.metrics import Ints, Vector
from training.evaluate.rules import RULES
from training.fit.line import IN_TIME_HOURS
from training.fit.sample import codes_of

QUIET_DAYS: Final = 21
"""After an alert, for so long none of the same rule; ours, as the refractory time of a policy."""
LINES: Final = 200
"""Lines on a risk that are looked at, at its quantiles."""
LEAST_STOPS: Final = 20
"""Stops below which no figures are told; ours."""


class Streamed(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: alerts per 100 sessions, and the shares of stops told of by 20 hours after the last session attended, and
    before it. `at_burden`: of the release with as many alerts; `at_in_time`: alerts per 100 sessions that the release needs
    to tell of as many in time, None where no line does."""

    rule: str
    per_100_sessions: float
    in_time: float
    before: float
    at_burden: tuple[float, float]
    at_in_time: float | None


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """All rules; `gap` says why there are no figures."""

    sessions: int
    stops: int
    rules: tuple[Streamed, ...] = ()
    gap: str | None = None


class _After:
    """The moments after sessions of a landmark table, in its order."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.rows = np.flatnonzero(after_sessions(frame))
        self.episode = codes_of(frame["episode"])[self.rows]
        self.at = frame["as_of"].astype("int64").to_numpy()[self.rows]
        stops = frame["target_30d"].to_numpy(dtype=np.float64)
        self.stopped = np.unique(codes_of(frame["episode"])[stops == 1])
        last = np.zeros(int(codes_of(frame["episode"]).max(initial=0)) + 1, dtype=np.int64)
        np.maximum.at(last, self.episode, self.at)
        self.last = last[self.episode]

    def told(self, flagged: Ints) -> tuple[float, float, float]:
        """Alerts per 100 sessions, and the shares of stops told of in time and before the last session, by the rows (places
        among these) at which a stream would alert if it were not quiet."""
        kept = []
        episode, until = -1, 0
        for place in flagged.tolist():
            if self.episode[place] != episode:
                episode, until = self.episode[place], 0
            if self.at[place] >= until:
                kept.append(place)
                until = self.at[place] + QUIET_DAYS * DAY
        rows = np.array(kept, dtype=np.int64)
        in_time = rows[self.at[rows] <= self.last[rows] + IN_TIME_HOURS * HOUR]
        before = rows[self.at[rows] < self.last[rows]]
        shares = [float(np.isin(self.stopped, self.episode[some]).mean()) for some in (in_time, before)]
        return 100 * len(rows) / max(len(self.rows), 1), shares[0], shares[1]


def streams(frame: pd.DataFrame, verdicts: Mapping[str, Vector], risk: Vector) -> Streams:
    """The published rules that flag, beside the 30-day `risk` of each row of a landmark table."""
    after = _After(frame)
    sessions, stops = len(after.rows), len(after.stopped)
    if stops < LEAST_STOPS:
        return Streams(sessions=sessions, stops=stops, gap=f"fewer than {LEAST_STOPS} stops")
    here = risk[after.rows]
    lines = np.unique(np.quantile(here, np.linspace(0, 1, LINES)))
    curve = np.array([after.told(np.flatnonzero(here >= line)) for line in lines])
    found = []
    for rule in RULES:
        if rule.ranks:
            continue
        burden, in_time, before = after.told(np.flatnonzero(verdicts[rule.name][after.rows] == 1))
        fitting = curve[curve[:, 0] <= burden]
        enough = curve[curve[:, 1] >= in_time]
        best = fitting[np.argmax(fitting[:, 1])] if len(fitting) else np.zeros(3)
        found.append(
            Streamed(
                rule=rule.name, per_100_sessions=burden, in_time=in_time, before=before,
                at_burden=(float(best[1]), float(best[2])),
                at_in_time=float(enough[:, 0].min()) if len(enough) else None,
            )
        )  # fmt: skip
    return Streams(sessions=sessions, stops=stops, rules=tuple(found))
