"""The alerts of a release, judged: by kind and together, beside published rules and one line on a risk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from keepwell.contract.events import Event, FeedbackGiven, MeasureCompleted, RuptureNoted
from keepwell.contract.words import ALERT_KINDS
from training.dataset import Dataset
from training.evaluate.alert_streams import (
    LINES,
    RULES_AS_ALERTS,
    Ranked,
    Reach,
    absences,
    as_many,
    half_each,
    over_line,
    quieted,
    reach_of,
    reachable,
    reaching,
    rule_streams,
    session_ends,
    truth_ranks,
)
from training.evaluate.alerts import (
    PER_SESSIONS,
    Burden,
    Ground,
    StreamFacts,
    burden_of,
    facts_of,
    ground_of,
    joined,
)
from training.evaluate.burden import MODEL, RULE
from training.evaluate.cells import LEAST_EVENTS
from training.evaluate.definitions import EpisodeOutcome
from training.evaluate.metrics import NONE, Estimate, Ints, Vector, mean_of, ratio_of
from training.evaluate.replays import AlertMoment
from training.evaluate.rules import SimpleRule
from training.evaluate.truth import Moment

ALL_BUT_SAFETY: Final = "all but safety"
SAFETY: Final = "safety"


class BesideRule(msgspec.Struct, frozen=True, kw_only=True):
    """A published rule as a stream of alerts, and one line on the model's risk at the ends of sessions.

    `quiet`: after an alert of an episode none follows for 21 days, in all of them alike. `of_rule` is the rule's own;
    `at_burden` the line that raises as many alerts; `halved` two lines, one after sessions and one in absence, which raise
    half of that number each; `at_recall` the line that tells of as many stops in time, None where no
    line does, and `needs` what that raises in parts of what the rule raises. `gap` says why there are no figures.
    """

    rule: str
    quiet: bool
    of_rule: Burden
    at_burden: Burden | None = None
    halved: Burden | None = None
    at_recall: Burden | None = None
    needs: Estimate = NONE
    gap: str | None = None


class LinePoint(msgspec.Struct, frozen=True, kw_only=True):
    """What one line gives: alerts at the ends of sessions at or above it, with the quiet time, per 100 of the sessions looked
    at, and the shares of stops that had one in time and strictly before the last session."""

    line: float
    per_100_sessions: float
    in_time: float
    strictly_before: float


class AlertCurve(msgspec.Struct, frozen=True, kw_only=True):
    """The points of all lines that raise an alert. `who` is `model` over all sessions and all stops of those who came. Where
    the truth is known, `model there`, `clinician_unknown` and `clinician_known` look at those sessions alone after which it
    is told, and at the stops of those who had one of them in time."""

    who: str
    points: tuple[LinePoint, ...]


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts of a release's policy. `stops` were declared, `before_any_session` of them of people who came to none: no
    alert can be in time for these, and they count in `recall` alone; `in_time_of_all` is the share in time of all stops.
    `attendance_alone`: the events tell of visits, and of no rating, feedback or rupture. `kinds` begins with all of them but
    safety; `rules` and `curves` are what else could be done on the same log."""

    line: float
    sessions: int
    clinician_weeks: int
    stops: int
    before_any_session: int
    in_time_of_all: Estimate
    attendance_alone: bool
    kinds: tuple[Burden, ...]
    rules: tuple[BesideRule, ...]
    curves: tuple[AlertCurve, ...]


class AlertLog(NamedTuple):
    """A log whose alerts are judged: its table, the model's headline risk by row, its events, what became of each episode
    until `now` (µs), the alerts that were told over it, and the moments of the truth, None where there is none."""

    dataset: Dataset
    risk: Vector
    events: Sequence[Event]
    found: Mapping[str, EpisodeOutcome]
    now: int
    told: Sequence[AlertMoment]
    truth: Sequence[Moment] | None


class RuleFacts(NamedTuple):
    """One rule, quieted or not, in one log: its own alerts, those of a line of as many, of two of half as many each, and of a
    line that reaches as far."""

    rule: StreamFacts
    at_burden: StreamFacts
    halved: StreamFacts
    at_recall: StreamFacts | None


class LineFacts(NamedTuple):
    """Lines on one risk in one log: the sessions looked at, the stops that can be told of there in time, and by `LINES` how
    many alerts each raises and how many stops it tells of."""

    sessions: int
    stops: int
    raised: Sequence[int]
    reach: Sequence[Reach]


class AlertFacts(NamedTuple):
    """All that is counted in one log. `rules` by rule and whether it is quieted; `curves` by whose risk it is."""

    nothing: StreamFacts
    kinds: Mapping[str, StreamFacts]
    rules: Mapping[tuple[str, bool], RuleFacts]
    curves: Mapping[str, LineFacts]
    attendance_alone: bool


def alert_facts(log: AlertLog) -> AlertFacts:
    """What is counted in a log."""
    ground = ground_of(log.dataset, log.found, log.now)
    by_kind = {kind: [alert for alert in log.told if alert.kind == kind] for kind in ALERT_KINDS}
    together = [alert for alert in log.told if alert.kind != SAFETY]
    streams = {ALL_BUT_SAFETY: together} | {kind: told for kind, told in by_kind.items() if told}
    ranked, absent = session_ends(log.dataset, log.risk), absences(log.dataset, log.risk)
    came = sum(stop.last is not None for stop in ground.stops)
    curves = {MODEL: _line_facts(ranked, ground, ground.sessions, came)}
    if log.truth is not None:
        for who, told in truth_ranks(log.truth, log.dataset).items():
            curves[there(who)] = _line_facts(told, ground, len(told.risk), reachable(told, ground))
    return AlertFacts(
        nothing=facts_of([], ground),
        kinds={kind: facts_of(stream, ground) for kind, stream in streams.items()},
        rules={
            (name, quiet): _beside(quieted(stream) if quiet else stream, ranked, absent, ground, quiet=quiet)
            for name, stream in rule_streams(log.dataset.frame, log.events).items()
            for quiet in (True, False)
        },
        curves=curves,
        attendance_alone=not any(isinstance(one, MeasureCompleted | FeedbackGiven | RuptureNoted) for one in log.events),
    )  # fmt: skip


def told_of(parts: Sequence[AlertFacts], line: float) -> Alerts:
    """The figures of one log, with intervals by its clients, or of several, with intervals by log."""
    join: Callable[[Sequence[StreamFacts]], StreamFacts] = joined if len(parts) > 1 else _only
    kinds = [kind for kind in (ALL_BUT_SAFETY, *ALERT_KINDS) if any(kind in part.kinds for part in parts)]
    nothing = join([part.nothing for part in parts])
    streams = {kind: join([part.kinds.get(kind, part.nothing) for part in parts]) for kind in kinds}
    every = streams[ALL_BUT_SAFETY]
    return Alerts(
        line=line,
        sessions=int(nothing.sessions.sum()),
        clinician_weeks=nothing.weeks,
        stops=len(nothing.came),
        before_any_session=int((nothing.came == 0).sum()),
        in_time_of_all=mean_of(every.in_time, every.stop_of),
        attendance_alone=all(part.attendance_alone for part in parts),
        kinds=tuple(burden_of(kind, facts) for kind, facts in streams.items()),
        rules=tuple(_rule(rule, quiet, parts, join) for rule in RULES_AS_ALERTS for quiet in (True, False)),
        curves=tuple(
            AlertCurve(who=who, points=tuple(_points([part.curves[who] for part in parts]))) for who in parts[0].curves
        ),
    )


def there(who: str) -> str:
    """What a risk is called that ranks the moments alone of which the truth was told."""
    return f"{who} there" if who == MODEL else who


def _only(parts: Sequence[StreamFacts]) -> StreamFacts:
    (found,) = parts
    return found


def _beside(stream: Sequence[AlertMoment], ranked: Ranked, absent: Ranked, ground: Ground, *, quiet: bool) -> RuleFacts:
    reached = reaching(ranked, ground, reach_of(stream, ground).in_time, quiet=quiet)
    return RuleFacts(
        rule=facts_of(stream, ground),
        at_burden=facts_of(as_many(ranked, len(stream), quiet=quiet), ground),
        halved=facts_of(half_each(ranked, absent, len(stream), quiet=quiet), ground),
        at_recall=facts_of(reached, ground) if reached is not None else None,
    )


def _line_facts(ranked: Ranked, ground: Ground, sessions: int, stops: int) -> LineFacts:
    streams = [over_line(ranked, line, quiet=True) for line in LINES]
    return LineFacts(sessions, stops, [len(one) for one in streams], [reach_of(one, ground) for one in streams])


def _rule(
    rule: SimpleRule, quiet: bool, parts: Sequence[AlertFacts], join: Callable[[Sequence[StreamFacts]], StreamFacts]
) -> BesideRule:
    """A rule over the logs in which it raises enough."""
    found = [part.rules[rule.name, quiet] for part in parts]
    enough = [one for one in found if len(one.rule.alert_of) >= LEAST_EVENTS]
    if not enough:
        return BesideRule(
            rule=rule.name, quiet=quiet, of_rule=burden_of(RULE, join([one.rule for one in found])),
            gap=f"fewer than {LEAST_EVENTS} alerts",
        )  # fmt: skip
    own = join([one.rule for one in enough])
    reached = [one.at_recall for one in enough if one.at_recall is not None]
    base = BesideRule(
        rule=rule.name,
        quiet=quiet,
        of_rule=burden_of(RULE, own),
        at_burden=burden_of(MODEL, join([one.at_burden for one in enough])),
        halved=burden_of(MODEL, join([one.halved for one in enough])),
    )
    if len(reached) < len(enough):
        return base
    recall = join(reached)
    return msgspec.structs.replace(
        base, at_recall=burden_of(MODEL, recall), needs=_needs(recall.alert_of, own.alert_of)
    )


def _needs(raised: Ints, by_rule: Ints) -> Estimate:
    """Alerts raised in parts of those that a rule raised."""
    return ratio_of(
        np.r_[np.ones(len(raised)), np.zeros(len(by_rule))],
        np.r_[np.zeros(len(raised)), np.ones(len(by_rule))],
        np.r_[raised, by_rule],
    )


def _points(curves: Sequence[LineFacts]) -> Iterator[LinePoint]:
    sessions, stops = sum(one.sessions for one in curves), sum(one.stops for one in curves)
    for place, line in enumerate(LINES):
        raised = sum(one.raised[place] for one in curves)
        if raised and sessions and stops:
            yield LinePoint(
                line=line,
                per_100_sessions=PER_SESSIONS * raised / sessions,
                in_time=sum(one.reach[place].in_time for one in curves) / stops,
                strictly_before=sum(one.reach[place].before for one in curves) / stops,
            )
