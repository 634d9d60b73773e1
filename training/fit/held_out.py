"""The hold-out: what came of clients whose alert was withheld by lot, beside those for whom it was raised."""

from __future__ import annotations

from datetime import datetime
from math import sqrt
from typing import Final

import msgspec
import numpy as np

from keepwell.alerting.decide import withheld
from keepwell.alerting.policy import Policy
from keepwell.contract.events import micros
from keepwell.scoring.scorecard import HEADLINE
from models.release import Release
from training.dataset import Dataset
from training.fit.bins import Vector
from training.fit.line import raised
from training.fit.measures import WIDE
from training.fit.sample import Ints, Sample, sample_of

LEAST_CLIENTS: Final = 50
"""Clients in either arm below which no figures are told: they would be noise, and could point at persons; ours."""


class Share(msgspec.Struct, frozen=True):
    """A share, or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """Clients; how many of them stopped within 30 days; how many had any alert in the 30 days up to that moment or with it.
    That is near 1 where alerts were shown; where the hold-out was kept to, it is the share of other alerts. None where either
    arm is too small."""

    clients: int
    stopped: Share | None = None
    alerted: float | None = None


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """Of each client the first moment after `since` at which `release` raised a `risk` alert, or would have, where what came
    of it is known. `share` is that of the episodes whose alerts were withheld. `difference`: how many more stopped of those
    for whom it was withheld; None where either arm has fewer than `least_clients`."""

    release: str
    share: float
    since: str | None
    least_clients: int
    raised: Arm
    withheld: Arm
    difference: Share | None


def held_out(dataset: Dataset, before: Release, risk: Vector) -> HeldOut:
    """What the hold-out of the release in use before shows; `risk` is the 30-day risk of every row by that release. It cannot
    have been in use before the end of the data that it was fitted to.

    Who is in which arm follows from `keepwell.alerting.decide.withheld`, as it did live, and not from what was done: a
    comparison by intention to treat. There is one moment a client, so that the moments are independent.
    """
    sample, policy = sample_of(dataset), before.policy
    since = before.manifest.data.as_of if before.manifest.data is not None else None
    rows = _first(sample, policy, risk, since)
    inside = np.array(
        [withheld(policy.withhold, str(key)) for key in sample.frame["episode"].iloc[rows]], dtype=np.bool_
    )
    above, below = rows[~inside], rows[inside]
    enough = min(len(above), len(below)) >= LEAST_CLIENTS
    shown, without = (_arm(sample, arm) if enough else Arm(clients=len(arm)) for arm in (above, below))
    return HeldOut(
        release=before.digest,
        share=policy.withhold or 0.0,
        since=since,
        least_clients=LEAST_CLIENTS,
        raised=shown,
        withheld=without,
        difference=_difference(without.stopped, shown.stopped) if without.stopped and shown.stopped else None,
    )


def words(found: HeldOut, who: str = "clients") -> str:
    """What a hold-out shows, in plain words. `who`: what to call the clients where not all of them are people."""
    above, below, more = found.raised, found.withheld, found.difference
    after = "" if found.since is None else f" after {found.since[:10]}"
    begin = (
        f"{found.release} withheld risk alerts of {found.share:.0%} of the episodes. Of each client the first moment{after} "
        f"counts at which it raised one ({above.clients} {who}), or would have ({below.clients}). "
    )
    if above.stopped is None or below.stopped is None or more is None:
        return f"{begin}Figures are told from {found.least_clients} clients in each on."
    among, them = ("", "them") if who == "clients" else (f", among {who}", f"these {who}")
    return (
        f"{begin}Within 30 days {_percent(above.stopped)} stopped of those for whom it was raised, and "
        f"{_percent(below.stopped)} of those for whom it was withheld, a difference of {_points(more)}{among}. By then "
        f"there had been an alert, of any kind, for {above.alerted:.0%} and {below.alerted:.0%} of {them}. An interval "
        "with 0 in it says that these data do not tell, not that alerts do nothing."
    )


def _percent(share: Share) -> str:
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _points(difference: Share) -> str:
    value, low, high = (100 * one for one in (difference.value, difference.low, difference.high))
    return f"{value:.1f} percentage points ({low:.1f} to {high:.1f})"


def _first(sample: Sample, policy: Policy, risk: Vector, since: str | None) -> Ints:
    """Of each client the moment of the first alert since then that would be raised, where its outcome counts."""
    rows = np.arange(len(sample.as_of))
    told = raised(policy, sample, rows, risk[rows])
    found = np.array([one.row for one in told if one.kind == "risk"], dtype=np.int64)
    if since is not None:
        found = found[sample.as_of[found] > micros(datetime.fromisoformat(since))]
    found = found[np.argsort(sample.as_of[found], kind="stable")]
    first: Ints = found[np.unique(sample.client[found], return_index=True)[1]]
    return first[sample.known(HEADLINE)[first]]


def _arm(sample: Sample, rows: Ints) -> Arm:
    stopped = sample.targets[rows, HEADLINE]
    alerted = sample.frame["alerted"].to_numpy(dtype=np.bool_)[rows]
    return Arm(clients=len(rows), stopped=_share(float(stopped.sum()), len(rows)), alerted=float(alerted.mean()))


def _share(events: float, n: int) -> Share:
    """A share with its interval (Wilson 1927, J Am Stat Assoc 22:209)."""
    value, square = events / n, WIDE**2
    middle = (value + square / (2 * n)) / (1 + square / n)
    half = WIDE * sqrt(value * (1 - value) / n + square / (4 * n**2)) / (1 + square / n)
    return Share(value, middle - half, middle + half)


def _difference(one: Share, other: Share) -> Share:
    """The one less the other, with its interval (Newcombe 1998, Stat Med 17:873, method 10)."""
    value = one.value - other.value
    below = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    above = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    return Share(value, value - below, value + above)
