"""Dropout by other definitions than `unilateral-stop@1`: a model that is good by one only is worth less.

Rates of dropout differ twofold by definition alone (Swift & Greenberg 2012, J Consult Clin Psychol 80:547; Hatchett & Park
2003, Psychotherapy 40:226), so a report that states one of them states little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import numpy as np

from keepwell.care.endings import DAY, Spell, target
from keepwell.care.episode import Episode, Live
from keepwell.care.history import AnyEntry, Attendance, End, effective
from keepwell.care.visits import in_force
from keepwell.contract.events import SessionAttended, decode_accepted, micros
from training.constants import constants
from training.dataset.sources import Gathered
from training.evaluate.metrics import Vector
from training.fit.sample import SETTLING_DAYS, Sample

ENOUGH_SESSIONS: Final = 4
"""Of `before-session-4`. Fixed counts in the literature lie between 2 and 9; this one is ours."""
HORIZON: Final = 30
"""Days, of `clinician-judgement`: the headline's."""
HOUR: Final = 3_600_000_000
"""Microseconds; how long a session takes of which neither the beginning nor the duration is told; ours."""


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to call an episode dropped out."""

    name: str
    title: str
    words: str
    source: str


class _Definitions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    definitions: tuple[Definition, ...]


DEFINITIONS: Final = constants(__file__, _Definitions).definitions
OWN, JUDGEMENT, EARLY, PLAN = DEFINITIONS
OTHERS: Final = (JUDGEMENT, EARLY, PLAN)


class EpisodeOutcome(NamedTuple):
    """What became of an episode. `judged` is its one spell by the clinician's word alone; `began` says of each spell when the
    last session attended in it began (µs), None where none was."""

    spells: Sequence[Spell]
    judged: Spell
    sessions: int
    planned: int | None
    began: Sequence[int | None]

    @property
    def over(self) -> bool:
        """Whether its last spell has ended, in whatever way."""
        return self.spells[-1].closed_at is not None


def outcomes(gathered: Gathered) -> dict[str, EpisodeOutcome]:
    """What became of each episode until now, by its key, through the live fold."""
    found = {}
    for stream in gathered.streams:
        for told in stream.told:
            live = Live(Episode(told.key), partial(gathered.instruments.get, told.key.partition("/")[0]))
            began: dict[int, int] = {}
            for payload in told.events:
                event = decode_accepted(payload)
                live.fold(event)
                if isinstance(event, SessionAttended):
                    began[micros(event.time)] = _began(event)
            if live.episode.history:
                found[told.key] = _outcome(live, max(gathered.now, live.episode.latest), began)
    return found


def targets(sample: Sample, found: Mapping[str, EpisodeOutcome], now: int) -> dict[str, Vector]:
    """The targets of each row by the other definitions: 1, 0, or NaN where undetermined, not asked, not settled by `now`
    (µs), or at no moment at which somebody decides."""
    columns = {definition.name: np.full(len(sample.frame), np.nan) for definition in OTHERS}
    rows = zip(sample.frame["episode"].astype(str), sample.as_of.tolist(), sample.session.tolist(), strict=True)
    for row, (episode, at, sessions) in enumerate(rows):
        outcome = found[episode]
        columns[JUDGEMENT.name][row] = _number(target([outcome.judged], at, HORIZON))
        columns[EARLY.name][row] = _number(_short(outcome, sessions, ENOUGH_SESSIONS))
        columns[PLAN.name][row] = _number(_short(outcome, sessions, outcome.planned))
    unsettled = sample.as_of > now - SETTLING_DAYS["60d"] * DAY
    for column in columns.values():
        column[unsettled | ~sample.decisive] = np.nan
    return columns


def _outcome(live: Live, now: int, began: Mapping[int, int]) -> EpisodeOutcome:
    course = live.course
    spells = course.standing.spells_at(now)
    return EpisodeOutcome(
        spells=spells,
        judged=_judged(live, in_force(effective(live.episode.history))),
        sessions=course.sessions,
        planned=course.opening.planned if course.opening is not None else None,
        began=[began[spell.last_attended] if spell.last_attended is not None else None for spell in spells],
    )


def _began(event: SessionAttended) -> int:
    """When a session began that ended at the time of its event: as told, or so long before as it is said to have taken."""
    end, data = micros(event.time), event.data
    if data.started_at is not None:
        return min(micros(data.started_at), end)
    return end - HOUR if data.duration_minutes is None else end - round(data.duration_minutes * HOUR / 60)


def _judged(live: Live, entries: Sequence[AnyEntry]) -> Spell:
    spell = Spell(live.episode.history[0].at)
    for entry in entries:
        if isinstance(entry, Attendance) and live.course.visits.is_session(entry):
            spell.last_attended = entry.at
        if isinstance(entry, End):
            spell.closed_at = entry.at
            spell.ending = "dropout" if entry.reason == "client_stopped" and not entry.mutual else "other"
            break
    return spell


def _short(outcome: EpisodeOutcome, sessions: int, needed: int | None) -> int | None:
    """Whether an episode ended short of `needed` sessions, asked when it had so many; None where it cannot be said."""
    if needed is None or sessions >= needed:
        return None
    if outcome.sessions >= needed:
        return 0
    return 1 if outcome.over else None


def _number(value: int | None) -> float:
    return np.nan if value is None else float(value)
