"""The lines: the risks at which alerts are raised, from a stated budget of alerts or a stated ratio of costs.

A budget is of alerts of all kinds together but safety, as a clinician reads them all, for 100 sessions, so that it asks the
same of small caseloads and large. It is spent where repair is possible: of
the lines that keep to it, those by which most stops are told of in time, and at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit  # type: ignore[import-untyped]  # scipy has no types

from keepwell.alerting.decide import decide
from keepwell.alerting.policy import Memory, Policy, Situation
from keepwell.alerting.signals import Signals
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.care.moments import MOMENTS
from keepwell.scoring.scorecard import HEADLINE
from training.dataset.table import NONE
from training.fit.sample import Ints, Sample, codes_of

Vector = NDArray[np.float64]

RELEASE_BELOW: Final = 1.0
"""Log-odds by which the release lies under the line, so that a risk at the line does not flicker; ours."""
ESCALATE_ABOVE: Final = 0.85
"""Log-odds by which escalation lies above the line; ours."""
STRAIN_BELOW: Final = 0.7
"""Log-odds below the line from which a fall of the ratings is told: with it, the risk is about to reach the line; ours."""
LOWEST, HIGHEST = 0.02, 0.90
"""Lines are sought between these risks."""
STEPS: Final = 7
"""Halvings of that range: to a twentieth of log-odds."""
ABSENT: Final = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Candidate lines of absence; ours. An alert that is saved of somebody gone is one more of somebody who still comes."""
LEFT: Final = 0.25
"""This part of a budget is spent on `risk` whatever else is told: where clients speak openly, and many stay away, a clinician
would hear of nobody else; ours."""
OF_LINES: Final = frozenset(("risk", "silence"))
"""Kinds that a line decides. The others are told whatever the lines are, or nearly so."""
MOST_ROWS: Final = 60_000
"""Rows, of whole caseloads, on which alerts are counted."""
IN_TIME_HOURS: Final = 20
"""An alert by so long after the last session attended is in time: the same day, while there is something to repair."""
_HOUR: Final = 3_600_000_000


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """The lines, what they were chosen by, and what they gave on validation data, of all kinds but safety together: alerts
    raised per clinician-week and per 100 sessions, the share of them after which the client did stop within 30 days
    (`precision`), the share of the episodes that stopped which had one (`recall`), and which had one by `IN_TIME_HOURS` after
    the last session attended (`in_time`); None where no outcome is known."""

    line: float
    absent: float
    chosen_by: str
    alerts_per_clinician_week: float
    alerts_per_100_sessions: float
    precision: float | None
    recall: float | None
    in_time: float | None
    clinician_weeks: int


class Told(NamedTuple):
    """An alert that a policy raises: the row, and its kind."""

    row: int
    kind: str


class _Caseloads(NamedTuple):
    """Rows of whole caseloads, in the order of the table, and the kinds that a budget is of (None: all)."""

    sample: Sample
    rows: Ints
    risk: Vector
    weeks: int
    sessions: int
    deadline: Ints
    """By row, until when an alert in its episode is in time (µs)."""
    counted: Collection[str] | None


def line_of(
    sample: Sample, risk: Vector, base: Policy, budget: float | None, cost_ratio: float | None,
    *, counted: Collection[str] | None = None,
) -> AlertLine:  # fmt: skip
    """The lines for a budget of alerts per 100 sessions, or for how many needless alerts a missed stop is worth.

    `risk` is the headline's, of clients that did not make it. `counted`: the kinds that the budget is of; default: all but
    safety. Raises what `check_line` raises.
    """
    check_line(budget, cost_ratio)
    asked = _caseloads(sample, risk, counted)
    if budget is None:
        line = min(max(1 / (1 + (cost_ratio or 0.0)), LOWEST), HIGHEST)
        return _judged(asked, at(base, line, line), f"cost ratio {cost_ratio:g}")
    of = "" if counted is None else f" of {' and '.join(sorted(counted))}"
    chosen_by = f"budget of {budget:g} alerts{of} per 100 sessions"
    policies = [_within(asked, base, absent, budget) for absent in ABSENT]
    burdens = [_burden(asked, policy) for policy in policies]
    # Of those within the budget, or of least burden where nothing keeps to it, the one that tells of most stops.
    most = max(budget, min(burdens))
    if most > budget:
        chosen_by += ", which the other kinds alone use up"
    fitting = [
        _judged(asked, policy, chosen_by) for policy, found in zip(policies, burdens, strict=True) if found <= most
    ]
    return max(fitting, key=lambda one: ((one.in_time or 0.0) + (one.recall or 0.0), -one.alerts_per_100_sessions))


def check_line(budget: float | None, cost_ratio: float | None) -> None:
    """Raises `ValueError` where neither or both are given, or one makes no sense."""
    if (budget is None) == (cost_ratio is None):
        raise ValueError("the line needs a budget or a cost ratio, one of them")
    if budget is not None and budget <= 0:
        raise ValueError("a budget must be above 0: alerts per 100 sessions")
    if cost_ratio is not None and cost_ratio <= 0:
        raise ValueError("a cost ratio must be above 0: how many needless alerts one missed stop is worth")


def at(base: Policy, line: float, absent: float) -> Policy:
    """The policy with other lines, and what stands beside them."""

    def beside(log_odds: float) -> float:
        return round(float(expit(logit(line) + log_odds)), 4)

    return msgspec.structs.replace(
        base, line=round(line, 4), absent=round(absent, 4), release=beside(-RELEASE_BELOW),
        escalate=beside(ESCALATE_ABOVE), strain=beside(-STRAIN_BELOW),
    )  # fmt: skip


def raised(policy: Policy, sample: Sample, rows: Ints, risk: Vector) -> list[Told]:
    """What the live policy raises at rows (sorted by episode and moment), safety apart. `risk` is of these rows.

    Those that it would withhold are among them: what an alert is worth, and how many a line makes, is asked of everybody.
    Nothing is answered, so no alert rests and no wish is met by an answer.
    """
    policy = msgspec.structs.replace(policy, withhold=None)
    found, memory, before = [], Memory(), -1
    signals, as_of, episodes = sample.signals[rows].tolist(), sample.as_of[rows].tolist(), sample.episode[rows].tolist()
    for row, episode, now, told, value in zip(rows.tolist(), episodes, as_of, signals, risk.tolist(), strict=True):
        if episode != before:
            memory, before = Memory(), episode
        situation = Situation("", "", "", now, "open", round(value, 4), _UNTOLD, _signals(told))
        decisions, memory = decide(policy, memory, situation)
        found += [Told(row, one.kind) for one in decisions if one.status == "raised"]
    return found


def whole_caseloads(sample: Sample) -> Ints:
    """Rows of whole caseloads, at most about `MOST_ROWS`, in the order of the table: of some clients of a clinician a
    burden could not be counted. Rows without a clinician count as one caseload of their clinic."""
    seats = _seats(sample)
    order = np.random.default_rng(0).permutation(int(seats.max()) + 1)
    sizes = np.cumsum(np.bincount(seats, minlength=len(order))[order])
    chosen = order[: max(1, int(np.searchsorted(sizes, MOST_ROWS, side="right")))]
    return np.flatnonzero(np.isin(seats, chosen))


def _caseloads(sample: Sample, risk: Vector, counted: Collection[str] | None) -> _Caseloads:
    rows = whole_caseloads(sample)
    episode, as_of = sample.episode[rows], sample.as_of[rows]
    weeks = len(np.unique(np.column_stack([_seats(sample)[rows], as_of // (7 * DAY)]), axis=0))
    after = np.where(sample.moment[rows] == MOMENTS.index("session"), as_of, 0)
    last = np.zeros(int(episode.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(last, episode, after)
    deadline = (last + IN_TIME_HOURS * _HOUR)[episode]
    return _Caseloads(sample, rows, risk[rows], weeks, int((after > 0).sum()), deadline, counted)


def _within(asked: _Caseloads, base: Policy, absent: float, budget: float) -> Policy:
    """The policy with the lowest line by which the budget is kept, or no more than `LEFT` of it is spent on risk."""

    def keeps(place: int) -> bool:
        told = _counted(asked, at(base, _step(place), absent))
        on_risk = [one for one in told if one.kind == "risk"]
        most = budget * asked.sessions / 100
        return len(told) <= most or len(on_risk) <= LEFT * most

    low, high = 0, 2**STEPS
    if keeps(low):
        return at(base, _step(low), absent)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return at(base, _step(high), absent)


def _counted(asked: _Caseloads, policy: Policy) -> list[Told]:
    """What is raised of the kinds that the budget is of."""
    return [one for one in _told(asked, policy) if asked.counted is None or one.kind in asked.counted]


def _burden(asked: _Caseloads, policy: Policy) -> float:
    """Alerts per 100 sessions, of the kinds that the budget is of."""
    return 100 * len(_counted(asked, policy)) / max(asked.sessions, 1)


def _told(asked: _Caseloads, policy: Policy) -> list[Told]:
    return raised(policy, asked.sample, asked.rows, asked.risk)


def _judged(asked: _Caseloads, policy: Policy, chosen_by: str) -> AlertLine:
    told = np.array([one.row for one in _told(asked, policy)], dtype=np.int64)
    place = np.searchsorted(asked.rows, told)
    headline, episode = asked.sample.targets[:, HEADLINE], asked.sample.episode
    known = headline[told][~np.isnan(headline[told])]
    stopped = np.unique(episode[asked.rows][headline[asked.rows] == 1])
    early = asked.sample.as_of[told] <= asked.deadline[place]

    def share(rows: Ints) -> float | None:
        return float(np.isin(stopped, episode[rows]).mean()) if len(stopped) else None

    return AlertLine(
        line=policy.line,
        absent=policy.absent,
        chosen_by=chosen_by,
        alerts_per_clinician_week=len(told) / max(asked.weeks, 1),
        alerts_per_100_sessions=100 * len(told) / max(asked.sessions, 1),
        precision=float(known.mean()) if len(known) else None,
        recall=share(told),
        in_time=share(told[early]),
        clinician_weeks=asked.weeks,
    )


def _signals(values: Sequence[int]) -> Signals:
    deciding, *at, mended, wished, met, due, planned, last_call = values
    absent, voiced, strained, skipping, wish = (None if value == NONE else value for value in (*at, wished))
    return Signals(
        bool(deciding), absent, voiced, strained, skipping, bool(mended), wish, bool(met), bool(due), bool(planned),
        bool(last_call),
    )  # fmt: skip


def _seats(sample: Sample) -> Ints:
    """A number for each clinician, and for each clinic's rows without one."""
    clinician = codes_of(sample.frame["clinician"])
    clinic = codes_of(sample.frame["clinic"])
    return np.where(clinician >= 0, clinician, clinician.max() + 1 + clinic)


def _step(place: int) -> float:
    """The line at a step of the range that is searched."""
    low, high = logit(LOWEST), logit(HIGHEST)
    return float(expit(low + (high - low) * place / 2**STEPS))


_UNTOLD: Final = Course(lambda name: None)
"""A course on which nothing was answered or endorsed."""
