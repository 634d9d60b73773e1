"""Features of the working alliance: ratings against the person's own course, and ruptures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keepwell.care.alliance import Rupture
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.say import Said, counted, said
from keepwell.contract.words import ALLIANCE_PILLARS, Theme
from keepwell.scoring.features.feature import (
    Feature,
    Read,
    Value,
    Words,
    ago,
    mostly,
    of,
    recent,
    says,
    share,
    since,
    than,
)
from keepwell.scoring.features.in_scale import AS_USUAL, lowest_pillar, lowest_rating, rating


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


def _repaired_in_counts(c: Course) -> Said:
    closed = [rupture.repaired for rupture in c.alliance.ruptures if rupture.closed_at is not None]
    if len(closed) == 1:
        return said("The strain before was repaired") if closed[0] else said("The strain before passed without repair")
    return of(
        sum(closed), len(closed), said("{part} of {whole} earlier strains repaired"),
        said("None of {whole} earlier strains repaired"),
    )  # fmt: skip


def _repair_recent(how: str) -> Read:
    return lambda c, now: float(c.alliance.repair_told == how and recent(c.alliance.repair_told_at, now))


def _unrepaired(c: Course, now: int) -> Value:
    return float(sum(r.closed_at is not None and not r.repaired for r in c.alliance.ruptures))


def _rated_words(scale: str) -> Words:
    """Where the instrument is not known; otherwise a rating is told in its own scale."""
    return lambda v: said("{rated} {rating} on a scale of 0 to 10", rated=_RATED[scale], rating=float(v))


def _usual_words(scale: str) -> Words:
    return lambda v: than(
        v, AS_USUAL, said("{rated} lower than usual for this person", rated=_RATED[scale]),
        said("{rated} about as usual for this person", rated=_RATED[scale]),
        said("{rated} higher than usual for this person", rated=_RATED[scale]),
    )  # fmt: skip


def _fall_words(scale: str) -> Words:
    return lambda v: _usual_words(scale)(-v)


def _change_words(scale: str) -> Words:
    return lambda v: than(
        v, AS_USUAL, said("{rated} lower than the time before", rated=_RATED[scale]),
        said("{rated} about the same as the time before", rated=_RATED[scale]),
        said("{rated} higher than the time before", rated=_RATED[scale]),
    )  # fmt: skip


def _since_first_words(scale: str) -> Words:
    return lambda v: than(
        v, AS_USUAL, said("{rated} lower than the first time", rated=_RATED[scale]),
        said("{rated} about the same as the first time", rated=_RATED[scale]),
        said("{rated} higher than the first time", rated=_RATED[scale]),
    )  # fmt: skip


def _since_lowest_words(v: float) -> Said:
    return than(
        v, AS_USUAL, said("{rated} lower than ever before", rated=_RATED["total"]),
        said("{rated} about the same as at its lowest before", rated=_RATED["total"]),
        said("{rated} higher than at its lowest before", rated=_RATED["total"]),
    )  # fmt: skip


def _since_repair_words(v: float) -> Said:
    return than(
        v, AS_USUAL, said("Ratings since the last repair are lower than before the strain"),
        said("Ratings since the last repair are about what they were before the strain"),
        said("Ratings since the last repair are higher than before the strain"),
    )  # fmt: skip


def _steepest_words(v: float) -> Said:
    if v >= 2:
        return said("One of the last alliance ratings is far below what is usual for this person")
    if v >= 1:
        return said("One of the last alliance ratings is below what is usual for this person")
    return said("None of the last alliance ratings is below what is usual for this person")


def _last_repair_words(v: float) -> Said:
    if v == 0:
        return said("After the last attempt at repair things were the same")
    if v > 0:
        return said("After the last attempt at repair things were better")
    return said("After the last attempt at repair things were worse")


def _each(name: str, read: Callable[[str], Read], words: Callable[[str], Words]) -> tuple[Feature, ...]:
    """A comparison of the last rating with earlier ones, for the whole alliance and for each of its pillars."""
    pillars: tuple[Theme, ...] = ("alliance", *ALLIANCE_PILLARS)
    scales = ("total", *ALLIANCE_PILLARS)
    return tuple(
        Feature(f"{pillar}_{name}", pillar, "points of 10", read(scale), words(scale), _TWO, "alliance", rating(scale))
        for pillar, scale in zip(pillars, scales, strict=True)
    )


_RATED: Final = {
    "total": said("the alliance was rated"), "goals": said("agreement on the goals was rated"),
    "tasks": said("agreement on the way of working was rated"), "bond": said("the bond was rated"),
}  # fmt: skip
_NO_RATING: Final = said("No alliance rating yet")
_TWO: Final = said("Fewer than two alliance ratings")
_FEW_SESSIONS: Final = said("Fewer than two sessions")
_NO_STRAIN: Final = said("No strain between the two is open")

ALLIANCE: Final[Sequence[Feature]] = (
    Feature("alliance_level", "alliance", "points of 10", _level("total"), _rated_words("total"), _NO_RATING, "alliance",
            rating("total")),
    Feature("goals_level", "goals", "points of 10", _level("goals"), _rated_words("goals"), _NO_RATING, "alliance",
            rating("goals")),
    Feature("tasks_level", "tasks", "points of 10", _level("tasks"), _rated_words("tasks"), _NO_RATING, "alliance",
            rating("tasks")),
    Feature("bond_level", "bond", "points of 10", _level("bond"), _rated_words("bond"), _NO_RATING, "alliance",
            rating("bond")),
    Feature("alliance_drop", "alliance", "points of 10", _fall("total"), _fall_words("total"), _NO_RATING, "alliance",
            rating("total")),
    Feature("goals_drop", "goals", "points of 10", _fall("goals"), _fall_words("goals"), _NO_RATING, "alliance",
            rating("goals")),
    Feature("tasks_drop", "tasks", "points of 10", _fall("tasks"), _fall_words("tasks"), _NO_RATING, "alliance",
            rating("tasks")),
    Feature("bond_drop", "bond", "points of 10", _fall("bond"), _fall_words("bond"), _NO_RATING, "alliance",
            rating("bond")),
    Feature("alliance_change", "alliance", "points of 10", _change("total"), _change_words("total"), _TWO, "alliance",
            rating("total")),
    Feature("bond_change", "bond", "points of 10", _change("bond"), _change_words("bond"), _TWO, "alliance",
            rating("bond")),
    *_each("since_first", _since_first, _since_first_words),
    *_each("from_mean", _from_mean, _usual_words),
    Feature("alliance_since_lowest", "alliance", "points of 10", _since_lowest, _since_lowest_words, _TWO, "alliance",
            rating("total")),
    Feature("alliance_lowest_level", "alliance", "points of 10", _lowest_ever, _rated_words("total"), _NO_RATING, "alliance",
            lowest_rating, lasting=True),
    Feature("alliance_spread", "alliance", "points of 10", _spread,
            lambda v: said("Alliance ratings vary") if v >= AS_USUAL else said("Alliance ratings hardly vary"),
            said("Fewer than three alliance ratings"), "alliance", lasting=True),
    Feature("alliance_ratings", "alliance", "ratings", lambda c, now: float(c.ratings),
            lambda v: counted(v, "{count} alliance rating so far", "{count} alliance ratings so far", _NO_RATING), None,
            "alliance", lasting=True),
    Feature("alliance_rated_share", "silence", "share", _rated_share,
            mostly(said("The alliance was rated in less than half of the sessions"),
                   said("The alliance was rated in half of the sessions or more")), _FEW_SESSIONS, "alliance",
            lambda c: of(min(c.ratings, c.sessions), c.sessions,
                         said("The alliance was rated in {part} of {whole} sessions"),
                         said("The alliance was rated in none of {whole} sessions")), lasting=True),
    Feature("steepest_fall", "alliance", "standard errors", _standard_fall, _steepest_words, _NO_RATING, "alliance"),
    Feature("lowest_pillar_level", "alliance", "points of 10", _lowest,
            lambda v: said("The lowest of goals, tasks and bond was rated {rating} on a scale of 0 to 10", rating=float(v)),
            said("No rating of goals, tasks and bond"), "alliance", lowest_pillar),
    Feature("below_cutoff", "alliance", "0/1",
            lambda c, now: None if c.alliance.instrument is None else float(c.alliance.below_cutoff),
            says(said("The last alliance rating is below the published cut-off"),
                 said("The last alliance rating is below no published cut-off")), _NO_RATING, "alliance"),
    Feature("rupture_open", "alliance", "0/1", _open(lambda r: True),
            says(said("A strain between the two is open"), _NO_STRAIN), None, "rupture"),
    Feature("rupture_withdrawal", "alliance", "0/1", _open(lambda r: r.kind == "withdrawal"),
            says(said("A strain is open in which the client draws back"),
                 said("No strain is open in which the client draws back")), None, "rupture"),
    Feature("rupture_confrontation", "alliance", "0/1", _open(lambda r: r.kind == "confrontation"),
            says(said("A strain is open in which the client says what is wrong"),
                 said("No strain is open in which the client says what is wrong")), None, "rupture"),
    Feature("rupture_reported", "alliance", "0/1", _open(lambda r: r.evidence == "reported"),
            says(said("A strain was reported and is open"), said("No reported strain is open")), None, "rupture"),
    Feature("rupture_age", "alliance", "days", _rupture_age,
            lambda v: said("A strain came up {ago} and is open", ago=ago(v)), _NO_STRAIN, "rupture"),
    Feature("ruptures", "alliance", "ruptures", lambda c, now: float(len(c.alliance.ruptures)),
            lambda v: counted(v, "{count} strain between the two so far", "{count} strains between the two so far",
                              said("No strain between the two so far")), None, "rupture", lasting=True),
    Feature("ruptures_repaired", "alliance", "share", _repaired,
            mostly(said("Less than half of the earlier strains were repaired"),
                   said("Half of the earlier strains or more were repaired")),
            said("No earlier strain between the two"), "rupture", _repaired_in_counts, lasting=True),
    Feature("ruptures_unrepaired", "alliance", "ruptures", _unrepaired,
            lambda v: counted(v, "{count} strain passed without repair", "{count} strains passed without repair",
                              said("No strain passed without repair")), None, "rupture", lasting=True),
    Feature("last_repair", "alliance", "-1/0/1",
            lambda c, now: {"better": 1.0, "same": 0.0, "worse": -1.0}.get(c.alliance.last_repair or ""),
            _last_repair_words, said("No attempt at repair of which it is known how it went"), "rupture"),
    Feature("repair_better_recent", "alliance", "0/1", _repair_recent("better"),
            says(said("Things were better after an attempt at repair in the last two months"),
                 said("No attempt at repair in the last two months made things better")), None, "rupture"),
    Feature("repair_worse_recent", "alliance", "0/1", _repair_recent("worse"),
            says(said("Things were worse after an attempt at repair in the last two months"),
                 said("No attempt at repair in the last two months made things worse")), None, "rupture"),
    Feature("rupture_repaired_recent", "alliance", "0/1", lambda c, now: float(recent(c.alliance.repaired_at, now)),
            says(said("A strain was repaired in the last two months"),
                 said("No strain was repaired in the last two months")), None, "rupture"),
    Feature("alliance_since_repair", "alliance", "points of 10", _since_repair, _since_repair_words,
            said("No rating since a strain was repaired"), "alliance"),
    Feature("perfect_run", "alliance", "ratings", lambda c, now: float(c.alliance.perfect_run),
            lambda v: counted(v, "The last alliance rating was the highest possible",
                              "The last {count} alliance ratings were the highest possible",
                              said("The last alliance rating was not the highest possible, or there was none")), None,
            "alliance"),
    Feature("sessions_since_alliance", "silence", "sessions", lambda c, now: float(c.since_alliance),
            lambda v: counted(v, "{count} session since the alliance was last rated",
                              "{count} sessions since the alliance was last rated",
                              said("No session since the alliance was last rated")), None, "alliance"),
    Feature("days_since_alliance", "silence", "days", lambda c, now: since(c.alliance_at, now),
            lambda v: said("The alliance was last rated {ago}", ago=ago(v)), _NO_RATING, "alliance"),
)  # fmt: skip
