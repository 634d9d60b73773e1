"""`keepwell erase`: asks for a client's erasure, waits until every part has obeyed, and reads back what is left."""

from __future__ import annotations

import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from keepwell.care.instruments import Instruments
from keepwell.cli._common import failed, say
from keepwell.cli._options import AsJson, LogUrl, Prefix
from keepwell.cli._settings import read
from keepwell.contract.decode import decode
from keepwell.contract.events import ClientErased, Erased, encode
from keepwell.contract.refusal import Refusal
from keepwell.settings import Settings
from keepwell.streams import earlier
from keepwell.streams.log import Doubt, Log, LogError, Message, Partition
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import letters
from services.erasure.client import Client, by_key, find, written
from services.erasure.erasure import behind
from services.erasure.raw import Sent, opened, raw

LOOK: Final = 0.2
"""Seconds between two looks at how far the services are."""
_RUNS_ON: Final = "The erasure is in the log and will be carried out once that service works; then run this again."


def command(
    *,
    client: Annotated[str, typer.Argument(help="The client's pseudonym; - reads it from standard input.")],
    clinic: Annotated[str, typer.Option("--clinic", help="The clinic whose client it is.")],
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop",
            help="Also remove the client's records as senders sent them; from Kafka with all that came before them.",
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the services.")] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Erase a client: write the event, wait until log, state and scores have obeyed, read all back and print the proof.

    Exit 1 where something is left, or a service has not obeyed in time. Nothing printed names the client.
    """
    name = sys.stdin.readline().strip() if client == "-" else client
    settings = read(Settings, log=log, topic_prefix=topic_prefix)
    with closing(settings.open_log(must_exist=True)) as opened:
        result = erase(opened, Topics(settings.topic_prefix), Client(clinic, name), drop, timeout)
    say(result, as_json)
    if not result["episodes"]:
        print("keepwell: no episode of such a client was found; was the pseudonym meant?", file=sys.stderr)
    if any(result["left"].values()):
        failed(
            "records of the client's episodes are left: they came after the erasure, which left nothing to tell whose "
            "they are. Once no more come, send the opening of each of these episodes again, and then erase again"
        )


def erase(log: Log, topics: Topics, client: Client, drop: bool, timeout: float) -> dict[str, Any]:
    """Asks for the erasure and returns the proof. Raises `LogError` that says who has not obeyed within `timeout` seconds."""
    earlier.check(log, topics.episodes)
    as_sent = (topics.sessions, topics.dead_letters)
    # Where an erasure before this one took the accepted events, only what was sent tells which episodes are the client's.
    episodes = _episodes(log, topics, client).union(*(opened(log, topic, client) for topic in as_sent))
    before = _counts(log, topics, episodes)
    _ask_and_wait(log, topics, client, timeout)
    left = _counts(log, topics, episodes | _episodes(log, topics, client))
    places = {topic: raw(log, topic, client, episodes) for topic in as_sent}
    result: dict[str, Any] = {
        "episodes": len(episodes),
        "deleted": {topic: before[topic] - left[topic] for topic in written(topics)},
        "left": dict(left),
    }
    if drop:
        result["dropped"] = drop_sent(log, topics, places)
        places = {topic: raw(log, topic, client, episodes) for topic in as_sent}
    result["as_sent"] = {topic: _named(found) for topic, found in places.items()}
    return result


def _ask_and_wait(log: Log, topics: Topics, client: Client, timeout: float) -> None:
    now = time.monotonic()
    until = now + timeout
    # What ingest took in only after the erasure would begin the client's episodes anew, so it is let come first if it can.
    sent = _ends(log, topics.sessions)
    while behind(log, topics.ingest_group, topics.sessions, sent) and time.monotonic() < now + timeout / 2:
        time.sleep(LOOK)
    [(asked, offset)] = log.append([Message(topics.sessions, b"_erasure", _event(client))])
    sent[asked] = offset + 1
    _wait("ingest", until, lambda: behind(log, topics.ingest_group, topics.sessions, sent))
    # Ingest wrote it to every partition in one append, so it lies below these ends.
    ends = _ends(log, topics.episodes)
    for service, group in (("predictor", topics.predictor_group), ("erasure", topics.erasure_group)):
        _wait(service, until, lambda group=group: behind(log, group, topics.episodes, ends))  # type: ignore[misc]  # mypy cannot infer a default of a lambda


def _ends(log: Log, topic: str) -> dict[Partition, int]:
    return {each: log.bounds(each)[1] for each in (Partition(topic, number) for number in range(log.partitions(topic)))}


def _event(client: Client) -> bytes:
    """The event that asks for it. Raises `LogError` where clinic or client are none that a log could hold."""
    now = datetime.now(UTC)
    value = encode(
        ClientErased(
            specversion="1.0", id=f"erasure-{secrets.token_hex(8)}", source=f"/{client.clinic}/keepwell",
            subject="_erasure", time=now, data=Erased(client_id=client.name),
        )
    )  # fmt: skip
    checked = decode(value, now=now, instruments=Instruments())
    if isinstance(checked, Refusal):
        raise LogError(f"this client cannot be erased, as no event could name it: {checked.detail}")
    return value


def _wait(service: str, until: float, waiting: Callable[[], list[int]]) -> None:
    while numbers := waiting():
        if time.monotonic() > until:
            told = ", ".join(map(str, numbers))
            raise LogError(f"keepwell {service} has not obeyed on partitions {told}: does it run? {_RUNS_ON}")
        time.sleep(LOOK)


def _episodes(log: Log, topics: Topics, client: Client) -> frozenset[bytes]:
    partitions = (Partition(topics.episodes, number) for number in range(log.partitions(topics.episodes)))
    found = (find(log, partition, client) for partition in partitions)
    return frozenset().union(*(one.episodes for one in found if one is not None))


def _counts(log: Log, topics: Topics, episodes: Iterable[bytes]) -> Counter[str]:
    return Counter({topic: len(by_key(log, topic, episodes)) for topic in written(topics)})


def drop_sent(log: Log, topics: Topics, places: Mapping[str, Sent]) -> dict[str, str]:
    """Removes what was sent, as far as ingest has read it; in words what came of it, by topic.

    Openings go last of all topics: without them nobody could tell, after a crash, whose the others are. Where the log lets go
    of a record only with what came before it, that goes too: of what was sent, ingest has taken it in; of dead letters, only
    where none of another client waits among them.
    """
    taken = log.committed(topics.ingest_group, topics.sessions)
    waiting = _waiting(log, topics, places[topics.dead_letters])
    count = dict.fromkeys(places, 0)
    refused: dict[str, str] = {}
    rounds = [(topic, found.others) for topic, found in places.items()]
    rounds += [(topic, found.openings) for topic, found in places.items()]
    for topic, found in rounds:
        for partition, offsets in found.items():
            fit = [offset for offset in offsets if topic != topics.sessions or offset < taken.get(partition, 0)]
            if not fit:
                continue
            alone = topic == topics.dead_letters and any(offset < max(fit) for offset in waiting.get(partition, ()))
            try:
                log.drop(partition, fit, with_earlier=not alone)
            except Doubt:
                raise
            except LogError as error:
                refused[topic] = f"{error}, and other letters wait there: replay or drop them first"
            else:
                count[topic] += len(fit)
    return {topic: f"{dropped} records" for topic, dropped in count.items()} | refused


def _waiting(log: Log, topics: Topics, own: Sent) -> dict[Partition, list[int]]:
    """The places of letters that wait and are not the client's."""
    mine = {(partition, offset) for each in own for partition, offsets in each.items() for offset in offsets}
    found: dict[Partition, list[int]] = {}
    for letter in letters(log, topics.dead_letters):
        partition, offset = letter.record.partition, letter.record.offset
        if (partition, offset) not in mine:
            found.setdefault(partition, []).append(offset)
    return found


def _named(places: Sent) -> list[str]:
    found = ((*partition, offset) for each in places for partition, offsets in each.items() for offset in offsets)
    return [f"{number}/{offset}" for _, number, offset in sorted(found)]
