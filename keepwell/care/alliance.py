"""Ruptures of the working alliance: opened, by which pillar and kind, and followed to repaired or not.

A person's ratings are compared with that person's own course, not with a cut-off alone. Each scale has a local-level filter
(an EWMA whose first steps are shrunk towards the population), and a rating below its control limit opens a rupture, as in
control charts of alliance ratings (Eubanks-Carter, Gorman & Muran 2012, Psychother Res 22:621). A published cut-off is weaker
evidence: it counts together with a smaller fall. A rupture that somebody reported counts as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from keepwell.care.history import Measure, Noted, Opinion, Repair, Touch
from keepwell.care.instruments import Instrument
from keepwell.care.sums import Mean, Spread
from keepwell.contract.words import ALLIANCE_PILLARS

# Population priors on a scale from 0 to 10. Means and spread between persons are set by hand near the published means
# (SRS total 34-36 of 40, SD about 4: Duncan et al. 2003; WAI-SR items about 3.7 of 5, SD about 0.7: Hatcher & Gillaspy
# 2006); the spread within a person is ours. A retrained release does not depend on them.
PRIOR_MEAN: Final = {"SRS": 8.7, "WAI-SR": 6.9}
DEFAULT_MEAN: Final = 7.5
BETWEEN_SD: Final = 1.2
WITHIN_SD: Final = 0.7
PRIOR_WEIGHT: Final = 4.0
"""How many ratings the population's spread within a person weighs."""
DRIFT_VARIANCE: Final = 0.05
"""By how much a person's true level may move from rating to rating (points squared); sets the EWMA's steady weight."""

CONTROL_LIMIT: Final = 3.0
"""Standard errors below the expected rating at which a fall opens a rupture: the three of Shewhart's charts. With the limit
below, noise opens one at 3 to 4 of 100 ratings of a stable rater (SD .7 an item; tests/care/test_alliance.py)."""
LEAST_FALL: Final = 1.0
"""Points (of 10) that a fall must have besides, so that a very even rater is not flagged for a trifle."""
CUTOFF_LIMIT: Final = 2.5
"""Standard errors that suffice below a published cut-off."""
REPAIRED_SHARE: Final = 0.5
"""More than this share of the fall regained counts as repaired ("most of the drop")."""
REPAIR_SESSIONS: Final = 5
"""Ratings or sessions after which a rupture that was not repaired is closed as such."""
GREAT_FALL: Final = 5.0
"""Standard errors from which a fall is great, whatever the risk: the noise of a stable rater hardly ever reaches it; ours."""
CONFRONTATION_DAYS: Final = 14
"""A complaint or negative feedback this close (days) makes a measured rupture a confrontation; otherwise withdrawal, the
more frequent kind (Eubanks, Muran & Safran 2018, Psychotherapy 55:508)."""
PERFECT: Final = 9.9
"""At or above this (of 10) a rating counts as perfect; an unbroken run of them may be politeness."""
_DAY: Final = 86_400_000_000


@dataclass(slots=True)
class Series:
    """The ratings of one scale of one instrument by one person, from 0 (worst) to 10 (best)."""

    level: float
    variance: float = BETWEEN_SD**2
    squares: float = 0.0
    given: Spread = field(default_factory=Spread)
    """All ratings: how many, the first, what was usual before the newest, how far apart."""
    learned: int = 0
    """Ratings that taught the level: not those at which a rupture opened or was open."""
    last: float = 0.0
    previous: float | None = None
    lowest: float = 10.0
    lowest_before: float = 10.0
    """The lowest of all ratings but the newest."""
    fall: float = 0.0
    """How far the last rating lay below the person's expected level, in points (negative: above)."""
    standard: float = 0.0
    """The same in standard errors of prediction."""

    def rate(self, rating: float) -> None:
        """Takes a rating and compares it with what was expected, which it does not change."""
        self.fall = self.level - rating
        self.standard = self.fall / sqrt(self.variance + self._within())
        given = self.given
        if given.count:
            self.previous = self.last
        self.last = rating
        self.lowest_before = self.lowest
        self.lowest = min(self.lowest, rating)
        given.add(rating)

    def learn(self) -> None:
        """Moves the expected level towards the last rating."""
        gain = self.variance / (self.variance + self._within())
        self.level += gain * (self.last - self.level)
        self.squares += self.fall * (self.level - self.last)
        self.learned += 1
        self.variance = (1 - gain) * self.variance + DRIFT_VARIANCE

    def _within(self) -> float:
        """The variance of this person's ratings around the level, shrunk towards the population's."""
        return (PRIOR_WEIGHT * WITHIN_SD**2 + self.squares) / (PRIOR_WEIGHT + self.learned)


@dataclass(slots=True)
class Rupture:
    """A rupture from its opening to its repair, or to the point where it is given up as not repaired."""

    opened_at: int
    pillar: str
    kind: str
    evidence: str
    """`chart`, `cutoff` or `reported`."""
    event: tuple[int, str]
    """Source index and id of the event that opened it."""
    instrument: str | None = None
    scale: str | None = None
    """The scale whose fall opened it; None for a reported one."""
    before: float = 0.0
    low: float = 0.0
    standard: float = 0.0
    """Standard errors by which the scale fell; 0 where nobody rated it."""
    waited: int = 0
    closed_at: int | None = None
    repaired: bool = False

    @property
    def plain(self) -> bool:
        """Whether it needs no risk beside it to matter: somebody reported it, or the fall was great."""
        return self.evidence == "reported" or self.standard >= GREAT_FALL


@dataclass(slots=True)
class Mended:
    """A scale since a rupture of it was repaired. `before`: the person's level when the rupture opened, of 10."""

    series: Series
    before: float
    since: Mean = field(default_factory=Mean)
    """The ratings from the one on that showed the repair."""


@dataclass(slots=True)
class Alliance:
    """Everything known of the alliance of one episode, at the end of its sweep."""

    series: dict[str, dict[str, Series]] = field(default_factory=dict)
    """By instrument, then by scale."""
    current: dict[str, Series] = field(default_factory=dict)
    """The series of the instrument rated last, by scale."""
    ruptures: list[Rupture] = field(default_factory=list)
    instrument: str | None = None
    """The alliance instrument rated last."""
    below_cutoff: bool = False
    perfect_run: int = 0
    lowest: str | None = None
    """The pillar rated lowest in the last rating."""
    friction_at: int | None = None
    """When a complaint, negative feedback or a confrontation was last heard of."""
    repairs: int = 0
    last_repair: str | None = None
    repair_told: str | None = None
    """How the last attempt at repair went of which that is known: `better`, `same` or `worse`."""
    repair_told_at: int | None = None
    repaired_at: int | None = None
    """When a rupture was last repaired."""
    mended: Mended | None = None
    """The scale of the rupture repaired last, where it was rated."""

    @property
    def open(self) -> Rupture | None:
        """The rupture that is open now, if there is one."""
        return self.ruptures[-1] if self.ruptures and self.ruptures[-1].closed_at is None else None

    def of(self, scale: str) -> Series | None:
        """The series of `total` or a pillar, in the instrument rated last."""
        return self.current.get(scale)

    def take_measure(self, entry: Measure, instrument: Instrument, scores: Mapping[str, float]) -> None:
        """Takes a client's rating of the alliance; `scores` are those of it that are readable, at least one."""
        ratings = _ratings(scores, instrument)
        self.instrument = instrument.name
        self.below_cutoff = _below_cutoff(scores, instrument)
        self.perfect_run = self.perfect_run + 1 if min(ratings.values()) >= PERFECT else 0
        rated = {pillar: ratings[pillar] for pillar in ALLIANCE_PILLARS if pillar in ratings}
        self.lowest = min(rated, key=rated.__getitem__) if rated else None
        rupture = self.open
        self.current = self.series.setdefault(instrument.name, {})
        for scale, rating in ratings.items():
            series = self.current.get(scale)
            if series is None:
                series = self.current[scale] = Series(PRIOR_MEAN.get(instrument.name, DEFAULT_MEAN))
            series.rate(rating)
        if rupture is None:
            self._open_if_fallen(entry, instrument, ratings)
            if self.open is None:
                for scale in ratings:
                    self.current[scale].learn()
        else:
            self._follow(rupture, entry.at, ratings)
        mended = self.mended
        if mended is not None:
            for scale in ratings:
                if self.current[scale] is mended.series:
                    mended.since.add(mended.series.last)

    def take_note(self, entry: Noted) -> None:
        """Takes a rupture that somebody noticed."""
        if entry.kind == "confrontation":
            self.friction_at = entry.at
        rupture = self.open
        if rupture is None:
            pillar = entry.pillar or self.lowest or "bond"
            self.ruptures.append(Rupture(entry.at, pillar, entry.kind, "reported", (entry.source, entry.id)))
        else:
            rupture.kind = entry.kind
            rupture.pillar = entry.pillar or rupture.pillar
            rupture.waited = 0

    def take_opinion(self, entry: Opinion) -> None:
        """Takes feedback on a pillar: friction if negative; if positive it repairs a reported rupture of that pillar."""
        if entry.sentiment == "negative":
            self.friction_at = entry.at
        rupture = self.open
        if (
            rupture
            and rupture.evidence == "reported"
            and entry.sentiment == "positive"
            and entry.pillar == rupture.pillar
        ):
            self._close(rupture, entry.at, repaired=True)

    def take_contact(self, entry: Touch) -> None:
        """Takes a contact: a complaint is friction."""
        if entry.purpose == "complaint":
            self.friction_at = entry.at

    def take_repair(self, entry: Repair) -> None:
        """Takes an attempt at repair. Its outcome closes a reported rupture; a measured one is closed by ratings."""
        self.repairs += 1
        self.last_repair = entry.outcome
        if entry.outcome != "unknown":
            self.repair_told, self.repair_told_at = entry.outcome, entry.at
        rupture = self.open
        if rupture and rupture.evidence == "reported" and entry.outcome == "better":
            self._close(rupture, entry.at, repaired=True)

    def take_session(self, at: int) -> None:
        """Takes a session: an open rupture has waited one more."""
        rupture = self.open
        if rupture is None:
            return
        rupture.waited += 1
        if rupture.waited > REPAIR_SESSIONS:
            self._close(rupture, at, repaired=False)

    def _open_if_fallen(self, entry: Measure, instrument: Instrument, ratings: dict[str, float]) -> None:
        limit, evidence = CONTROL_LIMIT, "chart"
        if self.below_cutoff:
            limit, evidence = CUTOFF_LIMIT, "cutoff"
        fallen = {}
        for scale in ratings:
            series = self.current[scale]
            # A first rating has no course of its own to fall from: a low start is a level, not a rupture.
            if series.given.count > 1 and series.standard >= limit and series.fall >= LEAST_FALL:
                fallen[scale] = series
        if not fallen:
            return
        scale = max(fallen, key=lambda name: (name in ALLIANCE_PILLARS, fallen[name].standard))
        series = fallen[scale]
        if series.standard >= CONTROL_LIMIT:
            evidence = "chart"
        pillar = scale if scale in ALLIANCE_PILLARS else self.lowest or "bond"
        friction = self.friction_at is not None and entry.at - self.friction_at <= CONFRONTATION_DAYS * _DAY
        kind = "confrontation" if friction else "withdrawal"
        self.ruptures.append(
            Rupture(
                entry.at, pillar, kind, evidence, (entry.source, entry.id),
                instrument=instrument.name, scale=scale, before=series.last + series.fall, low=series.last,
                standard=series.standard,
            )
        )  # fmt: skip

    def _follow(self, rupture: Rupture, at: int, ratings: dict[str, float]) -> None:
        if rupture.scale is None:
            series = self.of(rupture.pillar) or self.of("total")
            # A perfect rating after a rupture was reported may be politeness, the sign of withdrawal itself.
            honest = min(ratings.values()) < PERFECT and not self.below_cutoff
            if series is not None and honest and series.fall <= LEAST_FALL / 2:
                self._close(rupture, at, repaired=True)
        elif rupture.instrument == self.instrument and rupture.scale in ratings:
            series = self.current[rupture.scale]
            rupture.low = min(rupture.low, series.last)
            if series.last - rupture.low > REPAIRED_SHARE * (rupture.before - rupture.low):
                self._close(rupture, at, repaired=True)

    def _close(self, rupture: Rupture, at: int, repaired: bool) -> None:
        rupture.closed_at = at
        rupture.repaired = repaired
        if repaired:
            self.repaired_at = at
            # While a rupture is open nothing teaches the level: it is still that of before.
            scales = self.current if rupture.instrument is None else self.series[rupture.instrument]
            series = scales.get(rupture.scale or rupture.pillar) or scales.get("total")
            self.mended = None if series is None else Mended(series, series.level)
        else:
            # The lower level is the person's level now; a further fall is measured from there.
            for scales in self.series.values():
                for series in scales.values():
                    series.level = min(series.level, series.last)


def _ratings(scores: Mapping[str, float], instrument: Instrument) -> dict[str, float]:
    """Readable scores, each from 0 (worst) to 10 (best)."""
    found: dict[str, float] = {}
    for scale, score in scores.items():
        low, high = instrument.range_of(scale)
        share = (score - low) / (high - low)
        found[scale] = 10 * (share if instrument.higher_is_better else 1 - share)
    return found


def _below_cutoff(scores: Mapping[str, float], instrument: Instrument) -> bool:
    """Whether a published warning line of the instrument is reached: the total below its cut-off, or an item at its own."""
    if instrument.item_cutoff is None:
        return False
    total = scores.get("total")
    items = [score for scale, score in scores.items() if scale != "total"]
    return (total is not None and not instrument.past_cutoff(total)) or any(
        item < instrument.item_cutoff if instrument.higher_is_better else item > instrument.item_cutoff
        for item in items
    )
