"""The model card: what a release is, rests on, is worth, and must not be used for, filled in from the run itself.

What it says stands in the templates below `pages`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import msgspec
from jinja2 import Environment

from keepwell.alerting.policy import Policy
from keepwell.scoring.features import BY_NAME, Feature
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS, Scorecard
from keepwell.web.pages import environment
from training.dataset import Dataset
from training.fit.fit import Fitted
from training.fit.held_out import HeldOut, words
from training.fit.line import AlertLine
from training.fit.offsets import LEAST_CLIENTS
from training.fit.recalibrate import ENOUGH_STOPS, Recalibrated
from training.fit.signs import SIGNS

SHOWN: Final = 15
"""Features named in a card, strongest first."""
NAMES: Final = {
    "14d": "stops within 14 days", "30d": "stops within 30 days", "60d": "stops within 60 days",
    "next": "next visit missed",
}  # fmt: skip
POWERS: Final = {0.0: "one as another", 0.5: "1 / sqrt(rows of the client at moments of that kind)"}


def model_card(fitted: Fitted, dataset: Dataset, origin: str) -> str:
    """The card of a trained release, in Markdown."""
    report = fitted.report
    return _rendered(
        "card.md",
        origin=origin,
        report=report,
        about=dataset.about,
        left_out={} if report.left_out is msgspec.UNSET else report.left_out,
        policy=fitted.policy,
        shown=None if report.held_out is msgspec.UNSET else words(report.held_out),
        active=fitted.offsets.active,
        tuned=report.choice.settings,
        share={"both": report.choice.settings.share, "boosting": 1.0, "logistic": 0.0}[report.choice.learner],
        strongest=list(_strongest(fitted.card)),
    )  # fmt: skip


def line_told(line: AlertLine) -> str:
    """What the card of a trained release says of its lines, in Markdown."""
    return _rendered("line.md", line=line)


def recalibration_card(
    recalibrated: Recalibrated, dataset: Dataset, *, base: str, policy: Policy, shown: HeldOut | None, origin: str
) -> str:
    """The card of a recalibrated release, in Markdown. `base` is the digest of the one it was; `shown`: what the hold-out of
    the release in use before shows."""
    return _rendered(
        "recalibration.md", origin=origin, recalibrated=recalibrated, about=dataset.about, base=base, policy=policy,
        shown=None if shown is None else words(shown),
    )  # fmt: skip


def _rendered(template: str, **facts: object) -> str:
    return _environment().get_template(template).render(facts).rstrip("\n") + "\n"


@cache
def _environment() -> Environment:
    return environment(
        "training.fit", {}, names=NAMES, powers=POWERS, signs=SIGNS, headline=OUTPUTS[HEADLINE],
        enough_stops=ENOUGH_STOPS, least_clients=LEAST_CLIENTS,
    )  # fmt: skip


def _strongest(card: Scorecard) -> Iterator[tuple[Feature, float, float]]:
    """The features with the widest range of points at the headline, each with the lowest and the highest."""
    found = [(term.feature, [row[HEADLINE] for row in term.points]) for term in card.terms]
    for name, points in sorted(found, key=lambda one: min(one[1]) - max(one[1]))[:SHOWN]:
        yield BY_NAME[name], min(points), max(points)
