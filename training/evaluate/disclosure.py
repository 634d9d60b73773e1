"""What a report on a prediction model must tell: TRIPOD+AI and the source attributes of HTI-1, filled from the run.

The items are data (`disclosure.toml`). One that this run cannot know is a gap and stands as one: somebody has to write it
before the report leaves the house.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from jinja2 import Environment, StrictUndefined

from keepwell.scoring.scorecard import HEADLINE
from keepwell.web.figures import FILTERS
from training.constants import constants
from training.evaluate.cells import LEAST_CLIENTS

if TYPE_CHECKING:
    from training.evaluate.report import Evaluation

StandardName = Literal["TRIPOD+AI", "HTI-1"]


class Disclosed(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a standard, in short, and what this run tells of it; None is a gap."""

    standard: StandardName
    number: str
    item: str
    told: str | None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One item as a standard asks for it; `told` is a template of what a run tells, empty where none can."""

    number: str
    item: str
    told: str = ""


class Standard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A standard, where it is published, and its items in their order."""

    name: StandardName
    source: str
    items: tuple[Asked, ...]


class _Disclosures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    standards: tuple[Standard, ...]
    words: dict[str, str]
    """Templates of what several items tell."""


def disclosed(report: Evaluation) -> tuple[Disclosed, ...]:
    """Every item of both standards, in their order."""
    data = report.data
    facts: dict[str, Any] = {
        "report": report,
        "data": data,
        "counts": data.about.counts,
        "auroc": report.performance[HEADLINE].pooled.auroc.value,
        "least_clients": LEAST_CLIENTS,
        "tells_next": any(found.output == "next" for found in report.performance),
        "other_source": data.fitted_to is None or not data.same_as_fitted,
    }
    facts["words"] = {name: _told(template, facts) for name, template in _FILE.words.items()}
    return tuple(
        Disclosed(standard=standard.name, number=asked.number, item=asked.item, told=_told(asked.told, facts) or None)
        for standard in STANDARDS
        for asked in standard.items
    )


def _told(template: str, facts: dict[str, Any]) -> str:
    return _environment().from_string(template).render(facts)


@cache
def _environment() -> Environment:
    """Of plain text: what is told goes into `report.json` as it is, and is escaped on the page."""
    found = Environment(autoescape=False, undefined=StrictUndefined)
    found.filters |= FILTERS
    return found


_FILE: Final = constants(__file__, _Disclosures)
STANDARDS: Final = _FILE.standards
