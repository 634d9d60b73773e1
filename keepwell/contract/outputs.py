"""What Keepwell writes: a score and an alert as types, field for field in the order of CONTRACT section 3."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keepwell.contract.words import AlertKind, AlertStatus, Horizon, ResolvedBecause, State

Probability = Annotated[float, Meta(ge=0, le=1)]
Moment = Annotated[str, Meta(description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"})]
"""The text that `keepwell.contract.events.rfc3339` makes: equal moments are equal bytes."""

EpisodeKey = Annotated[str, Meta(description="`<clinic>/<subject>`, the key of the episode.")]
Traceparent = Annotated[
    str, Meta(description="W3C trace context of the event that gave rise to this, where it had one.")
]


class Risk(msgspec.Struct, frozen=True, kw_only=True, rename={"d14": "14d", "d30": "30d", "d60": "60d"}):
    """Chance that the client stops coming within 14, 30 and 60 days (`unilateral-stop@1`)."""

    d14: Probability
    d30: Probability
    d60: Probability


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One feature's part in a score. `points` are added log-odds of the 30-day risk; above 0 raises it."""

    feature: str
    pillar: str
    value: Annotated[float | None, Meta(description="Null where the signal is missing, which is a fact of its own.")]
    points: float
    text: str


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an episode after one event or due timer. One for each, in `risk-scores`."""

    episode: EpisodeKey
    clinician_id: Annotated[str | None, Meta(description="Null while no event has named one.")]
    as_of: Moment
    trigger: Annotated[str, Meta(description="The `id` of the event, or `timer:<name>:<as_of>`.")]
    trigger_source: Annotated[str | None, Meta(description="The `source` of the event; null for a timer.")]
    model: Annotated[str, Meta(description="Digest of the release.")]
    definition: str
    state: State
    risk: Annotated[Risk | None, Meta(description="Null unless `state` is open.")]
    next_visit_missed: Annotated[Probability | None, Meta(description="Null unless `state` is open.")]
    reasons: tuple[Reason, ...]
    gaps: Annotated[tuple[str, ...], Meta(description="What the score could not know, in plain words.")]
    traceparent: Traceparent | UnsetType = UNSET


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """Something to try, from the playbook: an offer to the clinician."""

    id: str
    text: str
    why: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something a clinician should know, raised, escalated or resolved. One record for each, in `risk-alerts`."""

    alert_id: Annotated[str, Meta(description="The same for the same log and release, on any run.")]
    episode: EpisodeKey
    clinician_id: Annotated[str | None, Meta(description="Null while no event has named one.")]
    kind: AlertKind
    status: AlertStatus
    at: Moment
    risk: Annotated[Probability | None, Meta(description="At `horizon`; null where the episode is not open.")]
    horizon: Annotated[Horizon | None, Meta(description="Null where `risk` is.")]
    reasons: Annotated[tuple[str, ...], Meta(max_length=3, description="Plain words.")]
    pillar: str | None
    suggestions: tuple[Suggestion, ...]
    also: Annotated[tuple[str, ...], Meta(description="Ids of this episode's other open alerts.")]
    evidence: Annotated[tuple[str, ...], Meta(description="Events, as `<source>#<id>`.")]
    model: Annotated[str, Meta(description="Digest of the release.")]
    why: Annotated[ResolvedBecause, Meta(description="Of a resolved alert: what resolved it.")] | UnsetType = UNSET
    traceparent: Traceparent | UnsetType = UNSET

    @property
    def notice(self) -> str:
        """`<alert_id>.<status>`: an alert takes each status once, so this names one thing told, wherever it is told."""
        return f"{self.alert_id}.{self.status}"

    @property
    def key(self) -> bytes:
        """The key of its record in `risk-alerts`, one of its own, so that compaction removes no alert."""
        return f"{self.episode}#{self.notice}".encode()


_encoder = msgspec.json.Encoder()


def encode_output(output: Score | Alert) -> bytes:
    """The JSON of a score or an alert. Equal values are equal bytes."""
    encoded: bytes = _encoder.encode(output)
    return encoded
