"""The same accepted events give the same table, wherever they are read from and however the work is shared out."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pandas as pd
import pytest
import zstandard
from distributed import Client, LocalCluster
from joblib import parallel_config

from keepwell.care.instruments import Instruments
from keepwell.contract.events import AnyEvent, ClientErased, EpisodeOpened, Erased, decode_accepted, encode
from keepwell.files.events import with_ticks
from keepwell.streams.log import Message
from keepwell.testing.made_up import made_up_clinic, to_jsonl
from tests.episodes import on, opened, story, ticked, weekly
from tests.strategies import make, moment
from tests.training.logs import TOPICS, as_log
from training.dataset import Dataset, InMemory, archive, build, builder

START = datetime(2024, 1, 1, tzinfo=UTC)
KNOWN = Instruments()


@pytest.fixture(scope="module")
def told() -> list[AnyEvent]:
    """A small clinic, with corrections, retractions and an erasure."""
    return [decode_accepted(encode(event)) for event in made_up_clinic(60, 5, START, 200)]


@pytest.fixture(scope="module")
def expected(told: list[AnyEvent]) -> Dataset:
    return build(InMemory(told))


def equal(one: Dataset, other: Dataset) -> None:
    pd.testing.assert_frame_equal(one.frame, other.frame)
    pd.testing.assert_frame_equal(one.fairness, other.fairness)
    assert one.about == other.about


def _plain(events: Sequence[AnyEvent], folder: Path) -> Path:
    path = folder / "events.jsonl"
    with path.open("wb") as out:
        to_jsonl(events, out)
    return path


def _gz(events: Sequence[AnyEvent], folder: Path) -> Path:
    path = folder / "events.jsonl.gz"
    path.write_bytes(gzip.compress(_plain(events, folder).read_bytes()))
    return path


def _zst(events: Sequence[AnyEvent], folder: Path) -> Path:
    path = folder / "events.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(_plain(events, folder).read_bytes()))
    return path


def _parquet(events: Sequence[AnyEvent], folder: Path) -> Path:
    path = folder / "events.parquet"
    assert archive([_plain(events, folder)], path) == len(events)
    return path


@pytest.mark.parametrize("write", [_plain, _gz, _zst, _parquet])
def test_files_of_every_kind_give_the_same_table(
    told: list[AnyEvent], expected: Dataset, tmp_path: Path, write: Callable[[Sequence[AnyEvent], Path], Path]
) -> None:
    equal(build([write(told, tmp_path)]), expected)


def test_several_files_are_one_history(told: list[AnyEvent], expected: Dataset, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    later = _plain(told[len(told) // 2 :], tmp_path)
    earlier = _parquet(told[: len(told) // 2], tmp_path / "a")
    equal(build([later, earlier]), expected)


def test_a_log_with_a_tick_every_midnight_gives_the_table_of_the_file(told: list[AnyEvent], expected: Dataset) -> None:
    equal(build(as_log(list(with_ticks(told, told[-1].time)))), expected)


def test_how_episodes_lie_in_partitions_does_not_matter(told: list[AnyEvent], expected: Dataset) -> None:
    parts: list[list[AnyEvent]] = [[], [], []]
    for event in with_ticks(told, told[-1].time):
        everywhere = event.subject == "_clock" or isinstance(event, ClientErased)
        for number, part in enumerate(parts):
            if everywhere or sum(event.key.encode()) % 3 == number:
                part.append(event)
    # An erasure counts in each partition that it reaches, what it erased once.
    equal(build(as_log(*parts)), expected)


def test_an_archive_of_a_log_keeps_its_order_and_its_ticks(tmp_path: Path) -> None:
    log = as_log(
        [*story((0, opened()), *weekly(2)), ticked(20), *story((3, opened()), (6, opened()))[1:], ticked(30)],
        story((0, opened()), *weekly(3), subject="ep-2"),
    )
    path = tmp_path / "log.parquet"
    assert archive(log, path) == 3 + 1 + 1 + 1 + 4
    equal(build([path]), build(log))
    equal(build([path, path]), build(log))


def test_an_archive_of_a_log_is_not_mixed_with_files_that_have_no_order(told: list[AnyEvent], tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    archive(as_log(told[:5]), path)
    with pytest.raises(ValueError, match="order of arrival"):
        build([path, _plain(told, tmp_path)])


def test_a_parquet_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no")
    for name in ("other.parquet", "text.parquet"):
        with pytest.raises(ValueError, match=name):
            build([tmp_path / name])


def test_lines_that_ingest_refuses_are_counted_and_in_no_row(
    told: list[AnyEvent], expected: Dataset, tmp_path: Path
) -> None:
    path = _plain(told, tmp_path)
    path.write_bytes(path.read_bytes() + b'no event\n{"type": "x"}\n')
    built = build([path])
    assert built.about.counts.refused == 2
    pd.testing.assert_frame_equal(built.frame, expected.frame)


def test_nothing_of_an_erased_client_is_left() -> None:
    gone = make(Erased(client_id="p-1"), 0, "x", subject="any")
    told = [
        *story((0, opened()), *weekly(3)),
        *story((0, opened(client_id="p-2")), *weekly(3), subject="ep-2"),
        gone,
        *story((90, opened(client_id="p-3", fairness={"age_band": "65+"})), (97, opened()), subject="ep-3")[:1],
    ]
    built = build(as_log(told))
    assert set(built.frame.episode) == {"north/ep-2", "north/ep-3"} == set(built.fairness.index)
    assert built.about.counts.erased == 4


def test_fairness_attributes_stand_apart_from_the_rows(told: list[AnyEvent], expected: Dataset) -> None:
    attributes = {
        event.key: event.data.fairness for event in told if isinstance(event, EpisodeOpened) and event.data.fairness
    }
    assert not set(expected.fairness.columns) & set(expected.frame.columns)
    kept = {str(name): {"age_band": band} for name, band in expected.fairness.age_band.items()}
    assert kept == {name: attributes[name] for name in kept} and len(kept) == expected.about.counts.episodes


def test_alerts_that_were_shown_are_known_from_the_log() -> None:
    told = [*story((0, opened()), *weekly(8)), ticked(70)]
    source = as_log(told)
    alert = {"episode": "north/ep-1", "at": moment(on(15) - on(0)).isoformat(), "alert_id": "al-1", "kind": "risk"}
    for status in ("raised", "resolved"):
        value = msgspec.json.encode(alert | {"status": status})
        source.log.append([Message(TOPICS.alerts, b"north/ep-1", value)])
    frame = build(source).frame
    days = (frame.as_of - moment(0)).dt.days
    assert days[frame.alerted].tolist() == [21, 28, 35, 42]
    assert not frame.acted.any()


def test_alerts_that_were_shown_are_known_from_a_file(tmp_path: Path) -> None:
    alert = {"episode": "north/ep-1", "at": moment(on(15) - on(0)).isoformat(), "status": "raised"}
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(msgspec.json.encode(alert) + b"\n")
    frame = build(InMemory(story((0, opened()), *weekly(8))), alerts=[path]).frame
    assert frame.session[frame.alerted & (frame.kind == "session")].tolist() == [3, 4, 5, 6]


# ── sharing out ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_the_table_does_not_depend_on_how_the_work_is_shared_out(
    told: list[AnyEvent], expected: Dataset, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "CHUNK", 100)
    with parallel_config(backend):
        equal(build(InMemory(told), n_jobs=2), expected)


def test_dask_workers_give_the_same_table(
    told: list[AnyEvent], expected: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "CHUNK", 500)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,  # type: ignore[no-untyped-call]  # dask has no types
        Client(cluster),  # type: ignore[no-untyped-call]
        parallel_config("dask"),
    ):
        equal(build(InMemory(told), n_jobs=-1), expected)


# ── the fingerprint ─────────────────────────────────────────────────────────────────────────────────────


def test_the_fingerprint_is_of_the_events_not_of_their_order_or_repetition(told: list[AnyEvent]) -> None:
    kept = [event for event in told if not isinstance(event, ClientErased)]
    plain = build(InMemory(kept)).about.fingerprint
    assert build(InMemory([*reversed(kept), *kept[:9]])).about.fingerprint == plain
    assert build(InMemory(kept[1:])).about.fingerprint != plain
    moved = msgspec.structs.replace(kept[7], time=kept[7].time + timedelta(microseconds=1))
    assert build(InMemory([*kept[:7], moved, *kept[8:]])).about.fingerprint != plain


# ── files of the table ──────────────────────────────────────────────────────────────────────────────────


def test_a_dataset_is_read_back_as_it_was_written(expected: Dataset, tmp_path: Path) -> None:
    expected.write(tmp_path / "table")
    equal(Dataset.read(tmp_path / "table"), expected)


def test_a_dataset_of_other_features_is_refused(expected: Dataset, tmp_path: Path) -> None:
    expected.write(tmp_path)
    about = (tmp_path / "about.json").read_text()
    (tmp_path / "about.json").write_text(about.replace('"missed"', '"formerly"', 1))
    with pytest.raises(ValueError, match="other features"):
        Dataset.read(tmp_path)


def test_a_dataset_of_other_signals_is_refused_with_what_to_do(expected: Dataset, tmp_path: Path) -> None:
    Dataset(expected.frame.drop(columns="signal_last_call"), expected.fairness, expected.about).write(tmp_path)
    with pytest.raises(ValueError, match="other signals than this version has; build it anew"):
        Dataset.read(tmp_path)


def test_nothing_told_is_an_empty_table() -> None:
    empty = build(InMemory([]))
    assert len(empty.frame) == 0 and list(empty.frame.columns) == list(build(InMemory(story((0, opened())))).frame)
