"""Releases in a log: which are in use, what was promoted before, how a shadow compares, and the writing of a promotion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepwell.contract.control import promotion
from keepwell.contract.events import rfc3339
from keepwell.contract.outputs import Risk
from keepwell.streams import earlier
from keepwell.streams.log import Log, Message, Partition
from keepwell.streams.topics import Topics, partitions_of, to_every_partition
from services.predictor.turns import Roles, Turn, recorded, roles_of, waiting


class PartitionRoles(NamedTuple):
    """The turns of one partition: those that the predictor took or refused, and those that wait for it."""

    done: tuple[Turn, ...]
    waiting: tuple[Turn, ...]

    @property
    def roles(self) -> Roles:
        """What is in use once what waits is worked off, should it not be refused."""
        return roles_of((*self.done, *self.waiting))


def held(log: Log, topics: Topics) -> list[PartitionRoles]:
    """The turns of every partition. Reads the changelog. Raises `LogError` where the installation's topics are missing."""
    numbers = range(log.partitions(topics.episodes))
    return [PartitionRoles(recorded(log, topics, number), waiting(log, topics, number)) for number in numbers]


def in_use(partitions: Iterable[PartitionRoles]) -> Counter[tuple[str, str]]:
    """On how many partitions a release has a role, by digest and role."""
    found: Counter[tuple[str, str]] = Counter()
    for each in partitions:
        champion, shadow, _ = each.roles
        found.update((release, role) for release, role in ((champion, "champion"), (shadow, "shadow")) if release)
    return found


def history(partitions: Sequence[PartitionRoles], release: str) -> list[dict[str, Any]]:
    """Every turn that named a release, oldest first, with what became of it on how many partitions."""
    found: dict[tuple[int, str, str], Counter[str]] = {}
    for each in partitions:
        for turn in (*each.done, *each.waiting):
            if turn.release == release:
                fate = "waiting" if turn in each.waiting else f"refused: {turn.refused}" if turn.refused else "taken"
                found.setdefault((turn.at or 0, turn.role, turn.event_id), Counter())[fate] += 1
    return [
        {"role": role, "at": rfc3339(at) if at else None, "partitions": dict(fates)}
        for (at, role, _), fates in sorted(found.items(), key=lambda item: item[0])
    ]


def champion_before(partitions: Sequence[PartitionRoles]) -> str | None:
    """The release to go back to; None where the log tells of none that was in use before.

    Going back to what was before undoes a promotion: after A, B, C and back to B, the next one back is A, not C. Below the
    first promotion lies what the predictor was started with, if the partitions that say so agree: it is never guessed, as a
    release that was not in use would begin to score.
    """
    found: dict[tuple[int, str], str] = {}
    begun: dict[int, str] = {}
    for number, each in enumerate(partitions):
        for turn in (*each.done, *each.waiting):
            if turn.role == "begin":
                begun[number] = turn.release
            elif turn.role == "champion" and turn.refused is None:
                found[turn.at or 0, turn.event_id] = turn.release
    first = set(begun.values())
    stack = list(first) if len(first) == 1 else []
    for _, release in sorted(found.items()):
        if stack[-2:-1] == [release]:
            stack.pop()
        elif stack[-1:] != [release]:
            stack.append(release)
    return stack[-2] if len(stack) > 1 else None


def give_role(
    log: Log,
    topics: Topics,
    release: str,
    role: Literal["champion", "shadow", "none"],
    at: datetime,
    *,
    manifest: bytes | None,
) -> dict[str, Any]:
    """Writes a promotion to every partition, and the manifest, in one append: whole or not at all. Raises `LogError`."""
    earlier.check(log, topics.episodes)
    event = promotion(release, role, at)
    messages = to_every_partition(event, topics.episodes, log.partitions(topics.episodes))
    copies = len(messages)
    if manifest is not None:
        messages.insert(0, Message(topics.releases, release.encode(), manifest))
    log.append(messages)
    return {"release": release, "role": role, "event": event.id, "partitions": copies}


class Comparison(NamedTuple):
    """How the scores of a shadow compare with those of the champion at the same triggers, by the 30-day risk.

    `scores`: of the shadow, as the log still holds them; `pairs`: those that both told a risk for. Differences are shadow
    minus champion; the correlation is Spearman's, None where it is not defined.
    """

    scores: int
    pairs: int
    mean_difference: float | None
    mean_absolute_difference: float | None
    rank_correlation: float | None


class _Told(msgspec.Struct):
    trigger: str
    trigger_source: str | None
    model: str
    risk: Risk | None


def compare(log: Log, topics: Topics, release: str) -> Comparison:
    """Compares what a log holds of a shadow with what it holds of the champions beside it. Raises `LogError`."""
    count = 0
    pairs: list[tuple[float, float]] = []
    for number in range(partitions_of(log, topics.shadow_scores) or 0):
        beside: dict[tuple[bytes | None, str | None, str], float] = {}
        for key, told in _scores(log, Partition(topics.shadow_scores, number)):
            if told.model == release:
                count += 1
                if told.risk is not None:
                    beside[key, told.trigger_source, told.trigger] = told.risk.d30
        for key, told in _scores(log, Partition(topics.scores, number)) if beside else ():
            name = key, told.trigger_source, told.trigger
            if told.risk is not None and name in beside:
                pairs.append((told.risk.d30, beside[name]))
    return compared(count, np.array(pairs, dtype=np.float64).reshape(-1, 2))


def compared(count: int, pairs: NDArray[np.float64]) -> Comparison:
    """The comparison of pairs: one row each, the champion's risk and the shadow's.

    >>> compared(2, np.array([[0.1, 0.2], [0.3, 0.6]]))
    Comparison(scores=2, pairs=2, mean_difference=0.2, mean_absolute_difference=0.2, rank_correlation=1.0)
    """
    if not len(pairs):
        return Comparison(count, 0, None, None, None)
    difference = pairs[:, 1] - pairs[:, 0]
    ranks = [_ranks(column) for column in pairs.T]
    correlation = (
        float(np.asarray(np.corrcoef(np.vstack(ranks)))[0, 1]) if all(np.ptp(rank) for rank in ranks) else None
    )
    return Comparison(
        count, len(pairs), round(float(difference.mean()), 6), round(float(np.abs(difference).mean()), 6),
        None if correlation is None else round(correlation, 4),
    )  # fmt: skip


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = ends - (counts - 1) / 2
    return means[inverse]


def _scores(log: Log, partition: Partition) -> Iterable[tuple[bytes | None, _Told]]:
    for record in log.read(partition):
        if record.value is not None:
            yield record.key, msgspec.json.decode(record.value, type=_Told)
