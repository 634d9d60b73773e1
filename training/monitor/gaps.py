"""Where data are missing: each gap that a score names, by clinic, against what the clinic had before, or others have."""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot
from typing import Final, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm  # type: ignore[import-untyped]  # scipy has no types

from keepwell.scoring.gaps import GAP_KINDS, GapKind
from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.metrics import Ints, Vector
from training.evaluate.moments import SESSION_BANDS
from training.fit.sample import codes_of
from training.monitor.clustered import error_of_mean

Mask = NDArray[np.bool_]

TITLES: Final[dict[GapKind, str]] = {
    "opening": "the opening of the episode was not received",
    "unrecorded": "visits recorded neither as attended nor as missed",
    "no_alliance": "no alliance rating yet",
    "old_alliance": "no alliance rating for some sessions",
    "no_outcome": "no outcome measure yet",
    "old_outcome": "no outcome measure for some sessions",
    "uninterpreted": "scores of an instrument that nobody registered",
    "unread": "a known instrument without a score that can be read",
}
LEAST_MORE: Final = 0.1
"""By how much of all moments a gap must be commoner than usual to be named; ours."""
LEVEL: Final = 0.05
"""Chance that any cell of a report is named although nothing changed."""
_STARTS: Final = np.array([low for low, _ in SESSION_BANDS])


class GapShare(msgspec.Struct, frozen=True, kw_only=True):
    """One gap in one clinic: the share of its moments in the window that have it, and the usual share.

    `usual` is that of the same clinic before the window (`against` is `before`) or, where too few clients were seen
    then, that of the other clinics in the window (`others`), with as many moments after each number of sessions as
    here; None where there is neither. `more`: the gap is commoner than usual by at least `LEAST_MORE`, and by more
    than chance.
    """

    gap: GapKind
    share: float
    usual: float | None
    more: bool


class Clinic(msgspec.Struct, frozen=True, kw_only=True):
    """The gaps of a clinic; none where it has too few clients in the window."""

    clinic: str
    against: Literal["before", "others"] | None = None
    cells: tuple[GapShare, ...] = ()
    gap: str | None = None


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """`overall` is the share of all moments of the window; not told where there are too few clients."""

    overall: dict[GapKind, float]
    clinics: tuple[Clinic, ...]

    def more(self) -> Iterator[tuple[str, GapShare]]:
        """The cells to be named, with their clinics."""
        return ((found.clinic, cell) for found in self.clinics for cell in found.cells if cell.more)


def gaps(frame: pd.DataFrame, window: Mask) -> Gaps:
    """Counts the gaps of the landmark rows of a window. Rows before it are what was usual."""
    table = _Table(frame)
    before = np.asarray(frame["as_of"] < frame["as_of"][window].min(), dtype=np.bool_)
    names = [str(name) for name in frame["clinic"].cat.categories]
    level = LEVEL / max(1, len(names) * len(GAP_KINDS))
    enough = table.clients(window) >= LEAST_CLIENTS
    return Gaps(
        overall={kind: float(table.present(kind)[window].mean()) for kind in GAP_KINDS} if enough else {},
        clinics=tuple(
            _clinic(name, table, code, window=window, before=before, level=level) for code, name in enumerate(names)
        ),
    )


class _Table:
    def __init__(self, frame: pd.DataFrame) -> None:
        self._bits = frame["gaps"].to_numpy()
        self.clinic = codes_of(frame["clinic"])
        self.client = codes_of(frame["client"])
        self.band: Ints = np.searchsorted(_STARTS, frame["session"].to_numpy(), side="right") - 1

    def present(self, kind: GapKind) -> Vector:
        """1 for each row that has the gap."""
        return ((self._bits >> GAP_KINDS.index(kind)) & 1).astype(np.float64)

    def clients(self, rows: Mask) -> int:
        return len(np.unique(self.client[rows]))


def _clinic(name: str, table: _Table, code: int, *, window: Mask, before: Mask, level: float) -> Clinic:
    own = table.clinic == code
    here = own & window
    if table.clients(here) < LEAST_CLIENTS:
        return Clinic(clinic=name, gap=f"fewer than {LEAST_CLIENTS} clients: not shown")
    against: Literal["before", "others"] | None = None
    usual = here
    if table.clients(own & before) >= LEAST_CLIENTS:
        against, usual = "before", own & before
    elif table.clients(~own & window) >= LEAST_CLIENTS:
        against, usual = "others", ~own & window
    cells = tuple(
        _cell(kind, table, here, usual, level)
        if against
        else GapShare(gap=kind, share=float(table.present(kind)[here].mean()), usual=None, more=False)
        for kind in GAP_KINDS
    )
    return Clinic(clinic=name, against=against, cells=cells)


def _cell(kind: GapKind, table: _Table, here: Mask, usual: Mask, level: float) -> GapShare:
    present = table.present(kind)
    rows = np.bincount(table.band[usual], minlength=len(_STARTS))
    rates = np.bincount(table.band[usual], weights=present[usual], minlength=len(_STARTS)) / np.maximum(rows, 1)
    known = here & (rows > 0)[table.band]  # after so many sessions nobody was seen before: nothing to compare with
    share = float(present[here].mean())
    if not known.any():
        return GapShare(gap=kind, share=share, usual=None, more=False)
    off = present - rates[table.band]
    more = float(off[known].mean())
    error = hypot(error_of_mean(off[known] - more, table.client[known]), error_of_mean(off[usual], table.client[usual]))
    return GapShare(
        gap=kind,
        share=share,
        usual=float(rates[table.band[known]].mean()),
        more=more >= LEAST_MORE and more > float(norm.ppf(1 - level)) * error,
    )
