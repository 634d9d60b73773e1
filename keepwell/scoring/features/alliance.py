"""Features of the working alliance: ratings against the person's own course, and ruptures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keepwell.care.alliance import Rupture
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.words import ALLIANCE_PILLARS, Theme
from keepwell.scoring.features.feature import (
    Feature,
    Read,
    Value,
    Words,
    about,
    ago,
    counted,
    number,
    of,
    recent,
    says,
    share,
    since,
)
from keepwell.scoring.features.in_scale import lowest_pillar, rated


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


def _since_first(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return None if series is None or series.previous is None else series.last - series.given.first

    return read


def _from_mean(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return None if series is None or series.previous is None else series.last - series.given.usual

    return read


def _since_lowest(c: Course, now: int) -> Value:
    series = c.alliance.of("total")
    return None if series is None or series.previous is None else series.last - series.lowest_before


def _lowest_ever(c: Course, now: int) -> Value:
    series = c.alliance.of("total")
    return series.lowest if series else None


def _spread(c: Course, now: int) -> Value:
    series = c.alliance.of("total")
    return None if series is None or series.given.count < 3 else series.given.deviation


def _rated_share(c: Course, now: int) -> Value:
    rated = share(c.ratings, c.sessions)
    return None if rated is None else min(rated, 1.0)


def _since_repair(c: Course, now: int) -> Value:
    mended = c.alliance.mended
    return None if mended is None or not mended.since.count else mended.since.mean - mended.before


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


def _repaired_words(v: float) -> str:
    if v in (0.0, 1.0):
        return "Earlier strains were repaired" if v else "No earlier strain was repaired"
    return f"{about(v).capitalize()} of the earlier strains were repaired"


def _repair_recent(how: str) -> Read:
    return lambda c, now: float(c.alliance.repair_told == how and recent(c.alliance.repair_told_at, now))


def _unrepaired(c: Course, now: int) -> Value:
    return float(sum(r.closed_at is not None and not r.repaired for r in c.alliance.ruptures))


SAME: Final = 0.05
"""Points (of 10) that are told as none."""
_ORDINAL: Final = {"goals": "Agreement on goals", "tasks": "Agreement on tasks", "bond": "Bond"}


def _fall_words(scale: str) -> Words:
    name = _ORDINAL.get(scale, "Alliance")
    return lambda v: (
        f"{name} rating is {number(abs(v))} of 10 points {'below' if v > 0 else 'above'} what was usual for this person"
    )


def _change_words(scale: str) -> Words:
    name = _ORDINAL.get(scale, "Alliance")
    return lambda v: f"{name} rating {'fell' if v < 0 else 'rose'} {number(abs(v))} of 10 points since the last rating"


def _beside_words(scale: str, than: str) -> Words:
    name = _ORDINAL.get(scale, "Alliance")

    def words(v: float) -> str:
        if abs(v) < SAME:
            return f"{name} rated the same as {than}"
        return f"{name} rated {number(abs(v))} of 10 points {'lower' if v < 0 else 'higher'} than {than}"

    return words


def _since_repair_words(v: float) -> str:
    if abs(v) < SAME:
        return "Ratings since the last repair are what they were before the strain"
    way = "lower" if v < 0 else "higher"
    return f"Ratings since the last repair are {number(abs(v))} of 10 points {way} than before the strain"


def _each(name: str, read: Callable[[str], Read], than: str) -> tuple[Feature, ...]:
    """A comparison of the last rating with earlier ones, for the whole alliance and for each of its pillars."""
    pillars: tuple[Theme, ...] = ("alliance", *ALLIANCE_PILLARS)
    scales = ("total", *ALLIANCE_PILLARS)
    return tuple(
        Feature(
            f"{pillar}_{name}",
            pillar,
            "points of 10",
            read(scale),
            _beside_words(scale, than),
            _TWO,
            "alliance",
            rated(scale),
        )
        for pillar, scale in zip(pillars, scales, strict=True)
    )


_NO_RATING = "No alliance rating yet"
_TWO: Final = "Fewer than two ratings"

ALLIANCE: Final[Sequence[Feature]] = (
    Feature("alliance_level", "alliance", "points of 10", _level("total"),
            lambda v: f"Alliance rated {number(v)} of 10", _NO_RATING, "alliance", rated("total")),
    Feature("goals_level", "goals", "points of 10", _level("goals"),
            lambda v: f"Agreement on goals rated {number(v)} of 10", _NO_RATING, "alliance", rated("goals")),
    Feature("tasks_level", "tasks", "points of 10", _level("tasks"),
            lambda v: f"Agreement on tasks rated {number(v)} of 10", _NO_RATING, "alliance", rated("tasks")),
    Feature("bond_level", "bond", "points of 10", _level("bond"),
            lambda v: f"Bond rated {number(v)} of 10", _NO_RATING, "alliance", rated("bond")),
    Feature("alliance_drop", "alliance", "points of 10", _fall("total"), _fall_words("total"), _NO_RATING, "alliance",
            rated("total")),
    Feature("goals_drop", "goals", "points of 10", _fall("goals"), _fall_words("goals"), _NO_RATING, "alliance",
            rated("goals")),
    Feature("tasks_drop", "tasks", "points of 10", _fall("tasks"), _fall_words("tasks"), _NO_RATING, "alliance",
            rated("tasks")),
    Feature("bond_drop", "bond", "points of 10", _fall("bond"), _fall_words("bond"), _NO_RATING, "alliance",
            rated("bond")),
    Feature("alliance_change", "alliance", "points of 10", _change("total"), _change_words("total"),
            "Fewer than two alliance ratings", "alliance", rated("total")),
    Feature("bond_change", "bond", "points of 10", _change("bond"), _change_words("bond"),
            "Fewer than two ratings of the bond", "alliance", rated("bond")),
    *_each("since_first", _since_first, "the first time"),
    *_each("from_mean", _from_mean, "on average before"),
    Feature("alliance_since_lowest", "alliance", "points of 10", _since_lowest,
            _beside_words("total", "at its lowest before"), _TWO, "alliance", rated("total")),
    Feature("alliance_lowest_level", "alliance", "points of 10", _lowest_ever,
            lambda v: f"The lowest alliance rating so far was {number(v)} of 10", _NO_RATING, "alliance"),
    Feature("alliance_spread", "alliance", "points of 10", _spread,
            lambda v: f"Alliance ratings vary by about {number(v)} of 10 points" if v >= SAME
            else "Alliance ratings hardly vary", "Fewer than three ratings", "alliance"),
    Feature("alliance_ratings", "alliance", "ratings", lambda c, now: float(c.ratings),
            lambda v: f"{counted(v, 'alliance rating', 'alliance ratings')} so far", "", "alliance"),
    Feature("alliance_rated_share", "silence", "share", _rated_share,
            lambda v: f"The alliance was rated in {v:.0%} of the sessions", "Fewer than two sessions", "alliance",
            lambda c: f"The alliance was rated in {of(min(c.ratings, c.sessions), c.sessions, 'sessions')}"),
    Feature("steepest_fall", "alliance", "standard errors", _standard_fall,
            lambda v: f"The lowest alliance rating is {'far below' if v >= 2 else 'below' if v > 0 else 'not below'} "
            "what was to be expected of this person", _NO_RATING, "alliance"),
    Feature("lowest_pillar_level", "alliance", "points of 10", _lowest,
            lambda v: f"The lowest of goals, tasks and bond was rated {number(v)} of 10",
            "No rating of goals, tasks and bond", "alliance", lowest_pillar),
    Feature("below_cutoff", "alliance", "0/1",
            lambda c, now: None if c.alliance.instrument is None else float(c.alliance.below_cutoff),
            says("The last alliance rating lies below the published cut-off",
                  "The last alliance rating lies below no published cut-off"), _NO_RATING, "alliance"),
    Feature("rupture_open", "alliance", "0/1", _open(lambda r: True),
            says("A strain between the two is open", "No strain between the two is open"), "", "rupture"),
    Feature("rupture_withdrawal", "alliance", "0/1", _open(lambda r: r.kind == "withdrawal"),
            says("A strain is open in which the client draws back", "No strain is open in which the client draws back"),
            "", "rupture"),
    Feature("rupture_confrontation", "alliance", "0/1", _open(lambda r: r.kind == "confrontation"),
            says("A strain is open in which the client says what is wrong",
                  "No strain is open in which the client says what is wrong"), "", "rupture"),
    Feature("rupture_reported", "alliance", "0/1", _open(lambda r: r.evidence == "reported"),
            says("A strain was reported and is open", "No reported strain is open"), "", "rupture"),
    Feature("rupture_age", "alliance", "days", _rupture_age,
            lambda v: f"A strain came up {ago(v)} and is open", "No strain is open", "rupture"),
    Feature("ruptures", "alliance", "ruptures", lambda c, now: float(len(c.alliance.ruptures)),
            lambda v: f"{counted(v, 'strain', 'strains')} between the two so far", "", "rupture"),
    Feature("ruptures_repaired", "alliance", "share", _repaired,
            _repaired_words, "No strain has passed yet", "rupture"),
    Feature("ruptures_unrepaired", "alliance", "ruptures", _unrepaired,
            lambda v: f"{counted(v, 'strain', 'strains')} passed without repair", "", "rupture"),
    Feature("last_repair", "alliance", "-1/0/1",
            lambda c, now: {"better": 1.0, "same": 0.0, "worse": -1.0}.get(c.alliance.last_repair or ""),
            lambda v: f"After the last attempt at repair things were {('worse', 'the same', 'better')[round(v) + 1]}",
            "No attempt at repair with a known outcome", "rupture"),
    Feature("repair_better_recent", "alliance", "0/1", _repair_recent("better"),
            says("Things were better after an attempt at repair in the last two months",
                  "No recent attempt at repair made things better"), "", "rupture"),
    Feature("repair_worse_recent", "alliance", "0/1", _repair_recent("worse"),
            says("Things were worse after an attempt at repair in the last two months",
                  "No recent attempt at repair made things worse"), "", "rupture"),
    Feature("rupture_repaired_recent", "alliance", "0/1", lambda c, now: float(recent(c.alliance.repaired_at, now)),
            says("A strain was repaired in the last two months", "No strain was repaired in the last two months"), "",
            "rupture"),
    Feature("alliance_since_repair", "alliance", "points of 10", _since_repair, _since_repair_words,
            "No rating since a strain was repaired", "alliance"),
    Feature("perfect_run", "alliance", "ratings", lambda c, now: float(c.alliance.perfect_run),
            lambda v: f"{counted(v, 'perfect alliance rating', 'perfect alliance ratings')} in a row" if round(v)
            else "The last rating was not a perfect one, or there was none", "", "alliance"),
    Feature("sessions_since_alliance", "silence", "sessions", lambda c, now: float(c.since_alliance),
            lambda v: f"{counted(v, 'session', 'sessions')} since the alliance was last rated", "", "alliance"),
    Feature("days_since_alliance", "silence", "days", lambda c, now: since(c.alliance_at, now),
            lambda v: f"The alliance was last rated {ago(v)}", _NO_RATING, "alliance"),
)  # fmt: skip
