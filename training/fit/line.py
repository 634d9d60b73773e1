"""The line: the risk at which an alert is raised, from a stated budget of alerts or a stated ratio of costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit  # type: ignore[import-untyped]  # scipy has no types

from keepwell.alerting.decide import decide
from keepwell.alerting.policy import Memory, Policy, Situation
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from training.fit.sample import Ints, Sample, codes_of

Vector = NDArray[np.float64]

RELEASE_BELOW: Final = 0.5
"""Log-odds by which the release lies under the line, so that a risk at the line does not flicker; ours."""
ESCALATE_ABOVE: Final = 0.85
"""Log-odds by which escalation lies above the line; ours."""
LOWEST, HIGHEST = 0.02, 0.90
"""Lines are sought between these risks."""
STEPS: Final = 9
"""Halvings of that range: to a hundredth of log-odds."""
STRIDE: Final = 16
"""Steps between the lines that are looked at first."""
MOST_ROWS: Final = 40_000
"""Moments, of whole caseloads, on which alerts are counted."""


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line, what it was chosen by, and what it gave on validation data: `risk` alerts raised per clinician-week, the share
    of them after which the client did stop within 30 days (`precision`), and the share of the episodes that stopped which had
    one (`recall`); None where no outcome is known."""

    line: float
    chosen_by: str
    alerts_per_clinician_week: float
    precision: float | None
    recall: float | None
    clinician_weeks: int


def line_of(sample: Sample, risk: Vector, base: Policy, budget: float | None, cost_ratio: float | None) -> AlertLine:
    """The line for a budget of alerts per clinician-week, or for how many needless alerts a missed stop is worth.

    `risk` is the headline's, out of fold. Raises what `check_line` raises.
    """
    check_line(budget, cost_ratio)
    rows = whole_caseloads(sample)
    if budget is None:
        line = min(max(1 / (1 + (cost_ratio or 0.0)), LOWEST), HIGHEST)
        return _judged(sample, rows, risk, at(base, line), f"cost ratio {cost_ratio:g}")

    def burden(place: int) -> float:
        return _judged(sample, rows, risk, at(base, _step(place)), "").alerts_per_clinician_week

    # A lower line raises more alerts, until it is so low that they are never released: so it is sought from above, and what
    # no line exceeds gets the line of most alerts.
    coarse = {place: burden(place) for place in range(2**STEPS, -1, -STRIDE)}
    over = next((place for place, found in coarse.items() if found > budget), None)
    allowed = max(coarse, key=lambda place: coarse[place]) if over is None else min(over + STRIDE, 2**STEPS)
    while over is not None and allowed - over > 1:
        middle = (allowed + over) // 2
        allowed, over = (middle, over) if burden(middle) <= budget else (allowed, middle)
    return _judged(sample, rows, risk, at(base, _step(allowed)), f"budget of {budget:g} alerts per clinician-week")


def check_line(budget: float | None, cost_ratio: float | None) -> None:
    """Raises `ValueError` where neither or both are given, or one makes no sense."""
    if (budget is None) == (cost_ratio is None):
        raise ValueError("the line needs a budget or a cost ratio, one of them")
    if budget is not None and budget <= 0:
        raise ValueError("a budget must be above 0: alerts per clinician-week")
    if cost_ratio is not None and cost_ratio <= 0:
        raise ValueError("a cost ratio must be above 0: how many needless alerts one missed stop is worth")


def at(base: Policy, line: float) -> Policy:
    """The policy with another line, and its release and escalation beside it."""
    return msgspec.structs.replace(
        base,
        line=round(line, 4),
        release=round(float(expit(logit(line) - RELEASE_BELOW)), 4),
        escalate=round(float(expit(logit(line) + ESCALATE_ABOVE)), 4),
    )


def whole_caseloads(sample: Sample) -> Ints:
    """Moments of whole caseloads, at most about `MOST_ROWS`, in the order of the table: of some clients of a clinician a
    burden could not be counted. Rows without a clinician count as one caseload of their clinic."""
    seats = np.where(sample.decisive, _seats(sample), -1)
    order = np.random.default_rng(0).permutation(int(seats.max()) + 1)
    sizes = np.cumsum(np.bincount(seats[sample.decisive], minlength=len(order))[order])
    chosen = order[: max(1, int(np.searchsorted(sizes, MOST_ROWS, side="right")))]
    return np.flatnonzero(np.isin(seats, chosen))


def raised(policy: Policy, episode: Sequence[int], as_of: Sequence[int], risk: Sequence[float]) -> list[int]:
    """The rows (sorted by episode and moment) at which the live policy raises a `risk` alert.

    It is asked with a course on which nothing else is told, so no other kind is raised. Those that it would withhold are
    among them: what an alert is worth, and how many a line makes, is asked of everybody.
    """
    policy = msgspec.structs.replace(policy, withhold=None)
    found = []
    memory, current, quiet = Memory(), None, True
    blank = Course(lambda name: None)
    for row, (name, now, value) in enumerate(zip(episode, as_of, risk, strict=True)):
        if name != current:
            memory, current, quiet = Memory(), name, True
        if quiet and value < policy.line:
            continue  # nothing was raised yet and nothing is: most rows, and asking costs most of the time
        quiet = False
        situation = Situation(str(name), str(row), "", now, "open", value, blank)
        told, memory = decide(policy, memory, situation)
        if any(decision.status == "raised" for decision in told):
            found.append(row)
    return found


def _judged(sample: Sample, rows: Ints, risk: Vector, policy: Policy, chosen_by: str) -> AlertLine:
    headline = sample.targets[rows, 1]
    episode = sample.episode[rows]
    alerts = np.array(raised(policy, episode.tolist(), sample.as_of[rows].tolist(), risk[rows].tolist()), dtype=int)
    weeks = len(np.unique(np.column_stack([_seats(sample)[rows], sample.as_of[rows] // (7 * DAY)]), axis=0))
    known = headline[alerts][~np.isnan(headline[alerts])]
    stopped = np.unique(episode[headline == 1])
    return AlertLine(
        line=policy.line,
        chosen_by=chosen_by,
        alerts_per_clinician_week=len(alerts) / max(weeks, 1),
        precision=float(known.mean()) if len(known) else None,
        recall=float(np.isin(stopped, episode[alerts]).mean()) if len(stopped) else None,
        clinician_weeks=weeks,
    )


def _seats(sample: Sample) -> Ints:
    """A number for each clinician, and for each clinic's rows without one."""
    clinician = codes_of(sample.frame["clinician"])
    clinic = codes_of(sample.frame["clinic"])
    return np.where(clinician >= 0, clinician, clinician.max() + 1 + clinic)


def _step(place: int) -> float:
    """The line at a step of the range that is searched."""
    low, high = logit(LOWEST), logit(HIGHEST)
    return float(expit(low + (high - low) * place / 2**STEPS))
