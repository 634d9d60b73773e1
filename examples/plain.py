"""The yardstick of the examples: a plain logistic regression on counts and times that the same events carry.

It is written as somebody would who has an afternoon and knows nothing of Keepwell: what lies before a moment is counted, a
mark is set where a number is missing, and scikit-learn does the rest. A release has to be as good.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DAY = 86400.0
PENALTY = 0.01
"""Inverse strength of the ridge penalty on standardised columns; ours: of .01, .1 and 1 it ranks best on both real sets."""
WHO = "clinician "
"""Columns of this beginning say who treats."""
Vector = NDArray[np.float64]


class Happened(NamedTuple):
    """An event: seconds since 1970, what it is (`session.attended`), and its data."""

    at: float
    kind: str
    data: Mapping[str, Any]


def foretold(known: pd.DataFrame, target: Vector, asked: pd.DataFrame) -> Vector:
    """The risks of the rows `asked` by a penalised logistic regression on the rows `known` and what came of them. A missing
    number becomes the mean, with a column that says so."""
    model = make_pipeline(
        SimpleImputer(add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=PENALTY, max_iter=2000),
    ).fit(known, target)
    risk: Vector = model.predict_proba(asked.reindex(columns=known.columns))[:, 1]
    return risk


def features(events: Path, pairs: pd.DataFrame) -> pd.DataFrame:
    """A row for each `episode` and `as_of` of the pairs, in their order: what the episode's events up to then say."""
    told = by_episode(events)
    rows = [
        counted(told[episode], datetime.fromisoformat(as_of).timestamp())
        for episode, as_of in zip(pairs["episode"], pairs["as_of"], strict=True)
    ]
    table = pd.DataFrame(rows).astype(float)
    return table.fillna({column: 0.0 for column in table if str(column).startswith(WHO)})


def by_episode(events: Path) -> dict[str, list[Happened]]:
    """The events of each episode in the order of time."""
    found: dict[str, list[Happened]] = defaultdict(list)
    with events.open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            at = datetime.fromisoformat(event["time"]).timestamp()
            kind = event["type"].removeprefix("keepwell.").removesuffix(".v1")
            found[f"{event['source'].split('/')[1]}/{event['subject']}"].append(Happened(at, kind, event["data"]))
    return {episode: sorted(happened, key=lambda one: one.at) for episode, happened in found.items()}


def counted(events: Iterable[Happened], now: float) -> dict[str, float | None]:
    """The counts and times of one episode, from nothing after `now`."""
    past = [event for event in events if event.at <= now]
    times: dict[str, list[float]] = defaultdict(list)
    starts: dict[str, float] = {}
    settled: set[str] = set()
    early: list[float] = []
    for event in past:
        times[event.kind].append(event.at)
        appointment = event.data.get("appointment_id")
        if "starts_at" in event.data:
            starts[event.data["appointment_id"]] = datetime.fromisoformat(event.data["starts_at"]).timestamp()
        elif appointment is not None and event.kind != "measure.completed":
            settled.add(appointment)
            if event.kind == "session.attended" and appointment in starts:
                early.append((starts[appointment] - event.at) / DAY)
    opened = next((event for event in past if event.kind == "episode.opened"), past[0])
    attended, missed = times["session.attended"], times["appointment.missed"]
    open_starts = [at for appointment, at in starts.items() if appointment not in settled]
    ahead = sorted(at for at in open_starts if at > now)
    row: dict[str, float | None] = {
        "days": (now - opened.at) / DAY,
        "planned": opened.data.get("planned_sessions"),
        "earlier_episodes": opened.data.get("previous_episodes"),
        "attended": len(attended),
        "missed": len(missed),
        "cancelled": len(times["appointment.cancelled"]),
        "moved": len(times["appointment.rescheduled"]),
        "booked_ahead": len(ahead),
        "unrecorded": len(open_starts) - len(ahead),
        "missed_share": _mean([0.0] * len(attended) + [1.0] * len(missed)),
        "missed_since": sum(at > max(attended, default=0.0) for at in missed),
        "attended_28_days": sum(at > now - 28 * DAY for at in attended),
        "days_since_attended": _since(attended, now),
        "days_since_missed": _since(missed, now),
        "days_since_anything": _since([event.at for event in past], now),
        "days_to_next": (ahead[0] - now) / DAY if ahead else None,
        "days_to_first": (min(starts.values()) - opened.at) / DAY if starts else None,
        "days_early": _mean(early),
        "days_early_last": early[-1] if early else None,
    }
    done = [event.data["completion"] for event in past if event.kind == "homework.reviewed"]
    row |= {"homework": len(times["homework.assigned"]), "reviewed": len(done), "done": _mean(done)}
    row |= {"done_last": done[-1] if done else None, f"{WHO}{opened.data.get('clinician_id')}": 1.0}
    return row | _scores(past, now)


def _scores(past: Iterable[Happened], now: float) -> dict[str, float | None]:
    """Of each instrument the number of times, the first and last total, and the days since."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for event in past:
        if event.kind == "measure.completed" and "total" in event.data["scores"]:
            found[event.data["instrument"]].append((event.at, event.data["scores"]["total"]))
    row: dict[str, float | None] = {}
    for name, ratings in found.items():
        scores = [score for _, score in ratings]
        row |= {f"{name}_times": len(scores), f"{name}_last": scores[-1], f"{name}_mean": _mean(scores)}
        row |= {f"{name}_change": scores[-1] - scores[0], f"{name}_days": (now - ratings[-1][0]) / DAY}
    return row


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _since(times: list[float], now: float) -> float | None:
    return (now - times[-1]) / DAY if times else None
