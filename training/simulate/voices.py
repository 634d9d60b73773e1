"""What clients say and what clinics break in drawn worlds: each leaves a moment, from which its effect on strain fades."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np

from keepwell.contract.words import PILLARS
from training.simulate.people import DAY, Bools, Floats, Ints, People
from training.simulate.presets import Voices, World

WISHES: Final[tuple[Literal["approach", "clinician", "format"], ...]] = ("approach", "clinician", "format")
SIGNALS: Final = (
    *(f"negative_{pillar}" for pillar in PILLARS), *(f"wish_{wish}" for wish in WISHES), "positive", "met", "complaint",
    "reply", "cancelled_by_clinic", "moved_by_clinic", "stand_in", "changed_by_clinic", "changed_by_request",
    "late_cancellation",
)  # fmt: skip
"""The columns of `People.signals`. A wish, once met, is forgotten for `met`."""
(
    POSITIVE, MET, COMPLAINT, REPLY, CANCELLED_BY_CLINIC, MOVED_BY_CLINIC, STAND_IN, CHANGED_BY_CLINIC,
    CHANGED_BY_REQUEST, LATE_CANCELLATION,
) = range(len(PILLARS) + len(WISHES), len(SIGNALS))  # fmt: skip
WISH: Final = len(PILLARS)
"""The first wish."""
HOLDS: Final = 60 * DAY
"""How long an effect holds, or half the time in which it fades; as `keepwell.scoring.features` reads recent. Ours."""
FEEDBACK_AT, COMPLAINT_AT, HANDOVER_AT, MET_AT, REPLY_AT = 8.0, 9.0, 10.0, 11.0, 13.0
"""Minutes after a session."""


class Voiced(NamedTuple):
    """What else a session of a drawn world leaves in the log, a row a person."""

    pillar: Ints
    """That feedback is about: a row of `PILLARS`."""
    wish: Ints
    """A row of `WISHES`, or -1."""
    met: Ints
    """An open wish for another approach (0) or format (2) that is met, or -1."""
    complaint: Bools
    reply: Bools
    stand_in: Bools


def pull(people: People, world: World, at: Floats) -> Floats:
    """Strain from all that is remembered, at the moment `at`."""
    age = (at[:, None] - people.signals) / HOLDS
    left = np.clip(1.0 - age / 2, 0.0, 1.0) if world.fading else (age <= 1.0).astype(np.float64)
    return np.asarray(np.nan_to_num(left, copy=False) @ np.array(world.signals), dtype=np.float64)


def remember(people: People, signal: int, rows: Bools, at: Floats | float) -> None:
    """Keeps `at` as the moment of a signal, where a world has any."""
    if people.signals.shape[1]:
        people.signals[:, signal] = np.where(rows, at, people.signals[:, signal])


def wishes(people: People, wish: int) -> Bools:
    """Who has an open wish: one of the last `HOLDS`."""
    at = people.signals[:, WISH + wish]
    return np.asarray(people.last - at <= HOLDS)


def speak(
    people: People, voices: Voices, rng: np.random.Generator, *, upset: Bools, at_fault: Ints, notes_after: float
) -> tuple[Ints, Voiced]:
    """Feedback, wishes, complaints and replies at the end of a session, and wishes that are met in it. Returns the sentiment
    (-1, 0, 1, or 9 where no feedback was given) and the rest."""
    n = len(people)
    end = people.last + notes_after
    met: Ints = np.full(n, -1)
    for wish in (0, 2):
        granted = wishes(people, wish) & (rng.random(n) < voices.met)
        met = np.where(granted, wish, met)
        people.signals[granted, WISH + wish] = np.nan
    remember(people, MET, met >= 0, end + MET_AT)

    given = rng.random(n) < voices.feedback + voices.strained_feedback * upset
    draw = rng.random(n)
    negative = np.where(upset, 0.5 + voices.negative / 2, voices.negative)
    positive = (1 - negative) * voices.positive
    sentiment = np.where(draw < negative, -1, np.where(draw < 1 - positive, 0, 1))
    pillar = np.where(upset & (rng.random(n) < 0.5), at_fault, rng.integers(0, len(PILLARS), n))
    is_negative, is_positive = given & (sentiment == -1), given & (sentiment == 1)
    answered = np.flatnonzero(given & (sentiment != -1))
    people.signals[answered, pillar[answered]] = np.nan
    spoken = np.flatnonzero(is_negative)
    people.signals[spoken, pillar[spoken]] = end[spoken] + FEEDBACK_AT
    remember(people, POSITIVE, is_positive, end + FEEDBACK_AT)

    asks = given & (rng.random(n) < voices.wishing * np.where(sentiment == -1, 1.0, np.where(sentiment == 0, 0.5, 0.0)))
    asks &= met < 0  # who is just being answered asks for no more
    wanted = np.where(asks, rng.integers(0, len(WISHES), n), -1)
    # A positive word ends the wishes before it, and a new wish stands for those before it.
    ends = np.flatnonzero(is_positive | asks)
    people.signals[ends, WISH : WISH + len(WISHES)] = np.nan
    wishing = np.flatnonzero(asks)
    people.signals[wishing, WISH + wanted[wishing]] = end[wishing] + FEEDBACK_AT

    complaint, reply = rng.random(n) < voices.complaint, rng.random(n) < voices.reply
    remember(people, COMPLAINT, complaint, end + COMPLAINT_AT)
    remember(people, REPLY, reply, end + REPLY_AT)
    stand_in = rng.random(n) < voices.stand_in
    remember(people, STAND_IN, stand_in, people.last)
    return np.where(given, sentiment, 9), Voiced(pillar, wanted, met, complaint, reply, stand_in)
