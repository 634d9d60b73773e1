"""An erasure carried out: nothing of the client is left, others are untouched, and no crash changes that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import pytest

from keepwell.contract.events import Opened
from keepwell.contract.keys import ERASURE
from keepwell.streams.log import Log, Message, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.worker import dead_letters, state
from services.erasure.client import Client, by_key, find, written
from services.erasure.erasure import Eraser
from services.erasure.raw import raw
from tests.services.erasure.clinic import EVENTS, GONE, OF_GONE, SUBJECTS, Clinic, erasure
from tests.strategies import DAY, make


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    log: Log = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.db")
    yield log
    log.close()


def test_the_client_of_these_tests_has_more_than_one_kind_of_record() -> None:
    clinic = Clinic(MemoryLog())
    clinic.live()
    assert set(clinic.of_gone()) == set(written(clinic.topics)) - {clinic.topics.shadow_scores}
    assert len(OF_GONE) > 20


def test_nothing_is_left_of_an_erased_client_and_a_replay_holds_before_while_and_after(log: Log) -> None:
    clinic = Clinic(log)
    clinic.live()
    assert clinic.verify() is None
    clinic.send([erasure()])
    clinic.ingest()
    assert clinic.verify() is None
    clinic.predict()
    assert set(clinic.of_gone()) == {clinic.topics.episodes}, "scores, alerts and state go as the predictor forgets"
    assert clinic.verify() is None
    clinic.erase()
    assert clinic.of_gone() == []
    assert clinic.verify() is None
    names = [GONE.encode(), *(subject.encode() for subject in SUBJECTS)]
    assert names == [b"p-2", b"ep-2"], "neither begins the name of another"
    for topic in written(clinic.topics):
        for record in clinic.raw(topic):
            assert not any(name in (record.key or b"") + (record.value or b"") for name in names), (topic, record.key)
    clinic.tick(90)
    clinic.predict()
    assert clinic.of_gone() == [], "no timer of the client's falls due"
    assert clinic.verify() is None


def test_what_is_left_is_what_a_log_without_the_client_gives(log: Log) -> None:
    clinic = Clinic(log)
    clinic.live()
    clinic.send([erasure()])
    clinic.ingest()
    clinic.predict()
    clinic.erase()
    other = Clinic(MemoryLog())
    other.live([event for event in EVENTS if event.subject not in SUBJECTS])
    assert clinic.outputs() == other.outputs()


def test_the_scores_of_others_are_the_same_bytes_at_the_same_places(log: Log) -> None:
    clinic = Clinic(log)
    clinic.live()
    topics = (clinic.topics.scores, clinic.topics.alerts)
    before = {topic: [r for r in clinic.raw(topic) if not of_gone(r.key)] for topic in topics}
    clinic.send([erasure()])
    for act in (clinic.ingest, clinic.predict, clinic.erase):
        act()
    assert {topic: clinic.raw(topic) for topic in topics} == before


def of_gone(key: bytes | None) -> bool:
    return any((key or b"").partition(b"#")[0] == f"north/{subject}".encode() for subject in SUBJECTS)


def test_an_erasure_waits_until_the_predictor_has_obeyed_on_every_partition() -> None:
    clinic = Clinic(MemoryLog())
    clinic.live()
    clinic.send([erasure()])
    clinic.ingest()
    eraser = Eraser(clinic.log, clinic.topics)
    partition = Partition(clinic.topics.episodes, 0)
    (asked,) = [record for record in clinic.log.read(partition) if (record.key or b"").startswith(ERASURE)]
    handled = eraser.handle(partition, [asked])
    assert (handled.done, handled.again > 0) == (0, True)
    assert clinic.of_gone().count(clinic.topics.episodes) >= len(OF_GONE)
    clinic.predict()
    while not (handled := eraser.handle(partition, [asked])).done:
        assert handled.again == 0
    assert clinic.of_gone() == []


def test_what_comes_again_of_an_erased_client_before_the_deletions_is_written_stays(log: Log) -> None:
    """The platform sends the whole course anew right behind the erasure: scores and alerts come out under the same ids."""
    clinic = Clinic(log)
    clinic.live()
    clinic.send([erasure()])
    clinic.ingest()
    clinic.send(OF_GONE)
    clinic.ingest()
    clinic.predict()
    again = clinic.outputs()
    assert sum(of_gone(key) for key, _ in again[clinic.topics.scores]) == len(OF_GONE)
    clinic.erase()
    assert clinic.outputs() == again
    assert clinic.verify() is None
    clinic.send([erasure(event_id="again")])
    for act in (clinic.ingest, clinic.predict, clinic.erase):
        act()
    assert clinic.of_gone() == []
    assert clinic.verify() is None


class Crash(Exception):
    """The process died."""


def erased_undisturbed() -> Clinic:
    clinic = Clinic(MemoryLog())
    clinic.live()
    clinic.send([erasure()])
    clinic.ingest()
    clinic.predict()
    clinic.erase()
    return clinic


def test_a_crash_between_any_two_steps_changes_nothing_in_the_end() -> None:
    undisturbed = erased_undisturbed()
    expected = {topic: undisturbed.holds(topic) for topic in written(undisturbed.topics)}
    obeyed = Clinic(MemoryLog())
    obeyed.live()
    obeyed.send([erasure()])
    obeyed.ingest()
    obeyed.predict()
    crashes = 0
    for number in range(1000):
        clinic = Clinic(copied(obeyed.log))
        assert isinstance(clinic.log, MemoryLog)
        clinic.log.faults = nth(number)
        try:
            clinic.erase()
        except Crash:
            crashes += 1
        else:
            break
        finally:
            clinic.log.faults = None
        assert clinic.verify() is None, f"replay after a crash at step {number}"
        clinic.log.evict(clinic.topics.erasure_group, clinic.topics.episodes, "a")
        clinic.erase()
        assert {topic: clinic.holds(topic) for topic in written(clinic.topics)} == expected, f"step {number}"
        assert not any(of_gone(r.key) for topic in written(clinic.topics) for r in clinic.raw(topic)), f"step {number}"
    assert crashes > 30


def copied(log: Log) -> MemoryLog:
    """Another log in memory with the same records and offsets."""
    assert isinstance(log, MemoryLog)
    copy = MemoryLog()
    copy._topics, copy._groups = deepcopy((log._topics, log._groups))
    return copy


def nth(number: int) -> Callable[[str], None]:
    """Kills the process at so manyth change of the log or of the position."""
    left = [number]

    def fault(point: str) -> None:
        if point.split(".", maxsplit=1)[0] in ("append", "purge", "commit"):
            left[0] -= 1
            if left[0] == -1:
                raise Crash

    return fault


def test_a_log_of_which_compaction_took_some_records_of_the_client_says_nothing_of_the_others() -> None:
    clinic = Clinic(MemoryLog())
    assert isinstance(clinic.log, MemoryLog)
    clinic.live()
    clinic.send([erasure()])
    clinic.ingest()
    clinic.predict()
    clinic.log.faults = at("purge.before")
    with pytest.raises(Crash):
        clinic.erase()
    clinic.log.faults = None
    assert any(record.value and of_gone(record.key) for record in clinic.raw(clinic.topics.episodes))
    for partition in clinic.partitions(clinic.topics.episodes):
        opening = [
            r.offset for r in clinic.log.read(partition) if of_gone(r.key) and b"episode.opened" in (r.value or b"")
        ]
        clinic.log.drop(partition, opening)
    assert clinic.verify() is None
    assert clinic.of_gone() == []


def at(wanted: str) -> Callable[[str], None]:
    def fault(point: str) -> None:
        if point == wanted:
            raise Crash

    return fault


def test_a_client_is_found_as_the_predictor_finds_it() -> None:
    """By every opening that was taken, even a corrected one; not by a repetition that says something else."""
    clinic = Clinic(MemoryLog())
    mine, yours = Opened(client_id="p-1", clinician_id="c-1"), Opened(client_id="p-2", clinician_id="c-1")
    clinic.send(
        [
            make(mine, 0, "e-0", subject="corrected"),
            make(yours, DAY, "e-1", subject="corrected", corrects="e-0"),
            make(yours, 0, "e-0", subject="repeated"),
            make(mine, DAY, "e-0", subject="repeated"),
            make(mine, 0, "e-0", source="/south/booking"),
        ]
    )
    clinic.ingest()
    found = [find(clinic.log, each, Client("north", "p-1")) for each in clinic.partitions(clinic.topics.episodes)]
    assert frozenset().union(*(one.episodes for one in found if one)) == {b"north/corrected"}
    clinic.send([erasure("p-1")])
    for act in (clinic.ingest, clinic.predict, clinic.erase):
        act()
    held = {key for _, key, _ in clinic.holds(clinic.topics.scores)}
    assert held == {b"north/repeated", b"south/ep-1"}
    assert by_key(clinic.log, clinic.topics.episodes, [b"north/corrected"]) == []
    assert len(by_key(clinic.log, clinic.topics.episodes, held - {None})) == 3  # type: ignore[arg-type]  # None is taken out


def test_an_erasure_of_nobody_leaves_nothing_of_itself() -> None:
    clinic = Clinic(MemoryLog())
    clinic.live()
    clinic.send([erasure("p-unknown")])
    for act in (clinic.ingest, clinic.predict, clinic.erase):
        act()
    assert not any((r.key or b"").startswith(ERASURE) for r in clinic.raw(clinic.topics.episodes))
    assert clinic.verify() is None


def test_no_line_of_the_log_names_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    erased_undisturbed()
    told = "".join(capsys.readouterr())
    assert "erasure.done" in told
    assert not any(name in told for name in (f"{GONE} ", f'"{GONE}"', *(f"{subject}\n" for subject in SUBJECTS)))


def test_the_deletions_are_asked_for_again_each_day() -> None:
    asked: list[str] = []

    class Counting(MemoryLog):
        def purge(self, partitions: Sequence[Partition]) -> None:
            asked.append("purge")

    clinic = Clinic(Counting())
    clinic.tick(1)
    clinic.tick(2)
    eraser = Eraser(clinic.log, clinic.topics)
    partition = Partition(clinic.topics.episodes, 0)
    first, second = clinic.log.read(partition)
    eraser.handle(partition, [first])
    eraser.handle(partition, [second._replace(timestamp=first.timestamp)])
    assert len(asked) == 1
    eraser.handle(partition, [second._replace(timestamp=first.timestamp + 86_400_000)])
    assert len(asked) == 2


@pytest.mark.parametrize("anew", [False, True])
def test_what_was_set_aside_counts_where_it_was_put_back(log: Log, anew: bool) -> None:
    """A predictor that does not know a type yet sets it aside; put back after the upgrade it stands behind later events.

    So too where the upgrade makes the state anew: the one that knows the type reads over the place at which it was set aside.
    """
    clinic = Clinic(log)
    clinic.live()
    number, key, value = next(
        one for one in clinic.holds(clinic.topics.episodes) if b"session.attended" in (one[2] or b"")
    )
    unknown = Message(
        clinic.topics.episodes, (key or b"") + b"9", (value or b"").replace(b'"id":"', b'"id":"new-'), (), number
    )
    [(place, offset)] = log.append([unknown])
    (refused,) = log.read(place, offset)
    letter = dead_letters.letter(clinic.topics.dead_letters, refused, "unknown_type", "$.type")
    log.append([letter])
    worker = log.join(clinic.topics.predictor_group, clinic.topics.episodes, "b")  # the older one, which set it aside
    while place not in worker.poll(0.1).gained:
        pass
    worker.commit([], {place: offset + 1})
    worker.close()
    if anew:
        held = [r for r in log.read(Partition(clinic.topics.state, number)) if b"/" in (r.key or b"") and r.value]
        entry = state.read(held[-1])
        assert entry is not None
        before = state.encode(entry._replace(payload=b"\0" + entry.payload[1:]))
        log.append([Message(clinic.topics.state, held[-1].key, before, (), number)])
    clinic.tick(95)
    clinic.predict()
    assert clinic.verify() is None
    dead_letters.replay(log, dead_letters.letters(log, clinic.topics.dead_letters))
    clinic.predict()
    assert clinic.verify() is None
    if isinstance(log, MemoryLog | SqliteLog):
        log.compact(clinic.topics.episodes)
    assert clinic.verify() is None


def test_a_letter_of_an_alert_is_found_by_its_episode_though_it_names_no_system(log: Log) -> None:
    clinic = Clinic(log)
    value = b'{"alert_id":"al-1","episode":"north/ep-2","status":"raised","evidence":[]}'
    other = value.replace(b"ep-2", b"ep-21")
    for alert in (value, other):
        [(place, offset)] = log.append([Message(clinic.topics.alerts, b"north/ep-2#al-1.raised", alert, (), 0)])
        (record,) = log.read(place, offset)
        key = b"north/ep-2#al-1.raised" if alert is value else b"north/ep-21#al-1.raised"
        told = dead_letters.letter(clinic.topics.dead_letters, record._replace(key=key), "webhook_rejected", "$")
        log.append([told._replace(partition=0)])
    found = raw(log, clinic.topics.dead_letters, Client("north", GONE), [b"north/ep-2"])
    assert list(found.others.values()) == [[0]]
