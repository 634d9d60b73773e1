"""The command `release`: what it shows, refuses and writes, and a promotion under workers that are killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from keepwell.cli._promotion import PartitionRoles, champion_before, compared
from keepwell.cli.release import app
from keepwell.contract.control import promotion
from keepwell.contract.events import ClientErased, ModelPromoted, decode_accepted
from keepwell.settings import Settings
from keepwell.streams.log import Log, Partition
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.testing.accepted import accepted
from keepwell.testing.made_up import made_up_clinic
from models.registry import Releases
from models.release import default, digest_of
from services.predictor.bootstrap import worker_of
from services.predictor.settings import PredictorSettings
from services.predictor.turns import Turn
from tests.models.releases import released
from tests.system import System, midnight, shuffled_feed

TOPICS = Topics("north.")
START = datetime(2026, 1, 5, tzinfo=UTC)
SHIPPED = default().digest


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a log of three partitions."""
    for name in [name for name in os.environ if name.startswith("KEEPWELL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with opened() as log:
        ensure_topics(log, TOPICS, 3)
    return tmp_path


class opened(closing[Log]):
    """The log of a test, open for a `with` block."""

    def __init__(self) -> None:
        super().__init__(Settings(log="sqlite:///log.db").open_log())


def run(*words: str, log: bool = False) -> tuple[int, str]:
    """Exit code and output of a command."""
    where = ["--log", "sqlite:///log.db", "--topic-prefix", "north."] if log else []
    done = CliRunner().invoke(app, [*words, *where])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def said(*words: str, log: bool = False) -> Any:
    """The JSON that a command prints."""
    code, output = run(*words, "--json", log=log)
    assert code == 0, output
    return json.loads(output)


def work(model: str | None = None) -> None:
    """A predictor works off what the log holds, started with a release or with the shipped one."""
    with opened() as log:
        settings = PredictorSettings(log="sqlite:///log.db", topic_prefix="north.", instance="a", model=model)
        worker_of(settings, log).drain()


def promotions() -> list[list[ModelPromoted]]:
    """What stands in each partition of episode-events."""
    with opened() as log:
        found = []
        for number in range(3):
            events = [decode_accepted(record.value or b"") for record in log.read(Partition(TOPICS.episodes, number))]
            found.append([event for event in events if isinstance(event, ModelPromoted)])
        return found


def test_a_promotion_reaches_every_partition_and_the_manifest_its_topic(place: Path) -> None:
    digest = released(place / "mine")
    written = said("promote", "mine", log=True)
    assert written | {"event": ""} == {"release": digest, "role": "champion", "event": "", "partitions": 3}
    [first, *rest] = promotions()
    assert [(event.id, event.data.release, event.data.role) for event in first] == [
        (written["event"], digest, "champion")
    ]
    assert rest == [first, first]
    with opened() as log:
        [record] = log.read(Partition(TOPICS.releases, 0))
    assert (record.key, digest_of(record.value or b"")) == (digest.encode(), digest)
    assert Releases(place / "keepwell-releases").load(digest).digest == digest


def test_the_id_of_a_promotion_follows_from_release_role_and_moment() -> None:
    one = promotion("sha256:ab", "champion", START)
    assert one == promotion("sha256:ab", "champion", START)
    others = [
        promotion("sha256:ab", "shadow", START),
        promotion("sha256:cd", "champion", START),
        promotion("sha256:ab", "champion", START + timedelta(microseconds=1)),
    ]
    assert len({event.id for event in (one, *others)}) == 4


def test_what_is_promoted_already_is_not_promoted_again_whether_it_was_worked_off_or_not(place: Path) -> None:
    released(place / "mine")
    for worked in (False, True):
        code, output = run("promote", "mine", log=True)
        assert (code == 0) == (not worked), output
    assert "champion on every partition already" in output
    work()
    assert run("promote", "mine", log=True)[0] == 1
    assert [len(events) for events in promotions()] == [1, 1, 1]


@pytest.mark.parametrize("command", ["promote", "shadow"])
@pytest.mark.parametrize("how", ["broken", "unknown", "unsigned"])
def test_what_the_predictor_would_refuse_is_not_even_written(place: Path, command: str, how: str) -> None:
    released(place / "mine")
    name, more = "mine", list[str]()
    if how == "broken":
        (place / "mine" / "policy.json").write_bytes(b"{}")
    elif how == "unknown":
        name = "abcdef"
    else:
        run("keygen", "key")
        more = ["--release-keys", "key.pub"]
    code, _ = run(command, name, *more, log=True)
    assert code == 1
    assert promotions() == [[], [], []]


def test_a_promotion_without_topics_says_what_is_missing(place: Path) -> None:
    Settings(log="sqlite:///other.db").open_log().close()
    code, output = run("promote", SHIPPED, "--log", "sqlite:///other.db")
    assert code == 1
    assert "episode-events" in output


# ── back ────────────────────────────────────────────────────────────────────────────────────────────────


def test_rolling_back_promotes_what_was_champion_before(place: Path) -> None:
    one, two = released(place / "one", -1.0), released(place / "two", -2.0)
    for name in ("one", "two"):
        run("promote", name, log=True)
    assert said("rollback", log=True)["release"] == one
    work()
    assert said("rollback", log=True)["release"] == SHIPPED
    assert run("rollback", log=True)[0] == 1
    assert two not in said("list", log=True)[0]["in_use"]


def test_rolling_back_passes_over_what_was_refused(place: Path) -> None:
    one, two, three = (released(place / name, base) for name, base in (("one", -1.0), ("two", -2.0), ("three", -3.0)))
    run("promote", "one", log=True)
    run("promote", "two", log=True)
    policy = place / "keepwell-releases" / two.replace(":", "-") / "policy.json"
    good = policy.read_bytes()
    policy.write_bytes(b"{}")
    work()
    policy.write_bytes(good)
    run("promote", "three", log=True)
    assert said("show", three, log=True)["in_use"] == {"champion": 3}
    told = said("show", two, log=True)["history"]
    assert [turn["partitions"] for turn in told] == [{"refused: changed": 3}]
    assert said("rollback", log=True)["release"] == one


@pytest.mark.parametrize(
    ("champions", "before"),
    [("", None), ("A", "S"), ("AB", "A"), ("ABC", "B"), ("ABCB", "A"), ("ABA", "S"), ("AA", "S"), ("ABCBA", "S")],
)
def test_going_back_undoes_a_promotion(champions: str, before: str | None) -> None:
    turns = [Turn(n, name, "champion", f"e-{n}", n) for n, name in enumerate(champions, 1)]
    held = [PartitionRoles((Turn(0, "S", "begin"), *turns[:half]), tuple(turns[half:])) for half in (0, len(turns))]
    assert champion_before(held) == before


@pytest.mark.parametrize(
    ("begun", "champions", "before"),
    [("", "A", None), ("", "AB", "A"), ("", "ABA", None), ("XS", "A", None), ("XX", "A", "X"), ("XS", "AB", "A")],
)
def test_what_lies_below_the_first_promotion_is_not_guessed(begun: str, champions: str, before: str | None) -> None:
    """Where no partition says what it began with, or they differ, nothing is known to have been in use everywhere."""
    turns = tuple(Turn(n, name, "champion", f"e-{n}", n) for n, name in enumerate(champions, 1))
    held = [PartitionRoles((Turn(0, first, "begin"), *turns), ()) for first in begun] + [PartitionRoles((), turns)]
    assert champion_before(held) == before


def test_rolling_back_never_leads_to_a_release_that_was_not_in_use(place: Path) -> None:
    started = released(place / "started", -2.0)
    released(place / "promoted", -1.0)
    feed()
    work("started")
    code, output = run("rollback", log=True)
    assert (code, "keepwell release promote" in output) == (1, True)
    assert promotions() == [[], [], []]
    run("publish", "started")
    run("promote", "promoted", log=True)
    assert said("rollback", log=True)["release"] == started


def test_rolling_back_a_promotion_before_any_predictor_is_refused(place: Path) -> None:
    released(place / "mine")
    run("promote", "mine", log=True)
    code, output = run("rollback", log=True)
    assert (code, "there is nothing to go back to" in output) == (1, True)
    assert [len(one) for one in promotions()] == [1, 1, 1]


# ── the shadow ──────────────────────────────────────────────────────────────────────────────────────────


def feed() -> None:
    """A made-up month of accepted events."""
    with opened() as log:
        events = made_up_clinic(10, 3, START, 60)
        log.append(accepted(events, TOPICS.episodes, log.partitions(TOPICS.episodes)))


def test_a_shadow_is_compared_with_the_champion_at_the_same_triggers(place: Path) -> None:
    lower, higher = released(place / "lower", -1.0), released(place / "higher", 0.0)
    run("promote", "lower", log=True)
    run("shadow", "higher", log=True)
    feed()
    work()
    shown = said("show", higher, "--shadow", log=True)
    told = shown["shadow"]
    assert shown["in_use"] == {"shadow": 3}
    assert told["scores"] >= told["pairs"] > 100
    assert 0 < told["mean_difference"] == told["mean_absolute_difference"] < 0.5
    assert told["rank_correlation"] > 0.99
    assert said("show", lower, "--shadow", log=True)["shadow"]["scores"] == 0


def test_a_shadow_is_ended_once(place: Path) -> None:
    digest = released(place / "mine")
    run("shadow", "mine", log=True)
    assert said("shadow", "--off", log=True) | {"event": ""} == {
        "release": digest, "role": "none", "event": "", "partitions": 3,
    }  # fmt: skip
    code, output = run("shadow", "--off", log=True)
    assert (code, "there is no shadow to end" in output) == (1, True)
    assert run("shadow", log=True)[0] == run("shadow", "mine", "--off", log=True)[0] == 2


def test_ranks_that_tie_share_their_mean_and_a_constant_has_no_correlation() -> None:
    pairs = np.array([[0.1, 0.3], [0.1, 0.2], [0.2, 0.3], [0.4, 0.9]])
    # Ranks 1.5, 1.5, 3, 4 and 2.5, 1, 2.5, 4: covariance 3.75, both variances 4.5.
    assert compared(9, pairs).rank_correlation == pytest.approx(3.75 / 4.5, abs=1e-4)
    assert compared(2, np.array([[0.1, 0.3], [0.1, 0.2]])).rank_correlation is None
    assert compared(0, np.empty((0, 2))).mean_difference is None


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────────


def test_list_shows_what_is_there_what_it_does_and_what_is_missing(place: Path) -> None:
    one, two = released(place / "one", -1.0), released(place / "two", -2.0)
    run("promote", "one", log=True)
    run("shadow", "two", log=True)
    rows = {row["release"]: row for row in said("list", log=True)}
    assert {digest: row["in_use"] for digest, row in rows.items()} == {
        SHIPPED: {},
        one: {"champion": 3},
        two: {"shadow": 3},
    }
    (place / "keepwell-releases" / one.replace(":", "-") / "manifest.json").unlink()
    rows = {row["release"]: row for row in said("list", log=True)}
    assert (rows[one]["problem"], rows[one]["in_use"]) == ("unreadable", {"champion": 3})
    code, output = run("list", log=True)
    assert code == 0
    assert "cannot be loaded: unreadable  ← champion on 3 partitions" in output
    assert [row["in_use"] for row in said("list")] == [{}, {}]


def test_show_tells_what_a_release_says_of_itself_and_what_became_of_it(place: Path) -> None:
    digest = released(place / "mine")
    run("promote", "mine", log=True)
    shown = said("show", digest[:15], log=True)
    assert (shown["release"], shown["title"], shown["origin"]) == (digest, "Trial -1.0", "tests")
    assert [(turn["role"], turn["partitions"]) for turn in shown["history"]] == [("champion", {"waiting": 3})]
    work()
    assert said("show", "mine", log=True)["history"][0]["partitions"] == {"taken": 3}
    assert "taken on 3 partitions" in run("show", "mine", log=True)[1]
    assert run("show", "mine", "--shadow")[0] == 2


def test_verify_says_what_was_checked_or_what_is_wrong(place: Path) -> None:
    digest = released(place / "mine")
    assert said("verify", "mine")["release"] == digest
    (place / "mine" / "estimator.joblib").write_bytes(b"changed")
    code, output = run("verify", "mine", "--json")
    assert code == 1
    assert json.loads(output.splitlines()[0]) | {"why": ""} == {"verified": False, "reason": "changed", "why": ""}


def test_a_release_is_signed_and_then_taken_where_keys_are_configured(place: Path) -> None:
    released(place / "mine")
    key = said("keygen", "secret/prod")["key"]
    assert run("verify", "mine", "--release-keys", "secret")[0] == 1
    assert said("sign", "mine", "--key", "secret/prod")["key"] == key
    assert said("verify", "mine", "--release-keys", "secret")["signed"] == f"by key {key}"
    digest = said("publish", "mine", "--release-keys", "secret")["published"]
    assert said("show", digest, "--release-keys", "secret")["signed_by"] == key


def test_diff_names_what_differs_and_nothing_else(place: Path) -> None:
    released(place / "one", -1.0)
    released(place / "two", -2.0, line=0.35)
    found = said("diff", "one", "two")
    assert found["policy"] == {"line": [0.3, 0.35]}
    assert list(found["scorecard"]) == ["base"]
    assert list(found["manifest"]) == ["title"]
    assert (found["terms"], found["metrics"]) == ({}, {})
    assert "policy.line: 0.3 → 0.35" in run("diff", "one", "two")[1]
    assert run("diff", "one", "one")[1].strip() == "no difference"


# ── with workers as processes ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def system(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[System]:
    """An installation on a real log."""
    url = f"sqlite:///{tmp_path / 'system.db'}"
    if request.param == "kafka":
        url = f"kafka://{request.getfixturevalue('kafka_bootstrap')}"
    with System(url, prefix, tmp_path) as started:
        yield started


def test_promotions_under_workers_that_are_killed_replay_to_the_same_bytes(system: System, place: Path) -> None:
    for name, base in (("one", -1.0), ("two", -2.0)):
        released(place / name, base, absent=0.5)
    events = [event for event in made_up_clinic(20, 5, START, 80) if not isinstance(event, ClientErased)]
    acts = (("promote", "one"), ("shadow", "two"), ("rollback",))
    size = -(-len(events) // len(acts))
    for service in ("ingest", "predictor"):
        system.start(service, "a")
    for number, act in enumerate(acts):
        part = events[number * size : (number + 1) * size]
        system.send(shuffled_feed(part, Random(number)))
        system.tick(midnight(part[-1].time))
        system.until(lambda: system.lag(system.topics.ingest_group, system.topics.sessions) == 0, "ingest works")
        done = system.run("release", *act)
        assert done.returncode == 0, done.stderr
        system.kill("predictor", "a")
        system.start("predictor", "a")
    system.settle()
    for service in ("ingest", "predictor"):
        system.stop(service, "a")
    verified = system.run("replay", "--verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["verified"]["compared"] > 100
    assert system.values(system.topics.shadow_scores)
