"""The leakage audit: three ways in which a table could know its answers, each tried, and what was found written down.

1. The future: what happens after a row is taken away, thinned, replaced by another person's, or takes back all that went
   before. No feature of the row may move.
2. The answers: targets are dealt out to other clients. A fit to them must be worth nothing on clients held out.
3. The tell-tale column: a single feature that ranks an outcome better than anything honest can is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]  # scipy has no types
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from keepwell.contract.events import AnyEvent, EventRetracted, Retracted, decode_accepted, encode, micros
from keepwell.scoring.features import FEATURES
from keepwell.scoring.scorecard import OUTPUTS
from training.dataset.replay import Replayer, Rows, Ticks, Told
from training.dataset.sources import Gathered
from training.dataset.split import hold_out
from training.dataset.table import FEATURE_COLUMNS

CEILING: Final = 0.85
"""AUROC above which a single feature is taken for a leak: whole models reach .70 to .80 in the literature (DESIGN
section 1)."""
TOLERANCE: Final = 0.02
"""How far from .5 the mean AUROC on dealt-out targets may lie where chance does not allow for more."""
DEALS: Final = 10
"""Times that targets are dealt out."""
SAMPLE: Final = 200
"""Episodes whose future is changed, and then again in each of the other ways."""
LEAST_ROWS: Final = 200
"""Rows of each side, with both answers among them, below which a fit says nothing."""


class Suspect(msgspec.Struct, frozen=True):
    """A feature that alone ranks an output with this AUROC, whichever way round."""

    feature: str
    output: str
    auroc: float


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit found. `moved`: by feature, rows whose value a change of the future moved, of `compared` rows;
    `dealt`: by output, the AUROC of each deal (none where there are too few rows)."""

    compared: int
    moved: dict[str, int]
    dealt: dict[str, tuple[float, ...]]
    suspects: tuple[Suspect, ...]

    @property
    def findings(self) -> list[str]:
        """What is wrong, a sentence each; empty where nothing was found."""
        found = [
            f"{name} knows the future: it moved in {count} of {self.compared} rows"
            for name, count in self.moved.items()
        ]
        for output, values in self.dealt.items():
            if values and abs(np.mean(values) - 0.5) > _allowed(values):
                found.append(f"target {output} dealt out at random is foretold with an AUROC of {np.mean(values):.3f}")
        found.extend(f"{s.feature} alone ranks {s.output} with an AUROC of {s.auroc:.3f}" for s in self.suspects)
        return found


def audit(gathered: Gathered, replayer: Replayer, frame: pd.DataFrame, seed: int = 0) -> Audit:
    """The whole audit of a table `frame` that `replayer` made of `gathered`."""
    moved, compared = moved_by_the_future(gathered, replayer, seed)
    return Audit(
        compared=compared, moved=moved, dealt={output: dealt(frame, output, seed) for output in OUTPUTS},
        suspects=tuple(suspects(frame)),
    )  # fmt: skip


# ── 1. the future ───────────────────────────────────────────────────────────────────────────────────────


def moved_by_the_future(gathered: Gathered, replayer: Replayer, seed: int = 0) -> tuple[dict[str, int], int]:
    """By feature, how many rows of a sample of episodes moved when what came after them changed; and how many were compared.

    A row that came or went counts as moved in all features.
    """
    rng = np.random.default_rng(seed)
    moved = np.zeros(len(FEATURES), dtype=np.int64)
    compared = 0
    for ticks, told, other in _sampled(gathered, rng):
        place = told.places[int(rng.integers(len(told.places)))]
        cut = sum(p <= place for p in told.places)
        before = replayer.replay([told], ticks)
        # A row of the last moment may yet change while the moment lasts; those before it are past.
        until = _moment(told, cut, ticks)
        for change in CHANGES.values():
            later = change(told, cut, other, rng)
            after = replayer.replay([_with_future(told, cut, later, gathered.order == "time")], ticks)
            moved += _moved(before, after, until)
            compared += int((before.as_of < until).sum())
    return {name: int(n) for name, n in zip(FEATURE_COLUMNS, moved, strict=True) if n}, compared


Change = Callable[[Told, int, Told, np.random.Generator], list[AnyEvent]]
"""From an episode, how many of its events stay, and another episode, to the events that come after instead."""


def _removed(told: Told, cut: int, other: Told, rng: np.random.Generator) -> list[AnyEvent]:
    return []


def _thinned(told: Told, cut: int, other: Told, rng: np.random.Generator) -> list[AnyEvent]:
    return [decode_accepted(value) for value in told.events[cut:] if rng.random() < 0.5]


def _replaced(told: Told, cut: int, other: Told, rng: np.random.Generator) -> list[AnyEvent]:
    events = [decode_accepted(value) for value in other.events]
    return [msgspec.structs.replace(event, id=f"audit-{n}-{event.id}") for n, event in enumerate(events)]


def _taken_back(told: Told, cut: int, other: Told, rng: np.random.Generator) -> list[AnyEvent]:
    known = [decode_accepted(value) for value in told.events[:cut]]
    return [
        EventRetracted(
            specversion="1.0", id=f"audit-{n}", source=event.source, subject=event.subject, time=event.time,
            data=Retracted(event_id=event.id),
        )
        for n, event in enumerate(known)
    ]  # fmt: skip


CHANGES: Final[Mapping[str, Change]] = {
    "removed": _removed, "thinned": _thinned, "replaced": _replaced, "taken back": _taken_back,
}  # fmt: skip
"""Ways to change what comes after a moment."""


def _sampled(gathered: Gathered, rng: np.random.Generator) -> Iterator[tuple[Ticks, Told, Told]]:
    """Episodes at random, each with the clock of its stream and another episode of it."""
    for stream in gathered.streams:
        share = SAMPLE * len(stream.told) / max(sum(len(s.told) for s in gathered.streams), 1)
        count = min(len(stream.told), int(np.ceil(share)))
        for n in rng.choice(len(stream.told), count, replace=False):
            yield stream.ticks, stream.told[n], stream.told[int(rng.integers(len(stream.told)))]


def _moment(told: Told, cut: int, ticks: Ticks) -> int:
    """The `as_of` that a row would have had after the first `cut` events."""
    ticked = int(np.searchsorted(ticks.places, told.places[cut - 1]))
    latest = max(micros(decode_accepted(value).time) for value in told.events[:cut])
    return max(latest, int(ticks.moments[ticked - 1])) if ticked else latest


def _with_future(told: Told, cut: int, later: Sequence[AnyEvent], by_time: bool) -> Told:
    """An episode with other events after the first `cut`. Where places are times, none happens before the cut."""
    place = told.places[cut - 1]
    if not by_time:
        places = [place + 1 + n for n in range(len(later))]
        return told._replace(places=[*told.places[:cut], *places], events=[*told.events[:cut], *map(encode, later)])
    past = [micros(event.time) for event in later if micros(event.time) <= place]
    shift = place - min(past) + 1 if past else 0
    moved = [
        msgspec.structs.replace(event, time=event.time + timedelta(microseconds=shift))
        if micros(event.time) <= place
        else event
        for event in later
    ]
    moved.sort(key=lambda event: event.time)
    places = [micros(event.time) for event in moved]
    return told._replace(places=[*told.places[:cut], *places], events=[*told.events[:cut], *map(encode, moved)])


def _moved(before: Rows, after: Rows, until: int) -> NDArray[np.int64]:
    """By feature, the rows before a moment that are not what they were."""
    old, new = before.as_of < until, after.as_of < until
    if not np.array_equal(before.as_of[old], after.as_of[new]):
        return np.full(len(FEATURES), max(int(old.sum()), 1), dtype=np.int64)
    one, other = before.features[old], after.features[new]
    moved: NDArray[np.int64] = ((one != other) & ~(np.isnan(one) & np.isnan(other))).sum(axis=0)
    return moved


# ── 2. the answers ──────────────────────────────────────────────────────────────────────────────────────


def dealt(frame: pd.DataFrame, output: str, seed: int = 0) -> tuple[float, ...]:
    """AUROC on clients held out, of quick fits to targets that were dealt out to other clients; none for too few rows.

    Each client gets the targets of another, in their order from a random place on: what is alike within a client stays
    alike, so a split that tears a client apart shows as well.
    """
    rows = frame[frame[f"target_{output}"].notna()].sort_values(["client", "as_of"], ignore_index=True)
    table = rows[list(FEATURE_COLUMNS)].to_numpy()
    truth = rows[f"target_{output}"].to_numpy(dtype=np.int64)
    bounds = np.flatnonzero(np.diff(rows["client"].cat.codes.to_numpy(), prepend=-1, append=-1))
    found = []
    for deal in range(DEALS):
        split = hold_out(rows, share=0.5, seed=seed + deal)
        target = _deal(truth, bounds, np.random.default_rng(seed + deal))
        if not all(_enough(target[side]) for side in split):
            return ()
        model = DecisionTreeClassifier(max_leaf_nodes=100, min_samples_leaf=20, random_state=0)
        model.fit(table[split.train], target[split.train])
        risks = model.predict_proba(table[split.test])[:, 1]
        found.append(_auroc(target[split.test], risks))
    return tuple(found)


def _deal(truth: NDArray[np.int64], bounds: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The targets of each client (rows from one bound to the next) from another one, turned round by a random number. Several
    may get those of one: were each client's dealt out once, what one half got by chance the other would lack."""
    clients = len(bounds) - 1
    givers = (np.arange(clients) + rng.integers(1, max(clients, 2), clients)) % clients
    out = np.empty_like(truth)
    for taker, giver in enumerate(givers):
        given = truth[bounds[giver] : bounds[giver + 1]]
        length = bounds[taker + 1] - bounds[taker]
        out[bounds[taker] : bounds[taker + 1]] = np.resize(np.roll(given, rng.integers(len(given))), length)
    return out


def _allowed(values: Sequence[float]) -> float:
    """How far from .5 a mean may lie: the tolerance, or four standard errors where chance makes more of it."""
    return max(TOLERANCE, 4 * float(np.std(values, ddof=1) / np.sqrt(len(values))))


def _enough(target: NDArray[np.int64]) -> bool:
    return len(target) >= LEAST_ROWS and 0 < target.sum() < len(target)


# ── 3. the tell-tale column ─────────────────────────────────────────────────────────────────────────────


def suspects(frame: pd.DataFrame, columns: Sequence[str] = FEATURE_COLUMNS) -> Iterator[Suspect]:
    """Columns that alone rank an output with an AUROC above `CEILING`, whichever way round, or by being missing."""
    for output in OUTPUTS:
        target = frame[f"target_{output}"].to_numpy()
        known = ~np.isnan(target)
        answers = target[known]
        if not _enough(answers):
            continue
        for name in columns:
            values = frame[name].to_numpy(dtype=np.float64)[known]
            gone = np.isnan(values)
            readings = [values]
            if gone.any():
                readings = [np.where(gone, fill, values) for fill in (-np.inf, np.inf)] + [gone.astype(np.float64)]
            areas = [_auroc(answers, reading) for reading in readings]
            auroc = max(max(area, 1 - area) for area in areas)
            if auroc > CEILING:
                yield Suspect(name, output, auroc)


def _auroc(target: NDArray[Any], values: NDArray[np.float64]) -> float:
    """The area under the ROC curve; of ranks, so that infinities may stand for what is missing."""
    return float(roc_auc_score(target, rankdata(values)))
