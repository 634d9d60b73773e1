"""Published rules as alerts: quiet after each, judged by the stops that they tell of in time, beside one line on a risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keepwell.care.endings import DAY
from training.evaluate.rules import MISSED_TWICE, RULES, SRS_FALL
from training.evaluate.streams import LEAST_STOPS, QUIET_DAYS, streams
from training.fit.sample import Ints

EPISODES = 2 * LEAST_STOPS
SESSIONS = 6


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Weekly sessions of episodes of which the even ones stop after the last."""
    rows = [
        (f"e-{n:03d}", number, (7 * number + 1) * DAY) for n in range(EPISODES) for number in range(1, SESSIONS + 1)
    ]
    table = pd.DataFrame(rows, columns=["episode", "session", "as_of"])
    table["episode"] = table["episode"].astype("category")
    table["as_of"] = pd.to_datetime(table["as_of"], unit="us", utc=True)
    table["kind"] = "session"
    even = table["episode"].cat.codes % 2 == 0
    table["target_30d"] = np.where(even & (table["session"] >= SESSIONS - 3), 1.0, 0.0)
    return table


def flags(frame: pd.DataFrame, sessions: list[int], who: int) -> np.ndarray:
    return ((frame["episode"].cat.codes % 2 == who) & frame["session"].isin(sessions)).to_numpy(dtype=np.float64)


def verdicts(frame: pd.DataFrame, flag: np.ndarray) -> dict[str, np.ndarray]:
    return {rule.name: flag if rule == SRS_FALL else np.zeros(len(frame)) for rule in RULES}


def test_a_rule_is_quiet_after_an_alert_and_judged_by_the_stops_it_tells_of(frame: pd.DataFrame) -> None:
    every_week = flags(frame, [1, 2, 3, 4, 5, 6], 0)
    found = streams(frame, verdicts(frame, every_week), every_week)
    told = {one.rule: one for one in found.rules}
    assert (found.sessions, found.stops) == (EPISODES * SESSIONS, EPISODES // 2)
    alerts = 2 * EPISODES / 2  # at the first session and the fourth, when QUIET_DAYS have passed
    assert QUIET_DAYS == 21
    assert told[SRS_FALL.name].per_100_sessions == pytest.approx(100 * alerts / found.sessions)
    assert (told[SRS_FALL.name].in_time, told[SRS_FALL.name].before) == (1.0, 1.0)
    assert (told[MISSED_TWICE.name].per_100_sessions, told[MISSED_TWICE.name].in_time) == (0.0, 0.0)


def test_what_is_told_at_the_last_session_is_in_time_and_not_before_it(frame: pd.DataFrame) -> None:
    at_the_end = flags(frame, [6], 0)
    [one] = [one for one in streams(frame, verdicts(frame, at_the_end), at_the_end).rules if one.rule == SRS_FALL.name]
    assert (one.in_time, one.before) == (1.0, 0.0)


def test_the_release_is_compared_at_as_many_alerts_and_at_as_many_stops(frame: pd.DataFrame) -> None:
    both = flags(frame, [3], 0) + flags(frame, [3], 1)  # flags whoever it is
    [one] = [
        one for one in streams(frame, verdicts(frame, both), flags(frame, [3], 0)).rules if one.rule == SRS_FALL.name
    ]
    assert one.in_time == one.at_burden[0] == 1.0
    assert one.at_in_time == pytest.approx(one.per_100_sessions / 2)


def test_few_stops_give_no_figures(frame: pd.DataFrame) -> None:
    few = frame[frame["episode"].cat.codes < LEAST_STOPS].reset_index(drop=True)
    none: Ints = np.zeros(len(few), dtype=np.int64)
    found = streams(few, verdicts(few, none.astype(np.float64)), none.astype(np.float64))
    assert found.gap is not None and found.rules == ()
