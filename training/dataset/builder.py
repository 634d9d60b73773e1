"""Builds the landmark table: sources are gathered by episode, episodes replayed in parallel, their rows put together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from keepwell.care.endings import DEFINITION
from keepwell.contract.events import InstrumentRegistered, rfc3339
from keepwell.scoring.scorecard import OUTPUTS
from keepwell.streams.worker.process import rare_collections
from training.dataset.landmarks import KINDS, moments_of
from training.dataset.replay import Replayer, Rows, Ticks, Told
from training.dataset.sources import Gathered, Source, Stream, gather, shown_in_files
from training.dataset.table import FACT_COLUMNS, FEATURE_COLUMNS, SIGNAL_COLUMNS, TARGET_COLUMNS, About, Counts, Dataset

CHUNK: Final = 20_000
"""Events a chunk, about: some seconds of work, and little enough to keep every worker busy to the end."""


def build(
    source: Source,
    *,
    registrations: Sequence[InstrumentRegistered] = (),
    as_of: datetime | None = None,
    alerts: Sequence[str | Path] = (),
    n_jobs: int = 1,
) -> Dataset:
    """The landmark table of a source.

    `registrations` are of clinics' own instruments, besides those that a log holds. Outcomes are known until `as_of`
    (default: the time of the last event), and nothing later is looked at. `alerts` are files of alerts that were shown; a log
    is asked for its own. `n_jobs` is joblib's, and so is the backend (`joblib.parallel_config`): the rows do not depend on
    either. Raises what `sources.gather` raises.
    """
    with rare_collections():
        gathered = gather(source, registrations, as_of, shown_in_files(alerts))
    return table(gathered, n_jobs)


def table(gathered: Gathered, n_jobs: int = 1) -> Dataset:
    """The landmark table of what was gathered already, for those who need both: a log goes on while it is read."""
    replayer = Replayer(gathered.instruments, gathered.now)
    parts: list[Rows] = Parallel(n_jobs=n_jobs)(
        delayed(_replayed)(replayer, chunk, ticks) for chunk, ticks in _chunks(gathered.streams)
    )
    return _dataset(parts, gathered)


def _replayed(replayer: Replayer, chunk: Sequence[Told], ticks: Ticks) -> Rows:
    with rare_collections():
        return replayer.replay(chunk, ticks)


def _chunks(streams: Sequence[Stream]) -> Iterator[tuple[list[Told], Ticks]]:
    for stream in streams:
        chunk: list[Told] = []
        events = 0
        for told in stream.told:
            chunk.append(told)
            events += len(told.events)
            if events >= CHUNK:
                yield chunk, stream.ticks
                chunk, events = [], 0
        if chunk:
            yield chunk, stream.ticks


def _dataset(parts: list[Rows], gathered: Gathered) -> Dataset:
    episodes = [name for part in parts for name in part.episodes]
    facts = _facts(parts, episodes)
    targets = pd.DataFrame(_joined([part.targets for part in parts], len(OUTPUTS)), columns=list(TARGET_COLUMNS))
    features = pd.DataFrame(_features(parts), columns=list(FEATURE_COLUMNS), copy=False)
    none = np.empty((0, len(SIGNAL_COLUMNS)), dtype=np.int64)
    signals = pd.DataFrame(np.concatenate([none, *(part.signals for part in parts)]), columns=list(SIGNAL_COLUMNS))
    frame = pd.concat([facts, features, targets, signals], axis=1)
    if len(gathered.streams) > 1:
        frame = frame.sort_values(["episode", "as_of"], ignore_index=True)
    frame.insert(len(FACT_COLUMNS) - 1, FACT_COLUMNS[-1], pd.Series(moments_of(frame)))
    fairness = pd.DataFrame(
        [found for part in parts for found in part.fairness], index=pd.Index(episodes, name="episode", dtype="str")
    )
    digests = sorted(digest for part in parts for digest in part.digests)
    counts = Counts(
        events=len(digests),
        refused=gathered.refused,
        later=gathered.later,
        erased=gathered.erased,
        clients=len({name for part in parts for name in part.clients}),
        episodes=len(episodes),
        rows=len(frame),
        undetermined={name: int(targets[f"target_{name}"].isna().sum()) for name in OUTPUTS},
        positive={name: int(targets[f"target_{name}"].sum()) for name in OUTPUTS},
    )
    about = About(
        fingerprint="sha256:" + hashlib.sha256(b"".join(digests)).hexdigest(),
        as_of=rfc3339(gathered.now),
        definition=DEFINITION,
        features=FEATURE_COLUMNS,
        counts=counts,
    )
    return Dataset(frame, fairness.sort_index(), about)


def _facts(parts: Sequence[Rows], episodes: Sequence[str]) -> pd.DataFrame:
    lengths = np.array([n for part in parts for n in part.lengths], dtype=np.int64)
    of = np.repeat(np.arange(len(episodes)), lengths)
    opened = np.array([at for part in parts for at in part.opened_at], dtype=np.int64)
    everything = np.arange(len(of))
    return pd.DataFrame(
        {
            "episode": _names(episodes, of),
            "clinic": _names([name.partition("/")[0] for name in episodes], of),
            "client": _names([name for part in parts for name in part.clients], of),
            "clinician": _names([name for part in parts for name in part.clinician], everything),
            "opened_at": _moments(opened[of]),
            "as_of": _moments(np.concatenate([part.as_of for part in parts] or [_NO_TIMES])),
            "session": np.concatenate([part.session for part in parts] or [_NO_COUNTS]),
            "kind": pd.Categorical([KINDS[n] for part in parts for n in part.kind], categories=KINDS),
            "ending": _names([ending for part in parts for ending in part.ending], everything),
            "alerted": np.concatenate([part.alerted for part in parts] or [_NO_FLAGS]),
            "acted": np.concatenate([part.acted for part in parts] or [_NO_FLAGS]),
            "gaps": np.concatenate([part.gaps for part in parts] or [_NO_GAPS]),
        }
    )


_NO_TIMES: Final = np.empty(0, dtype=np.int64)
_NO_COUNTS: Final = np.empty(0, dtype=np.int32)
_NO_FLAGS: Final = np.empty(0, dtype=np.bool_)
_NO_GAPS: Final = np.empty(0, dtype=np.uint8)


def _features(parts: list[Rows]) -> NDArray[np.float64]:
    """The features of all parts as one matrix. It is most of a dataset, so each part is let go of as soon as it is copied."""
    matrix = np.empty((sum(len(part.features) for part in parts), len(FEATURE_COLUMNS)))
    end = 0
    for n, part in enumerate(parts):
        start, end = end, end + len(part.features)
        matrix[start:end] = part.features
        parts[n] = part._replace(features=matrix[:0])
    return matrix


def _joined(tables: Sequence[NDArray[np.float64]], width: int) -> NDArray[np.float64]:
    return np.concatenate([np.empty((0, width)), *tables])


def _names(names: Sequence[str | None], of: NDArray[np.int64]) -> pd.Categorical:
    """Names as codes, sorted; None is missing."""
    codes, unique = pd.factorize(np.array(names, dtype=object), sort=True)
    return pd.Categorical.from_codes(codes[of], categories=pd.Index(unique, dtype="str"))


def _moments(micros: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(micros.view("datetime64[us]"), tz="UTC")
