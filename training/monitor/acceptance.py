"""What became of alerts that were shown: whether, how soon and how they were answered. By kind, never by clinician."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

import msgspec

from keepwell.care.endings import DAY
from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instruments
from keepwell.contract.events import AlertActioned, decode_accepted, micros
from keepwell.contract.words import Action
from training.dataset.replay import Told
from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.metrics import quartiles

ALL: Final = "all"
WAIT_DAYS: Final = 7
"""Alerts of the last days before the end of the data are left out: clinicians see clients about once a week; ours."""
HOUR: Final = DAY // 24
_ANSWER: Final = str(AlertActioned.__struct_config__.tag).encode()


class Shown(msgspec.Struct, frozen=True):
    """A record of an alert, as far as it is counted."""

    alert_id: str
    episode: str
    kind: str
    status: str
    at: datetime


class Given(NamedTuple):
    """An answer to an alert. `at` in µs."""

    alert_id: str
    at: int
    action: Action
    helpful: bool | None


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """Of the alerts of one kind, or of all. Shares are of alerts; `by_answer` counts an alert once for each kind of
    answer it got. `hours` to the first answer: lower quartile, median, upper quartile of those answered. `helpful` is
    the share called so, of the `rated` alerts whose answers say. `gap` says why figures are missing."""

    kind: str
    alerts: int = 0
    answered: float | None = None
    by_answer: dict[str, float] = {}
    hours: tuple[float, float, float] | None = None
    helpful: float | None = None
    rated: int = 0
    gap: str | None = None


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """`recent` alerts are left out, as they may yet be answered. So are `unplaced` ones, of which the log still holds
    only that they were resolved, in the window or after it."""

    kinds: tuple[Answers, ...] = ()
    recent: int = 0
    unplaced: int = 0
    gap: str | None = None


def decoded(values: Iterable[bytes]) -> list[Shown]:
    """The records of alerts. Raises `msgspec.ValidationError` where one is none."""
    return [msgspec.json.decode(value, type=Shown) for value in values]


def answers(told: Iterable[Told], instruments: Instruments) -> list[Given]:
    """The answers that are in force: neither retracted nor corrected."""
    found = []
    for episode in told:
        if not any(_ANSWER in value for value in episode.events):
            continue
        live = Live(Episode(episode.key), partial(instruments.get, episode.key.partition("/")[0]))
        given = []
        for event in map(decode_accepted, episode.events):
            if live.fold(event) == "taken" and isinstance(event, AlertActioned):
                given.append(event)
        found += [
            Given(event.data.alert_id, micros(event.time), event.data.action, event.data.helpful)
            for event in given
            if live.holds(event.source, event.id)
        ]
    return found


def acceptance(
    records: Sequence[Shown], given: Iterable[Given], clients: Mapping[str, str], *, since: int, until: int, now: int
) -> Acceptance:
    """Counts the alerts shown from `since` to `until`; `now` is the end of the data (all µs). `clients` are those of
    episodes."""
    first: dict[str, Shown] = {}
    for record in sorted(records, key=lambda record: record.at):
        if record.status != "resolved":
            first.setdefault(record.alert_id, record)
    shown = [record for record in first.values() if since <= micros(record.at) <= until]
    settled = [record for record in shown if micros(record.at) <= now - WAIT_DAYS * DAY]
    if not settled:
        return Acceptance(gap="no alert was shown in the window, or none long enough ago to be answered")
    by_alert: dict[str, list[Given]] = {}
    for answer in sorted(given, key=lambda answer: answer.at):
        by_alert.setdefault(answer.alert_id, []).append(answer)
    kinds = [ALL, *sorted({record.kind for record in settled})]
    return Acceptance(
        kinds=tuple(
            _answers(kind, [each for each in settled if kind in (ALL, each.kind)], by_alert, clients) for kind in kinds
        ),
        recent=len(shown) - len(settled),
        unplaced=len({record.alert_id for record in records if micros(record.at) >= since} - set(first)),
    )


def _answers(
    kind: str, shown: Sequence[Shown], by_alert: Mapping[str, Sequence[Given]], clients: Mapping[str, str]
) -> Answers:
    if len({clients.get(alert.episode, alert.episode) for alert in shown}) < LEAST_CLIENTS:
        return Answers(kind=kind, gap=f"alerts about fewer than {LEAST_CLIENTS} clients: not shown")
    got = [(alert, by_alert[alert.alert_id]) for alert in shown if alert.alert_id in by_alert]
    hours = [max(0, answers[0].at - micros(alert.at)) / HOUR for alert, answers in got]
    actions = Counter(action for _, answers in got for action in {answer.action for answer in answers})
    said = [[answer.helpful for answer in answers if answer.helpful is not None] for _, answers in got]
    rated = [ratings[-1] for ratings in said if ratings]
    return Answers(
        kind=kind,
        alerts=len(shown),
        answered=len(got) / len(shown),
        by_answer={action: count / len(shown) for action, count in sorted(actions.items())},
        hours=quartiles(hours),
        helpful=sum(rated) / len(rated) if rated else None,
        rated=len(rated),
    )
