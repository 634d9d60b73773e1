"""The model, and the truth where it is known, beside each simple rule: with as many moments flagged as the rule flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from training.evaluate.cells import LEAST_EVENTS
from training.evaluate.metrics import Clusters, Counts, Estimate, Ints, Ordered, Vector, estimate, over
from training.evaluate.rules import SimpleRule

TENTH: Final = 0.10
"""Share of moments flagged where a rule only ranks."""
RULE, MODEL = "rule", "model"


class Flagging(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted as flagged, in words; `units` are the sets of moments over which it is."""

    units: Mapping[str, str]
    flagged: str
    ties: str
    right: str


AFTER_SESSION, LANDMARKS = "after-session", "landmarks"
UNITS: Final = {AFTER_SESSION: "After every session", LANDMARKS: "At all landmarks"}
"""What the units are called."""
FLAGGING: Final = Flagging(
    units={
        AFTER_SESSION: "One moment after every session: the last within an hour of its end, when it has been rated",
        LANDMARKS: "These, the first booking, and ten days after a missed visit, none attended or lost since",
    },
    flagged="A rule flags the moments at which it holds by what was known then. The model, and the truth, are given the same "
    f"number of moments, those of highest risk. A rule that only ranks is given {TENTH:.0%} of the moments",
    ties="Moments that tie at the edge have the same chance of being flagged, and the expected figure is told; a moment "
    "without a rating is the last that a rule flags",
    right="A stop follows within 30 days of the moment; moments whose outcome is undetermined or not settled are left out",
)


class AtBurden(msgspec.Struct, frozen=True, kw_only=True):
    """At the burden of one rule, over one unit of `Flagging`.

    `flagged` is the share of moments flagged; `precision` and `recall` are by who flags: `rule`, `model` and, where the
    truth is known, `clinician_unknown` and `clinician_known`; `ratio` is the precision of the model in parts of that of each
    of the others, as `model/<other>`, and of the truths in parts of the rule's, `<truth>/rule`. `gap` says why there are no
    figures.
    """

    rule: str
    unit: str
    rows: int
    positive: int
    flagged: float
    precision: Mapping[str, Estimate] = {}
    recall: Mapping[str, float] = {}
    ratio: Mapping[str, Estimate] = {}
    gap: str | None = None


def at_burden(
    rule: SimpleRule, unit: str, verdict: Vector, risks: Mapping[str, Vector], *, target: Vector, client: Ints
) -> AtBurden:
    """The comparison over rows whose target is known. `risks` are the model's, and the truth's where there is one."""
    positive = float(target.sum())
    flagged = TENTH * len(target) if rule.ranks else float(verdict.sum())
    base = AtBurden(
        rule=rule.name, unit=unit, rows=len(target), positive=int(positive), flagged=flagged / max(1, len(target))
    )
    if flagged < LEAST_EVENTS or positive < LEAST_EVENTS:
        few = "moments flagged" if flagged < LEAST_EVENTS else "stops"
        return msgspec.structs.replace(base, gap=f"fewer than {LEAST_EVENTS} {few}")
    clusters = Clusters(client)
    held = clusters.sums(np.full(len(target), TENTH) if rule.ranks else verdict)
    scores = {RULE: verdict, **risks}

    def precisions(counts: Counts) -> dict[str, Vector]:
        flags: Vector = counts @ held
        return {name: Ordered(target, score, clusters.of).precision(counts, flags) for name, score in scores.items()}

    first, drawn = precisions(clusters.once()), precisions(clusters.draws())
    precision = {name: estimate(first[name], drawn[name]) for name in scores}
    return msgspec.structs.replace(
        base,
        precision=precision,
        recall={name: (one.value or 0.0) * flagged / positive for name, one in precision.items()},
        ratio={
            f"{one}/{other}": estimate(over(first[one], first[other]), over(drawn[one], drawn[other]))
            for one in risks
            for other in (scores if one == MODEL else (RULE,))
            if one != other
        },
    )
