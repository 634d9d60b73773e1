"""The monitoring of a release over a window of events: every figure of `monitor.json`, in types."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.care.instruments import Instruments
from keepwell.contract.events import EpisodeOpened, decode_accepted, micros, rfc3339
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS
from models.release import Release
from training.dataset import Dataset
from training.dataset.replay import Told
from training.evaluate.report import SIMULATED_SERVICE, OfRelease, risks_of
from training.fit.reference import Reference
from training.fit.sample import sample_of
from training.monitor.acceptance import Acceptance, Shown, acceptance, answers
from training.monitor.calibration import Calibrated, calibrated
from training.monitor.drift import Drift, drift
from training.monitor.gaps import Gaps, gaps
from training.monitor.suggest import Advice, suggest

FORMAT: Final = 1
_OPENED: Final = str(EpisodeOpened.__struct_config__.tag).encode()

Chosen = Literal["named", "in use in the log", "shipped"]
"""How the release was come by."""


class Window(NamedTuple):
    """From when until when moments are looked at; None: from the first, to the last."""

    since: datetime | None = None
    until: datetime | None = None


class Subject(NamedTuple):
    """The release that is monitored, its reference if it has one, and how it was chosen."""

    release: Release
    reference: Reference | None
    chosen: Chosen


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures rest on. `since` and `until` are the first and last moment in the window, `as_of` until when
    outcomes are known; `simulated`: episodes made up by a program; `fitted_until`: until when the data of the
    release's training reach, and `before` how many moments of the window lie before that."""

    since: str
    until: str
    as_of: str
    moments: int
    clients: int
    episodes: int
    clinics: int
    simulated: int
    refused: int
    fitted_until: str | None
    before: int


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `calibration` by output."""

    format: int
    release: OfRelease
    chosen: Chosen
    seen: Seen
    drift: Drift
    calibration: tuple[Calibrated, ...]
    acceptance: Acceptance
    gaps: Gaps
    suggestions: tuple[Advice, ...]

    @property
    def headline(self) -> Calibrated:
        """The calibration of the 30-day risk."""
        return self.calibration[HEADLINE]


def monitor(
    subject: Subject,
    dataset: Dataset,
    told: Sequence[Told],
    alerts: Sequence[Shown] | None,
    instruments: Instruments,
    *,
    window: Window,
    refused: int = 0,
) -> Monitoring:
    """Looks at a release through the moments of decision of a window. `told` are the episodes the table was made from,
    `alerts` the records of those shown, None where nobody said. Raises `ValueError` where the window has no moment."""
    release, frame = subject.release, dataset.frame
    inside = _inside(frame, window)
    if not inside.any():
        raise ValueError("no moment of an episode lies in the window: nothing to look at")
    rows = dataclasses.replace(dataset, frame=frame[inside])
    sample = sample_of(rows)
    table = rows.matrix([term.feature for term in release.scorer.card.terms])
    before = {output: release.manifest.metrics.get(f"auroc_{output}") for output in OUTPUTS}
    basis = release.manifest.data
    seen = _seen(rows, told, release, refused)
    found = drift(
        subject.reference, basis.clients if basis is not None else None, rows.frame, sample.client,
        release.scorer.risks(table),
    )  # fmt: skip
    calibration = calibrated(sample, risks_of(release, rows), before)
    missing = gaps(frame, inside)
    return Monitoring(
        format=FORMAT,
        release=OfRelease.of(release),
        chosen=subject.chosen,
        seen=seen,
        drift=found,
        calibration=calibration,
        acceptance=_acceptance(alerts, told, dataset, instruments, window),
        gaps=missing,
        suggestions=suggest(release.digest, found, calibration, missing),
    )  # fmt: skip


def _inside(frame: pd.DataFrame, window: Window) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = frame["moment"].notna().to_numpy(dtype=np.bool_, copy=True)
    if window.since is not None:
        found &= (frame["as_of"] >= window.since).to_numpy()
    if window.until is not None:
        found &= (frame["as_of"] <= window.until).to_numpy()
    return found


def _seen(rows: Dataset, told: Sequence[Told], release: Release, refused: int) -> Seen:
    frame, basis = rows.frame, release.manifest.data
    moments = frame["as_of"]
    episodes = set(frame["episode"].unique())
    simulated = sum(_is_simulated(one) for one in told if one.key in episodes)
    return Seen(
        since=_text(moments.min()),
        until=_text(moments.max()),
        as_of=rows.about.as_of,
        moments=len(frame),
        clients=frame["client"].nunique(),
        episodes=len(episodes),
        clinics=frame["clinic"].nunique(),
        simulated=simulated,
        refused=refused,
        fitted_until=basis.as_of if basis is not None else None,
        before=int((moments <= pd.Timestamp(basis.as_of)).sum()) if basis is not None else 0,
    )


def _is_simulated(told: Told) -> bool:
    for value in told.events:
        if _OPENED in value:
            event = decode_accepted(value)
            if isinstance(event, EpisodeOpened) and event.data.service == SIMULATED_SERVICE:
                return True
    return False


def _acceptance(
    alerts: Sequence[Shown] | None, told: Sequence[Told], dataset: Dataset, instruments: Instruments, window: Window
) -> Acceptance:
    if alerts is None:
        return Acceptance(
            gap="files of events hold no alerts: name those that were shown with --alerts, or a log with --log"
        )
    clients = dataset.frame[["episode", "client"]].astype(str).drop_duplicates()
    now = micros(datetime.fromisoformat(dataset.about.as_of))
    return acceptance(
        alerts,
        answers(told, instruments),
        dict(zip(clients["episode"], clients["client"], strict=True)),
        since=micros(window.since) if window.since is not None else 0,
        until=min(now, micros(window.until)) if window.until is not None else now,
        now=now,
    )


def _text(moment: pd.Timestamp) -> str:
    return rfc3339(micros(moment.to_pydatetime()))
