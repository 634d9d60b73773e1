"""Gaps by clinic: a clinic whose measures stop arriving is named, others are not, and small ones are not shown."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instruments
from keepwell.contract.events import MeasureCompleted, MeasureSkipped, micros
from keepwell.files.events import read_lines, take_in
from keepwell.scoring.gaps import GAP_KINDS, GapKind, named_gaps
from training.dataset import Dataset, InMemory, build
from training.monitor.gaps import GapShare, Mask, gaps

SINCE = pd.Timestamp("2024-01-01", tz="UTC")
SILENT = "sim-clinic-2"


@pytest.fixture(scope="module")
def silenced(worlds: Path) -> Dataset:
    """A clinic whose measures stop arriving at `SINCE`, and two others."""
    events = take_in(read_lines([str(worlds / "now" / "events.jsonl")]), Instruments(), pd.Timestamp.now("UTC")).events
    lost = (MeasureCompleted, MeasureSkipped)
    return build(
        InMemory(
            [
                event
                for event in events
                if not (isinstance(event, lost) and event.clinic == SILENT and event.time >= SINCE)
            ]
        )
    )


def named(frame: pd.DataFrame, since: pd.Timestamp | None = SINCE) -> set[tuple[str, str]]:
    window = np.ones(len(frame), dtype=np.bool_) if since is None else (frame["as_of"] >= since).to_numpy()
    return {(clinic, cell.gap) for clinic, cell in gaps(frame, window).more()}


def test_the_bits_of_a_row_are_the_gaps_that_the_live_score_names(worlds: Path) -> None:
    lines = list(read_lines([str(worlds / "other" / "events.jsonl")]))[:4000]
    events = take_in(lines, Instruments(), pd.Timestamp.now("UTC")).events
    frame = build(InMemory(events)).frame
    rows = frame[:: len(frame) // 60]
    keys, bits = rows["episode"].astype(str).tolist(), rows["gaps"].astype(int).tolist()
    for key, moment, held in zip(keys, rows["as_of"].dt.to_pydatetime(), bits, strict=True):
        live, at = Live(Episode(key), partial(Instruments().get, key.partition("/")[0])), micros(moment)
        for event in events:
            if event.key == key and micros(event.time) <= at:
                live.fold(event)
        told = {GAP_KINDS.index(kind) for kind, _ in named_gaps(live.course, at)}
        assert {bit for bit in range(8) if held >> bit & 1} == told
    assert set(np.unique(frame["gaps"])) != {0}


def test_a_clinic_whose_measures_stop_arriving_is_named_and_no_other(silenced: Dataset) -> None:
    found = named(silenced.frame)
    assert found == {(SILENT, "no_alliance"), (SILENT, "no_outcome")}


def test_where_little_was_seen_before_the_other_clinics_are_what_is_usual(silenced: Dataset) -> None:
    frame = silenced.frame
    late = frame[frame["as_of"] >= SINCE]
    assert {clinic for clinic, _ in named(late, None)} == {SILENT}
    assert {clinic.against for clinic in gaps(late, np.ones(len(late), dtype=np.bool_)).clinics} == {"others"}


def test_nothing_is_named_where_nothing_changed(now: Dataset, other: Dataset) -> None:
    for dataset in (now, other):
        assert named(dataset.frame) == named(dataset.frame, None) == set()


def test_later_sessions_alone_make_no_gap_commoner(now: Dataset) -> None:
    """Ratings grow old as sessions go on: what is usual has as many moments after each number of sessions."""
    frame, window, later = of_one_clinic(now.frame), since(now.frame), (now.frame["session"] >= 6).to_numpy()
    aged = frame.assign(gaps=with_gap("old_alliance", later & (np.arange(len(frame)) % 2 == 0)))
    kept = ~window | later
    cells = cells_of("old_alliance", aged[kept], window[kept])
    assert cells and not any(cell.more for cell in cells)
    assert all(cell.share == pytest.approx(0.5, abs=0.05) == cell.usual for cell in cells)
    before = aged[~window]["gaps"].to_numpy() > 0
    assert before.mean() < 0.4


def test_a_small_difference_is_not_named_however_certain(now: Dataset) -> None:
    frame, window = of_one_clinic(now.frame), since(now.frame)
    for every, named_ in ((12, False), (4, True)):
        marked = frame.assign(gaps=with_gap("opening", window & (np.arange(len(frame)) % every == 0)))
        cells = cells_of("opening", marked, window)
        assert cells and {cell.more for cell in cells} == {named_} and {cell.usual for cell in cells} == {0}


def test_a_clinic_with_few_clients_is_not_shown(now: Dataset) -> None:
    frame = now.frame
    codes = frame["client"].cat.codes.to_numpy()
    of_clinic = (frame["clinic"] == SILENT).to_numpy()
    few = np.isin(codes, np.unique(codes[of_clinic])[:49])
    shown = gaps(frame[few | ~of_clinic], np.ones(int((few | ~of_clinic).sum()), dtype=np.bool_))
    hidden = next(clinic for clinic in shown.clinics if clinic.clinic == SILENT)
    assert hidden.cells == () and hidden.gap == "fewer than 50 clients: not shown"
    alone = gaps(frame[few], np.ones(int(few.sum()), dtype=np.bool_))
    assert alone.overall == {}


def of_one_clinic(frame: pd.DataFrame) -> pd.DataFrame:
    """Large enough to be compared with what it was before."""
    return frame.assign(clinic=pd.Categorical([SILENT] * len(frame)))


def since(frame: pd.DataFrame) -> Mask:
    found: Mask = (frame["as_of"] >= SINCE).to_numpy()
    return found


def with_gap(kind: GapKind, rows: Mask) -> NDArray[np.uint8]:
    """The bits of rows that have one gap or none."""
    return np.where(rows, 1 << GAP_KINDS.index(kind), 0).astype(np.uint8)


def cells_of(kind: GapKind, frame: pd.DataFrame, window: Mask) -> list[GapShare]:
    return [cell for clinic in gaps(frame, window).clinics for cell in clinic.cells if cell.gap == kind]
