"""The measures Keepwell can interpret: range, direction, cut-off, reliable change, and where each number comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Final

import msgspec

from keepwell.contract.events import InstrumentKind, InstrumentRegistered, Registered


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

    def limits(self, scale: str) -> tuple[float, float] | None:
        """Lowest and highest possible score of `total` or a subscale; None for a scale that is not interpreted."""
        if scale == "total":
            return self.low, self.high
        return self.scales.get(self.aliases.get(scale, scale))

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
    source="Miller, Duncan, Brown, Sparks & Claud 2003, J Brief Ther 2:91",
)  # fmt: skip
SRS: Final = Instrument(
    name="SRS", kind="alliance", low=0, high=40, higher_is_better=True, cutoff=36, reliable_change=5, scales=_MINI,
    aliases={"approach": "tasks", "relationship": "bond"}, item_cutoff=9,
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


class Instruments(msgspec.Struct, frozen=True):
    """The instruments known by name, and those that each clinic registered itself (by clinic, then by name)."""

    registered: Mapping[str, Mapping[str, Instrument]] = {}

    def get(self, clinic: str, name: str) -> Instrument | None:
        """The instrument a clinic means by `name`; None for one that nobody registered."""
        own = self.registered.get(clinic)
        return (own.get(name) if own else None) or KNOWN.get(name)

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
    if facts.name in KNOWN:
        raise ValueError(f"{facts.name} is known already; give your own instrument another `name`")
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
