"""What the read model holds of episodes: their events folded, their scores, their alerts with what was answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from keepwell.care.episode import Live, episode_from
from keepwell.care.instruments import Instruments
from keepwell.contract.events import AnyEvent, decode_accepted, rfc3339
from keepwell.contract.outputs import Alert, Score
from services.clinician.items import ANSWERING, Told, answers_of
from services.clinician.projector import registered
from services.clinician.sent import sent
from services.clinician.tables import alerts, episodes, events, scores
from services.clinician.views import Answer, AnsweredAlert

_score = msgspec.json.Decoder(Score)
_alert = msgspec.json.Decoder(Alert)


def told(connection: sa.Connection, rows: Sequence[sa.Row[Any]], *, whole: bool = False) -> list[Told]:
    """Episodes with their events folded, their scores and alerts, but for those that were erased since their rows were read.
    Without `whole`: only open alerts."""
    if not rows:
        return []
    keys = [row.key for row in rows]
    known = registered(connection)
    happened: dict[str, list[AnyEvent]] = defaultdict(list)
    asked = sa.select(events.c.episode, events.c.value).where(events.c.episode.in_(keys))
    for key, value in connection.execute(asked.order_by(events.c.partition, events.c.offset)):
        happened[key].append(decode_accepted(value))
    waiting = _on_their_way(connection, keys)
    given = {key: answers_of(happened[key], waiting[key]) for key in keys}
    scored = _history(connection, keys) if whole else _ends(connection, keys)
    raised: dict[str, list[AnsweredAlert]] = defaultdict(list)
    held = sa.select(alerts).where(alerts.c.episode.in_(keys)).order_by(alerts.c.raised_at.desc(), alerts.c.id)
    for row in connection.execute(held if whole else held.where(alerts.c.status != "resolved")):
        raised[row.episode].append(answered(row, given[row.episode]))
    return [
        Told(
            row, _folded(row.key, happened[row.key], known), happened[row.key], scored[row.key], raised[row.key],
            given[row.key],
        )
        for row in rows
        if happened[row.key]
    ]  # fmt: skip


def _history(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[Score]]:
    """Every score of these episodes, in the order of the log."""
    found: dict[str, list[Score]] = defaultdict(list)
    asked = sa.select(scores.c.episode, scores.c.value).where(scores.c.episode.in_(keys))
    for key, value in connection.execute(asked.order_by(scores.c.partition, scores.c.offset)):
        found[key].append(_score.decode(value))
    return found


def _ends(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[Score]]:
    """Of each episode's scores what a row of a list tells of: the newest, and before it the newest with a risk from before
    the last session."""
    of, newest = scores.alias(), scores.alias()
    last = sa.select(sa.func.max(newest.c.as_of)).where(newest.c.episode == episodes.c.key)
    moments = (last, last.where(newest.c.as_of < episodes.c.last_session))
    asked = (
        sa.select(of.c.episode, of.c.value)
        .select_from(episodes.join(of, of.c.episode == episodes.c.key))
        .where(episodes.c.key.in_(keys), sa.or_(*(of.c.as_of == one.scalar_subquery() for one in moments)))
        .order_by(of.c.partition, of.c.offset)
    )
    found: dict[str, list[Score]] = defaultdict(list)
    for key, value in connection.execute(asked):
        found[key].append(_score.decode(value))
    without = [key for key, ends in found.items() if len(ends) > 1 and ends[0].risk is None]
    return found | _history(connection, without) if without else found


def _folded(key: str, told: Sequence[AnyEvent], known: Instruments) -> Live:
    return Live(episode_from(key, told), partial(known.get, key.partition("/")[0]))


def answers_to(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[Answer]]:
    happened: dict[str, list[AnyEvent]] = defaultdict(list)
    asked = sa.select(events.c.episode, events.c.value).where(events.c.episode.in_(keys), events.c.type.in_(ANSWERING))
    for key, value in connection.execute(asked.order_by(events.c.partition, events.c.offset)):
        happened[key].append(decode_accepted(value))
    waiting = _on_their_way(connection, keys)
    return defaultdict(list, {key: answers_of(happened[key], waiting[key]) for key in keys})


def _on_their_way(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[AnyEvent]]:
    """What users sent about episodes, by episode in the order of sending, whether it came back or not."""
    found: dict[str, list[AnyEvent]] = defaultdict(list)
    for row in connection.execute(sa.select(sent).where(sent.c.episode.in_(keys)).order_by(sent.c.at)):
        found[row.episode].append(decode_accepted(row.value))
    return found


def answered(row: sa.Row[Any], given: Sequence[Answer]) -> AnsweredAlert:
    return AnsweredAlert(
        alert=_alert.decode(row.value), raised_at=rfc3339(row.raised_at),
        answers=tuple(one for one in given if one.alert_id == row.id),
    )  # fmt: skip
