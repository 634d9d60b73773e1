"""The measures Keepwell can interpret: range, direction, cut-off, reliable change, and where each number comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isclose, isfinite
from typing import Final

import msgspec

from keepwell.contract.events import InstrumentRegistered, Registered
from keepwell.contract.refusal import Refusal
from keepwell.contract.words import InstrumentKind

SUM_NOISE: Final = 0.25
"""Points by which a total may differ from the sum of its subscales: four of them and itself, each rounded to tenths."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A questionnaire as facts. `cutoff` separates the clinical from the other range; the cut-off itself is clinical
    where low scores are good, and not clinical where high scores are good."""

    name: str
    low: float
    high: float
    higher_is_better: bool
    cutoff: float
    reliable_change: float
    source: str
    kind: InstrumentKind = "outcome"
    scales: Mapping[str, tuple[float, float]] = {}
    """Ranges of the subscales, by the name the contract gives them."""
    aliases: Mapping[str, str] = {}
    """Names by which the instrument itself knows a subscale."""
    item_cutoff: float | None = None
    """A single item below this is a warning of its own (SRS)."""
    total_is_sum: bool = False
    """By its manual the total is the sum of the subscales, so that another total is a mistake (ORS, SRS)."""

    def limits(self, scale: str) -> tuple[float, float] | None:
        """Lowest and highest possible score of `total` or a subscale; None for a scale that is not interpreted."""
        name = self._known_as(scale)
        return self.range_of(name) if name == "total" or name in self.scales else None

    def range_of(self, name: str) -> tuple[float, float]:
        """The same of a scale by the name the contract gives it. Raises `KeyError` for any other."""
        return (self.low, self.high) if name == "total" else self.scales[name]

    def readable(self, scores: Mapping[str, float]) -> dict[str, float]:
        """The scores of a measure that are interpreted, by the name the contract gives them: the one reading of a measure.

        Names count whatever their case. Where one score is given under two names, the exact one counts. A total that is
        missing is the sum of all subscales, where the instrument adds up. A score out of range is none: it was accepted
        before the clinic registered the instrument.

        >>> ORS.readable({"Individual": 4, "interpersonal": 5, "social": 4, "overall": 5, "mood": 1})["total"]
        18
        """
        found: dict[str, float] = {}
        for scale, score in scores.items():
            name = self._known_as(scale)
            known = name == "total" or name in self.scales
            if known and (name not in found or scale == name) and self._within(name, score):
                found[name] = score
        if "total" not in found and self._adds_up(found):
            found["total"] = self._sum(found)
        return found

    def refusal(self, scores: Mapping[str, float]) -> Refusal | None:
        """What is wrong with the scores of a measure: out of range, contradicting each other, or not adding up."""
        given: dict[str, float] = {}
        for scale, score in scores.items():
            limits, path = self.limits(scale), f"$.data.scores.{scale}"
            if limits is None:
                continue
            if not limits[0] <= score <= limits[1]:
                return Refusal("score_out_of_range", path, f"The scale runs from {limits[0]:g} to {limits[1]:g}.")
            if given.setdefault(self._known_as(scale), score) != score:
                return Refusal(
                    "score_given_twice", path, "This score is given twice with different values; send it once."
                )
        if not self.total_is_sum or "total" not in given or not self._adds_up(given):
            return None
        total, together = given["total"], self._sum(given)
        if abs(total - together) <= SUM_NOISE:
            return None
        path = next(f"$.data.scores.{scale}" for scale in scores if self._known_as(scale) == "total")
        detail = (
            f"The total is {total:g}, but the subscales add up to {together:g}; send the sum, or leave the total out."
        )
        return Refusal("total_not_the_sum", path, detail)

    def _within(self, name: str, score: float) -> bool:
        low, high = self.range_of(name)
        return low <= score <= high

    def _known_as(self, scale: str) -> str:
        if scale == "total" or scale in self.scales:
            return scale
        lower = scale.lower()
        names = {"total": "total", **{name.lower(): name for name in self.scales}, **self.aliases}
        return names.get(lower, scale)

    def _adds_up(self, scores: Mapping[str, float]) -> bool:
        """Whether all subscales are there, and the total is their sum: its range is that of theirs together."""
        if not self.scales or not scores.keys() >= self.scales.keys():
            return False
        lows, highs = zip(*self.scales.values(), strict=True)
        return isclose(sum(lows), self.low, abs_tol=1e-9) and isclose(sum(highs), self.high, abs_tol=1e-9)

    def _sum(self, scores: Mapping[str, float]) -> float:
        return round(sum(scores[scale] for scale in self.scales), 9)  # 0.1 and 0.2 are 0.3

    def past_cutoff(self, score: float) -> bool:
        """Whether `score` lies in the range of people not in treatment.

        >>> ORS.past_cutoff(25), PHQ9.past_cutoff(10), PHQ9.past_cutoff(9)
        (True, False, True)
        """
        return score >= self.cutoff if self.higher_is_better else score < self.cutoff

    def gain(self, first: float, last: float) -> float:
        """Improvement in points, positive when better, whichever way the scale runs."""
        return last - first if self.higher_is_better else first - last

    def reliably_improved(self, first: float, last: float) -> bool:
        """Whether the improvement is at least the reliable change index (Jacobson & Truax 1991)."""
        return self.gain(first, last) >= self.reliable_change


_MINI = {"goals": (0.0, 10.0), "tasks": (0.0, 10.0), "bond": (0.0, 10.0), "overall": (0.0, 10.0)}
_WAI = {"goals": (4.0, 20.0), "tasks": (4.0, 20.0), "bond": (4.0, 20.0)}
_ORS = {"individual": (0.0, 10.0), "interpersonal": (0.0, 10.0), "social": (0.0, 10.0), "overall": (0.0, 10.0)}

ORS: Final = Instrument(
    name="ORS", low=0, high=40, higher_is_better=True, cutoff=25, reliable_change=5, scales=_ORS,
    total_is_sum=True,
    source="Miller, Duncan, Brown, Sparks & Claud 2003, J Brief Ther 2:91",
)  # fmt: skip
SRS: Final = Instrument(
    name="SRS", kind="alliance", low=0, high=40, higher_is_better=True, cutoff=36, reliable_change=5, scales=_MINI,
    aliases={"approach": "tasks", "relationship": "bond"}, item_cutoff=9, total_is_sum=True,
    source="Duncan, Miller, Sparks et al. 2003, J Brief Ther 3:3; cut-off 36, item 9",
)  # fmt: skip
WAI_SR: Final = Instrument(
    name="WAI-SR", kind="alliance", low=12, high=60, higher_is_better=True, cutoff=36, reliable_change=8, scales=_WAI,
    source="Hatcher & Gillaspy 2006, Psychother Res 16:12 (ranges); cut-off = middle of the scale, reliable change = "
    "1.96 SE of a difference from SD 10.5 and alpha .92, ours: none is published",
)  # fmt: skip
PHQ9: Final = Instrument(
    name="PHQ-9", low=0, high=27, higher_is_better=False, cutoff=10, reliable_change=6,
    source="Kroenke, Spitzer & Williams 2001, J Gen Intern Med 16:606; reliable change: NHS Talking Therapies manual",
)  # fmt: skip
GAD7: Final = Instrument(
    name="GAD-7", low=0, high=21, higher_is_better=False, cutoff=8, reliable_change=4,
    source="Spitzer, Kroenke, Williams & Löwe 2006, Arch Intern Med 166:1092; cut-off and reliable change: NHS Talking "
    "Therapies manual",
)  # fmt: skip
OQ45: Final = Instrument(
    name="OQ-45", low=0, high=180, higher_is_better=False, cutoff=63, reliable_change=14,
    source="Lambert, Morton, Hatfield et al. 2004, OQ-45.2 administration and scoring manual",
)  # fmt: skip
CORE10: Final = Instrument(
    name="CORE-10", low=0, high=40, higher_is_better=False, cutoff=11, reliable_change=6,
    source="Barkham, Bewick, Mullin et al. 2013, Couns Psychother Res 13:3",
)  # fmt: skip

KNOWN: Final[Mapping[str, Instrument]] = {i.name: i for i in (ORS, SRS, WAI_SR, PHQ9, GAD7, OQ45, CORE10)}


def plain(name: str) -> str:
    """A name without what spellings differ in: case, blanks, hyphens and underscores.

    >>> plain("PHQ 9") == plain("phq-9") == plain("PHQ9")
    True
    """
    return name.lower().translate(_SPELLING)


_SPELLING: Final = str.maketrans("", "", " \t-_\N{NO-BREAK SPACE}\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}")
_BY_PLAIN_NAME: Final[Mapping[str, Instrument]] = {plain(name): instrument for name, instrument in KNOWN.items()}


class Instruments(msgspec.Struct, frozen=True):
    """The instruments known by name, and those that each clinic registered itself (by clinic, then by name)."""

    registered: Mapping[str, Mapping[str, Instrument]] = {}

    def get(self, clinic: str, name: str) -> Instrument | None:
        """The instrument a clinic means by `name`, however it spells it (`plain`); None for one that nobody registered.

        An exact name goes before another spelling, and of two spellings the clinic's own goes before a known one.
        """
        own = self.registered.get(clinic, {})
        found = own.get(name) or KNOWN.get(name)
        if found is not None:
            return found
        spelled = plain(name)
        return next((own[each] for each in sorted(own) if plain(each) == spelled), _BY_PLAIN_NAME.get(spelled))

    @classmethod
    def of(cls, events: Iterable[InstrumentRegistered]) -> Instruments:
        """What registrations come to, in whatever order they are given: of two of one name the later holds.

        Raises `ValueError` where the facts of one cannot be.
        """
        registered: dict[str, dict[str, Instrument]] = {}
        for event in sorted(events, key=lambda event: (event.time, event.id)):
            registered.setdefault(event.clinic, {})[event.data.name] = instrument_of(event.data)
        return cls(registered)


def instrument_of(facts: Registered) -> Instrument:
    """The instrument that a clinic registers. Raises `ValueError`, which says what to change, for facts that cannot be.

    >>> facts = Registered(
    ...     name="MOOD-5", kind="outcome", lowest=0, highest=25, higher_is_better=True, cutoff=30, reliable_change=4
    ... )
    >>> instrument_of(facts)
    Traceback (most recent call last):
    ValueError: `cutoff` must lie from `lowest` to `highest`, 0 to 25
    """
    low, high = facts.lowest, facts.highest
    known = _BY_PLAIN_NAME.get(plain(facts.name))
    if known is not None:
        raise ValueError(f"{known.name} is known already; give your own instrument another `name`")
    if not all(map(isfinite, (low, high, facts.cutoff, facts.reliable_change))):
        raise ValueError("give finite numbers")
    if not low < high:
        raise ValueError("`lowest` must lie below `highest`")
    if not low <= facts.cutoff <= high:
        raise ValueError(f"`cutoff` must lie from `lowest` to `highest`, {low:g} to {high:g}")
    if not 0 < facts.reliable_change <= high - low:
        raise ValueError(f"`reliable_change` must be above 0 and not above the width of the range, {high - low:g}")
    for name, scale in facts.subscales.items():
        if not (isfinite(scale.lowest) and isfinite(scale.highest) and scale.lowest < scale.highest):
            raise ValueError(f"subscale `{name}`: `lowest` must lie below `highest`")
    scales = {name: (scale.lowest, scale.highest) for name, scale in facts.subscales.items()}
    return Instrument(
        name=facts.name, kind=facts.kind, low=low, high=high, higher_is_better=facts.higher_is_better,
        cutoff=facts.cutoff, reliable_change=facts.reliable_change, scales=scales, source="registered by the clinic",
    )  # fmt: skip
