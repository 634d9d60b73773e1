"""What the embedded log promises beside the port: processes that die, leases, damaged files, erasure, compaction."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.streams.log import Doubt, Fenced, LogError, Message, Partition, Record, Topic
from keepwell.streams.sqlite.file import SqliteFile
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.sqlite.records import FETCH_BYTES, SLICE
from keepwell.testing.conformance.log import Reader, everything, messages, until

PATIENCE = 20.0
STATE = Partition("state", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(path)
    log.create_topics([Topic("in", 4), Topic("a", 2), Topic("b", 3), Topic("state", 1, "compact")])
    yield log
    log.close()


class TestProcesses:
    def test_workers_killed_in_the_middle_of_commits_lose_nothing_and_repeat_nothing(
        self, log: SqliteLog, path: Path
    ) -> None:
        chance = random.Random(7)
        workers = {instance: start_copier(path, instance) for instance in ("one", "two")}
        try:
            sent = 0
            for _ in range(12):
                log.append(messages("in", 150, start=sent))
                sent += 150
                goal = length(log, "a") + chance.randrange(100)
                wait_for(lambda: length(log, "a") >= goal)  # noqa: B023
                victim = chance.choice(sorted(workers))
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = start_copier(path, victim)
            wait_for(lambda: length(log, "a") >= sent)
        finally:
            for worker in workers.values():
                worker.kill()
                worker.wait()
        source = [b"%d/%d" % (r.partition.number, r.offset) for r in everything(log, "in")]
        for topic in ("a", "b"):
            assert sorted(record.value or b"" for record in everything(log, topic)) == sorted(source)
        assert sum(log.committed("copy", "in").values()) == sent
        assert integrity(path) == "ok"

    def test_processes_that_open_a_new_file_together_agree(self, path: Path) -> None:
        code = (
            "import sys; from keepwell.streams.sqlite.log import SqliteLog; from keepwell.streams.log import Message, Topic\n"
            "log = SqliteLog(sys.argv[1]); log.create_topics([Topic('t', 1)]); log.append([Message('t', b'k', b'v')])"
        )
        writers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(4)]
        assert [writer.wait(PATIENCE * 3) for writer in writers] == [0, 0, 0, 0]
        log = SqliteLog(path)
        assert len(everything(log, "t")) == 4
        log.close()

    def test_a_poll_wakes_for_what_another_process_wrote(self, log: SqliteLog, path: Path) -> None:
        reader = Reader(log.join("g", "in", "a"))
        until(lambda: len(reader.owned) == 4, PATIENCE, reader)
        code = (
            "import sys; from keepwell.streams.sqlite.log import SqliteLog; from keepwell.streams.log import Message\n"
            "SqliteLog(sys.argv[1]).append([Message('in', b'k', b'v')])"
        )
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
        began = time.monotonic()
        assert [record.value for record in reader.poll(10 * PATIENCE)] == [b"v"]
        assert time.monotonic() - began < PATIENCE
        assert writer.wait(PATIENCE) == 0
        reader.member.close()


class TestLeases:
    def test_a_member_that_falls_silent_is_replaced_and_its_commit_refused(self, path: Path, log: SqliteLog) -> None:
        log.append(messages("in", 20))
        hasty = SqliteLog(path, lease=0.3)
        silent = Reader(hasty.join("g", "in", "a"))
        until(lambda: len(silent.records) == 20, PATIENCE, silent)
        other = Reader(log.join("g", "in", "b"))
        deadline = time.monotonic() + PATIENCE
        while len(other.owned) < 4:
            assert time.monotonic() < deadline
            # However busy the other is with commits, it must look for the dead.
            other.commit()
            other.poll()
        with pytest.raises(Fenced):
            silent.commit(messages("a", 5))
        with pytest.raises(Fenced):
            silent.poll()
        silent.member.close()
        until(lambda: len(set(other.records)) == 20, PATIENCE, other)
        other.member.close()
        hasty.close()
        assert everything(log, "a") == []

    def test_a_member_that_keeps_polling_keeps_its_partitions(self, path: Path, log: SqliteLog) -> None:
        hasty = SqliteLog(path, lease=1.0)
        first, second = Reader(hasty.join("g", "in", "a")), Reader(hasty.join("g", "in", "b"))
        until(lambda: len(first.owned) == len(second.owned) == 2, PATIENCE, first, second)
        waiting = threading.Thread(target=second.poll, args=(2.5,))
        waiting.start()
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            first.poll(0.1)
            first.commit()
        waiting.join()
        assert len(first.owned) == len(second.owned) == 2
        first.member.close()
        second.member.close()
        hasty.close()

    def test_a_heartbeat_from_before_the_machine_started_anew_holds_nothing(self, path: Path, log: SqliteLog) -> None:
        lost = log.join("g", "in", "a")
        lost.poll(0)
        with sqlite3.connect(path) as db:
            db.execute("UPDATE members SET beat = beat + 1000000000")
        db.close()
        reader = Reader(log.join("g", "in", "b"))
        reader.poll(0)
        assert len(reader.owned) == 4
        reader.member.close()

    def test_closing_gives_up_when_another_process_does_not_stop_writing(self, path: Path, log: SqliteLog) -> None:
        member = log.join("g", "in", "a")
        with writing(path):
            began = time.monotonic()
            member.close()
            assert time.monotonic() - began < 5

    def test_a_write_that_finds_no_place_in_time_is_doubt(self, path: Path, log: SqliteLog) -> None:
        file = SqliteFile(path)
        with writing(path), pytest.raises(Doubt, match="does not stop writing"), file.write(limit=0.1):
            pass
        file.close()

    def test_a_closed_member_answers_doubt(self, log: SqliteLog) -> None:
        member = log.join("g", "in", "a")
        member.close()
        calls: list[Callable[[], object]] = [
            lambda: member.poll(0),
            lambda: member.commit([], {}),
            lambda: member.committed(Partition("in", 0)),
        ]
        for call in calls:
            with pytest.raises(Doubt, match="join again"):
                call()


class TestFiles:
    def test_a_file_of_something_else_is_refused(self, path: Path) -> None:
        path.write_text("this is no database, and long enough not to be taken for an empty one\n" * 20)
        with pytest.raises(LogError, match="not a log"):
            SqliteLog(path)

    def test_a_database_of_something_else_is_refused_and_left_alone(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE theirs(x)")
        db.close()
        before = path.read_bytes()
        with pytest.raises(LogError, match="database of something else"):
            SqliteLog(path)
        assert path.read_bytes() == before

    def test_a_file_of_a_later_version_is_refused(self, path: Path, log: SqliteLog) -> None:
        log.close()
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version=3")
        db.close()
        with pytest.raises(LogError, match=r"log format 3.*update the program"):
            SqliteLog(path)

    def test_a_damaged_file_is_told_from_an_empty_one(self, path: Path, log: SqliteLog) -> None:
        log.append(messages("in", 2000))
        log.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
        damaged = SqliteLog(path)
        with pytest.raises(LogError, match="damaged: restore it from a copy"):
            everything(damaged, "in")
        damaged.close()

    def test_a_missing_folder_and_a_folder_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(LogError, match="no folder"):
            SqliteLog(tmp_path / "nowhere" / "log.db")
        with pytest.raises(LogError, match="is it a folder"):
            SqliteLog(tmp_path)

    def test_a_closed_log_says_so(self, log: SqliteLog) -> None:
        log.close()
        with pytest.raises(LogError, match="the log is closed"):
            log.append(messages("in", 1))

    def test_what_was_written_is_there_after_a_new_start(self, path: Path, log: SqliteLog) -> None:
        log.append(messages("in", 100))
        before = everything(log, "in")
        log.close()
        again = SqliteLog(path)
        assert everything(again, "in") == before
        again.close()


class TestReading:
    def test_a_reader_that_stops_half_way_keeps_nobody_from_writing(self, log: SqliteLog) -> None:
        log.append(messages("a", 10))
        half = log.read(Partition("a", 0))
        first = next(half)
        log.append(messages("a", 10))
        rest = list(half)
        assert [first, *rest] == list(log.read(Partition("a", 0), 0, rest[-1].offset + 1))

    def test_a_poll_of_large_records_does_not_fill_the_memory(self, log: SqliteLog) -> None:
        large = bytes(FETCH_BYTES // 4)
        for _ in range(8):
            log.append([Message("in", b"k", large)])
        reader = Reader(log.join("g", "in", "a"))
        sizes = [len(reader.poll()) for _ in range(4)]
        assert sum(sizes) == 8
        assert max(sizes) <= 5
        reader.member.close()

    def test_a_poll_passes_over_what_compaction_removed(self, log: SqliteLog) -> None:
        reader = Reader(log.join("g", "state", "a"))
        until(lambda: len(reader.owned) == 1, PATIENCE, reader)
        log.append([Message("state", b"k", b"%d" % n) for n in range(10)])
        log.append([Message("state", b"k", None)])
        log.compact("state", tombstone_age=-1)
        assert reader.poll(0) == []
        log.append([Message("state", b"k", b"after")])
        assert [record.value for record in reader.poll()] == [b"after"]
        reader.member.close()


class TestCompaction:
    def test_writers_compact_as_they_go(self, log: SqliteLog) -> None:
        for version in range(60):
            log.append([Message("state", b"%d" % key, b"%d" % version) for key in range(200)])
        records = list(log.read(STATE))
        assert len(records) < 2 * SLICE + 200
        assert newest(records) == {b"%d" % key: b"59" for key in range(200)}

    def test_a_restore_reads_at_most_twice_the_live_keys(self, log: SqliteLog) -> None:
        for version in range(8):
            for start in range(0, 5000, 500):
                batch = range(start, start + 500)
                log.append([Message("state", b"%d" % key, b"%d" % version) for key in batch])
        records = list(log.read(STATE))
        assert len(records) <= 2 * 5000 + SLICE
        assert newest(records) == {b"%d" % key: b"7" for key in range(5000)}

    def test_a_deletion_stays_until_it_is_old(self, log: SqliteLog) -> None:
        log.append([Message("state", b"k", b"v"), Message("state", b"k", None), Message("state", b"l", b"w")])
        log.compact("state")
        assert [(record.key, record.value) for record in log.read(STATE)] == [(b"k", None), (b"l", b"w")]
        log.compact("state", tombstone_age=-1)
        assert [(record.key, record.value) for record in log.read(STATE)] == [(b"l", b"w")]

    def test_only_a_compacted_topic_is_compacted(self, log: SqliteLog) -> None:
        with pytest.raises(LogError, match="not compacted"):
            log.compact("in")

    @settings(max_examples=25, deadline=None)
    @given(
        steps=st.lists(
            st.one_of(
                st.tuples(st.just("write"), st.integers(0, 5), st.integers(0, 99)),
                st.tuples(st.just("delete"), st.integers(0, 5), st.just(0)),
                st.tuples(st.just("erase"), st.integers(0, 5), st.just(0)),
                st.tuples(st.just("compact"), st.just(0), st.sampled_from([-1, 3600])),
                st.tuples(st.just("many"), st.integers(0, 5), st.integers(0, 99)),
            ),
            max_size=25,
        )
    )
    def test_whatever_is_removed_the_fold_of_the_log_is_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
    ) -> None:
        log = SqliteLog(tmp_path_factory.mktemp("fold") / "log.db")
        log.create_topics([Topic("state", 1, "compact")])
        model: dict[bytes, bytes] = {}
        for step, number, value in steps:
            key, text = b"%d" % number, b"%d" % value
            if step == "compact":
                log.compact("state", tombstone_age=value)
            elif step == "erase":
                log.append([Message("state", key, None)])
                log.purge([STATE])
                model.pop(key, None)
                assert all(record.key != key for record in log.read(STATE))
            elif step == "delete":
                log.append([Message("state", key, None)])
                model.pop(key, None)
            else:
                log.append([Message("state", key, text)] * (1 if step == "write" else SLICE + 1))
                model[key] = text
            records = list(log.read(STATE))
            assert {key: value for key, value in newest(records).items() if value is not None} == model
            assert [record.offset for record in records] == sorted({record.offset for record in records})
        log.compact("state", tombstone_age=-1)
        assert {record.key: record.value for record in log.read(STATE)} == model
        assert len(list(log.read(STATE))) == len(model)
        log.close()


class TestErasure:
    def test_no_byte_of_a_deleted_key_stays_in_the_file(self, path: Path, log: SqliteLog) -> None:
        marker = b"the state of somebody"
        for n in range(50):
            log.append([Message("state", b"k", marker + b"%d" % n), *messages("in", 20)])
            log.append([Message("in", b"k", marker, partition=n % 4)])
        log.compact("state")
        log.append([Message("state", b"k", None)])
        for number in range(log.partitions("state")):
            log.purge([Partition("state", number)])
        for number in range(4):
            source = Partition("in", number)
            log.drop(source, [record.offset for record in log.read(source) if record.key == b"k"])
        held = [*everything(log, "state"), *everything(log, "in")]
        assert [record for record in held if record.key == b"k"] == []
        log.close()
        assert not [file.name for file in path.parent.iterdir() if marker in file.read_bytes()]

    def test_no_byte_of_many_erased_among_many_others_stays_in_the_file(self, path: Path, log: SqliteLog) -> None:
        """Pages fill, split, merge and are used again between the writes: nothing may be left in their gaps either."""
        rng = random.Random(7)
        log.create_topics([Topic("own", 2, "compact")])
        for number in range(120):
            names = [rng.choice([b"somebody-%d", b"other-%d"]) % rng.randrange(9) for _ in range(60)]
            log.append([Message("own", b"%s#%d.%d" % (name, number, n), name * rng.randrange(1, 90), (), n % 2)
                        for n, name in enumerate(names)])  # fmt: skip
            if number % 20 == 19:
                gone = b"somebody-%d#" % rng.randrange(9)
                for each in [Partition("own", n) for n in range(2)]:
                    keys = [r.key for r in log.read(each) if r.key and r.key.startswith(gone)]
                    log.append([Message("own", key, None, (), each.number) for key in keys])
                    log.purge([each])
        for each in [Partition("own", n) for n in range(2)]:
            keys = [r.key for r in log.read(each) if r.key and r.key.startswith(b"somebody")]
            log.append([Message("own", key, None, (), each.number) for key in keys])
            log.purge([each])
        assert sum(1 for _ in everything(log, "own")) > 1000
        found = {file.name: file.read_bytes().count(b"somebody") for file in path.parent.iterdir()}
        assert sum(found.values()) == 0, found
        log.compact("own")
        log.append([Message("own", b"other-1#x", b"v")])
        assert integrity(path) == "ok"

    def test_who_reads_while_records_are_erased_must_read_again(self, log: SqliteLog) -> None:
        log.append([Message("state", b"%d" % n, b"v") for n in range(3000)])
        reading = log.read(STATE)
        next(reading)
        log.append([Message("state", b"7", None)])
        log.purge([STATE])
        with pytest.raises(Doubt, match="read them again"):
            list(reading)
        assert len(list(log.read(STATE))) == 2999

    def test_a_look_at_a_file_of_the_version_before_leaves_it_to_that_version_until_a_topic_is_made(
        self, path: Path, log: SqliteLog
    ) -> None:
        log.append([Message("state", b"k", b"v")])
        log.close()
        db = sqlite3.connect(path)
        db.executescript("ALTER TABLE partitions DROP COLUMN purges; DROP TABLE rewritten; PRAGMA user_version=1")
        again = SqliteLog(path)
        again.create_topics([Topic("state", 1, "compact")])
        assert len(list(again.read(STATE))) == 1
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        again.create_topics([Topic("other", 1)])
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        db.close()
        again.close()

    def test_what_a_file_of_the_version_before_lacks_is_made(self, path: Path, log: SqliteLog) -> None:
        log.append([Message("state", b"k", b"v")])
        log.close()
        db = sqlite3.connect(path)
        db.executescript("ALTER TABLE partitions DROP COLUMN purges; DROP TABLE rewritten; PRAGMA user_version=1")
        db.close()
        again = SqliteLog(path)
        again.append([Message("state", b"k", None)])
        again.purge([STATE])
        assert list(again.read(STATE)) == []
        again.close()


class TestTrim:
    def test_trimming_forgets_the_beginning_and_compaction_goes_on(self, log: SqliteLog) -> None:
        log.append([Message("state", b"%d" % (n % 50), b"%d" % n) for n in range(3000)])
        log.compact("state")
        log.trim(STATE, 2990)
        assert log.bounds(STATE) == (2990, 3000)
        assert [record.offset for record in log.read(STATE)] == list(range(2990, 3000))
        log.append([Message("state", b"%d" % (n % 50), b"new") for n in range(50)])
        log.compact("state")
        assert [record.value for record in log.read(STATE)] == [b"new"] * 50

    def test_trimming_beyond_the_end_ends_at_the_end(self, log: SqliteLog) -> None:
        log.append(messages("a", 10))
        end = log.bounds(Partition("a", 0))[1]
        log.trim(Partition("a", 0), end + 100)
        assert log.bounds(Partition("a", 0)) == (end, end)


def start_copier(path: Path, instance: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.streams.worker.copier", str(path), instance])


def wait_for(condition: Callable[[], bool]) -> None:
    until(condition, 6 * PATIENCE)


def length(log: SqliteLog, topic: str) -> int:
    return sum(log.bounds(Partition(topic, number))[1] for number in range(log.partitions(topic)))


def newest(records: list[Record]) -> dict[bytes | None, bytes | None]:
    return {record.key: record.value for record in records}


def integrity(path: Path) -> str:
    db = sqlite3.connect(path)
    verdict: str = db.execute("PRAGMA integrity_check").fetchone()[0]
    db.close()
    return verdict


class writing:
    """Another process's write transaction that does not end."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self.db.execute("ROLLBACK")
        self.db.close()
