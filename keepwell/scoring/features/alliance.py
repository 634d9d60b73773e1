"""Features of the working alliance: ratings against the person's own course, and ruptures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keepwell.care.alliance import Rupture
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.words import ALLIANCE_PILLARS
from keepwell.scoring.features.feature import Feature, Read, Value, Words, counted, says


def _level(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return series.last if series else None

    return read


def _fall(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return series.fall if series else None

    return read


def _change(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return None if series is None or series.previous is None else series.last - series.previous

    return read


def _standard_fall(c: Course, now: int) -> Value:
    found = [s.standard for scale in ("total", *ALLIANCE_PILLARS) if (s := c.alliance.of(scale)) is not None]
    return max(found) if found else None


def _lowest(c: Course, now: int) -> Value:
    series = c.alliance.of(c.alliance.lowest) if c.alliance.lowest else None
    return series.last if series else None


def _open(test: Callable[[Rupture], bool]) -> Read:
    def read(c: Course, now: int) -> Value:
        rupture = c.alliance.open
        return float(rupture is not None and test(rupture))

    return read


def _rupture_age(c: Course, now: int) -> Value:
    rupture = c.alliance.open
    return None if rupture is None else (now - rupture.opened_at) / DAY


def _repaired(c: Course, now: int) -> Value:
    closed = [rupture.repaired for rupture in c.alliance.ruptures if rupture.closed_at is not None]
    return sum(closed) / len(closed) if closed else None


def _unrepaired(c: Course, now: int) -> Value:
    return float(sum(r.closed_at is not None and not r.repaired for r in c.alliance.ruptures))


_ORDINAL: Final = {"goals": "Agreement on goals", "tasks": "Agreement on tasks", "bond": "Bond"}


def _fall_words(scale: str) -> Words:
    name = _ORDINAL.get(scale, "Alliance")
    return lambda v: (
        f"{name} rating is {abs(v):.1f} of 10 points {'below' if v > 0 else 'above'} what was usual for this person"
    )


def _change_words(scale: str) -> Words:
    name = _ORDINAL.get(scale, "Alliance")
    return lambda v: f"{name} rating {'fell' if v < 0 else 'rose'} {abs(v):.1f} of 10 points since the last rating"


_NO_RATING = "No alliance rating yet"

ALLIANCE: Final[Sequence[Feature]] = (
    Feature("alliance_level", "alliance", "points of 10", _level("total"),
            lambda v: f"Alliance rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("goals_level", "goals", "points of 10", _level("goals"),
            lambda v: f"Agreement on goals rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("tasks_level", "tasks", "points of 10", _level("tasks"),
            lambda v: f"Agreement on tasks rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("bond_level", "bond", "points of 10", _level("bond"),
            lambda v: f"Bond rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("alliance_drop", "alliance", "points of 10", _fall("total"), _fall_words("total"), _NO_RATING, "alliance"),
    Feature("goals_drop", "goals", "points of 10", _fall("goals"), _fall_words("goals"), _NO_RATING, "alliance"),
    Feature("tasks_drop", "tasks", "points of 10", _fall("tasks"), _fall_words("tasks"), _NO_RATING, "alliance"),
    Feature("bond_drop", "bond", "points of 10", _fall("bond"), _fall_words("bond"), _NO_RATING, "alliance"),
    Feature("alliance_change", "alliance", "points of 10", _change("total"), _change_words("total"),
            "Fewer than two alliance ratings", "alliance"),
    Feature("bond_change", "bond", "points of 10", _change("bond"), _change_words("bond"),
            "Fewer than two ratings of the bond", "alliance"),
    Feature("steepest_fall", "alliance", "standard errors", _standard_fall,
            lambda v: f"The lowest alliance rating is {'far below' if v >= 2 else 'below' if v > 0 else 'not below'} "
            "what was to be expected of this person", _NO_RATING, "alliance"),
    Feature("lowest_pillar_level", "alliance", "points of 10", _lowest,
            lambda v: f"The lowest of goals, tasks and bond was rated {v:.1f} of 10",
            "No rating of goals, tasks and bond", "alliance"),
    Feature("below_cutoff", "alliance", "0/1",
            lambda c, now: None if c.alliance.instrument is None else float(c.alliance.below_cutoff),
            says("The last alliance rating lies below the published cut-off",
                  "The last alliance rating lies below no published cut-off"), _NO_RATING, "alliance"),
    Feature("rupture_open", "alliance", "0/1", _open(lambda r: True),
            says("A rupture of the alliance is open", "No rupture of the alliance is open"), "", "rupture"),
    Feature("rupture_withdrawal", "alliance", "0/1", _open(lambda r: r.kind == "withdrawal"),
            says("A withdrawal rupture is open", "No withdrawal rupture is open"), "", "rupture"),
    Feature("rupture_confrontation", "alliance", "0/1", _open(lambda r: r.kind == "confrontation"),
            says("A confrontation rupture is open", "No confrontation rupture is open"), "", "rupture"),
    Feature("rupture_reported", "alliance", "0/1", _open(lambda r: r.evidence == "reported"),
            says("A rupture was reported and is open", "No reported rupture is open"), "", "rupture"),
    Feature("rupture_age", "alliance", "days", _rupture_age,
            lambda v: f"A rupture has been open for {counted(v, 'day', 'days')}", "No rupture is open", "rupture"),
    Feature("ruptures", "alliance", "ruptures", lambda c, now: float(len(c.alliance.ruptures)),
            lambda v: f"{counted(v, 'rupture', 'ruptures')} so far", "", "rupture"),
    Feature("ruptures_repaired", "alliance", "share", _repaired,
            lambda v: f"{v:.0%} of earlier ruptures were repaired", "No rupture has closed yet", "rupture"),
    Feature("ruptures_unrepaired", "alliance", "ruptures", _unrepaired,
            lambda v: f"{counted(v, 'rupture', 'ruptures')} passed without repair", "", "rupture"),
    Feature("last_repair", "alliance", "-1/0/1",
            lambda c, now: {"better": 1.0, "same": 0.0, "worse": -1.0}.get(c.alliance.last_repair or ""),
            lambda v: f"After the last attempt at repair things were {('worse', 'the same', 'better')[round(v) + 1]}",
            "No attempt at repair with a known outcome", "rupture"),
    Feature("perfect_run", "alliance", "ratings", lambda c, now: float(c.alliance.perfect_run),
            lambda v: f"{counted(v, 'perfect alliance rating', 'perfect alliance ratings')} in a row", "", "alliance"),
    Feature("sessions_since_alliance", "silence", "sessions", lambda c, now: float(c.since_alliance),
            lambda v: f"{counted(v, 'session', 'sessions')} since the alliance was last rated", "", "alliance"),
)  # fmt: skip
