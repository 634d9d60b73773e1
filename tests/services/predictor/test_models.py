"""Which release scores, on a log: promoted at an exact place, refused for good, shadowed beside, the same in a replay."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import structlog.testing

from keepwell import metrics
from keepwell.alerting.decide import withheld
from keepwell.cli.replay import replay_log
from keepwell.contract.control import promotion, tick
from keepwell.contract.events import AnyEvent, Attended, ClientErased, Erased, Event
from keepwell.streams.log import Message, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.testing.accepted import accepted
from keepwell.testing.made_up import made_up_clinic
from models.registry import Releases
from models.release import InvalidRelease, default, digest_of, folder_name
from models.signing import PublicKeys, keygen
from services.predictor.bootstrap import processor, worker_of
from services.predictor.settings import PredictorSettings
from services.predictor.turns import Turn, recorded, roles_of, waiting
from tests.episodes import Run, booked, opened, outputs, story, ticked, weekly
from tests.models.releases import released
from tests.strategies import DAY, make, moment

TOPICS = Topics()
START = datetime(2026, 1, 5, tzinfo=UTC)
PARTITIONS = 2
ROLE = Literal["champion", "shadow", "none"]
ROOT = Path(__file__).parents[3]


def promoted(release: str, day: float = 0, role: ROLE = "champion") -> AnyEvent:
    return promotion(release, role, moment(round(day * DAY)))


def published(registry: Path, base: float, **policy: Any) -> str:
    """The digest of a release in a registry."""
    path = registry / f"work-{base}"
    released(path, base, **policy)
    return Releases(registry).publish(str(path)).digest


class Clinic:
    """A log in memory on which a predictor works, is ended and begun again."""

    def __init__(self, registry: Path | None, **settings: Any) -> None:
        self.log = MemoryLog()
        ensure_topics(self.log, TOPICS, PARTITIONS)
        self.sent = 0
        self.settings = {"releases": str(registry) if registry else None, "instance": "a"} | settings

    def tell(self, events: Sequence[Event]) -> None:
        """Appends accepted events; control events go to every partition."""
        self.log.append(accepted(events, TOPICS.episodes, PARTITIONS, self.sent))
        self.sent += len(events)

    def work(self, **settings: Any) -> None:
        """One life of a predictor: restores, works off what is there, and ends."""
        worker_of(PredictorSettings(**self.settings | settings), self.log).drain()

    def verify(self, releases: Releases | None = None, model: str | None = None) -> str | None:
        """What a replay finds different, by the settings of the predictor."""
        worker = processor(TOPICS, model, releases or Releases(self.settings["releases"]))
        _, verdict = replay_log(self.log, worker, TOPICS, None, verify=True, as_begun=model is None)
        assert verdict is not None
        return verdict.difference

    def told(self, topic: str) -> list[Any]:
        """What a topic holds, partition by partition."""
        held = [r for n in range(PARTITIONS) for r in self.log.read(Partition(topic, n))]
        return outputs([Message(topic, r.key, r.value) for r in held], topic)

    def turns(self, number: int = 0) -> tuple[Turn, ...]:
        return recorded(self.log, TOPICS, number)


MADE_UP: Sequence[Event] = sorted(
    [
        *(event for event in made_up_clinic(12, 3, START, 80) if not isinstance(event, ClientErased)),
        *(tick(START + timedelta(days=7 * week)) for week in range(12)),
    ],
    key=lambda event: event.time,
)


def parts(count: int) -> list[Sequence[Event]]:
    """A made-up clinic with a tick a week, in so many parts."""
    size = -(-len(MADE_UP) // count)
    return [MADE_UP[begin : begin + size] for begin in range(0, len(MADE_UP), size)]


# ── a replay gives the same ─────────────────────────────────────────────────────────────────────────────


def test_a_replay_over_promotions_and_restarts_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = published(tmp_path, -1.0, absent=0.5), published(tmp_path, -2.0, line=0.4)
    clinic = Clinic(tmp_path)
    acts = [[promoted(one, 1)], [promoted(two, 2, "shadow")], [promoted(two, 3)], [promoted(one, 4, "shadow")], []]
    for number, (part, act) in enumerate(zip(parts(5), acts, strict=True)):
        clinic.tell([*part[: len(part) // 2], *act, *part[len(part) // 2 :]])
        if number % 2:
            clinic.work()
    clinic.work()
    assert {score["model"] for score in clinic.told(TOPICS.scores)} == {default().digest, one, two}
    assert {score["model"] for score in clinic.told(TOPICS.shadow_scores)} == {one, two}
    assert clinic.verify() is None


def test_a_hold_out_takes_away_risk_alerts_of_its_episodes_alone_and_a_replay_does_too(tmp_path: Path) -> None:
    told = []
    for share in (None, 0.2):
        clinic = Clinic(tmp_path)
        clinic.tell([promoted(published(tmp_path, -1.0, line=0.28, withhold=share)), *MADE_UP])
        clinic.work()
        assert clinic.verify() is None
        told.append([(one["episode"], one["kind"], one["status"], one["at"]) for one in clinic.told(TOPICS.alerts)])
    every, some = told
    taken = [one for one in every if one[1] == "risk" and withheld(0.2, one[0])]
    assert taken and [one for one in every if one not in taken] == some


def test_a_refusal_is_the_same_in_a_replay_although_the_release_was_mended_since(tmp_path: Path) -> None:
    one, two = published(tmp_path, -1.0), published(tmp_path, -2.0)
    policy = tmp_path / folder_name(two) / "policy.json"
    good = policy.read_bytes()
    policy.write_bytes(b"{}")
    clinic = Clinic(tmp_path)
    first, second, third = parts(3)
    clinic.tell([*first, promoted(one, 1), *second, promoted(two, 2), *third])
    clinic.work()
    policy.write_bytes(good)
    assert Releases(tmp_path).load(two).digest == two
    assert clinic.verify() is None
    assert {turn.refused for turn in clinic.turns()} == {None, "changed"}
    clinic.tell([*parts(3)[2][:5]])
    clinic.work()
    assert two not in {score["model"] for score in clinic.told(TOPICS.scores)}
    clinic.tell([promoted(two, 3), make(Attended(), 100 * DAY, "later")])
    clinic.work()
    assert two in {score["model"] for score in clinic.told(TOPICS.scores)}
    assert clinic.verify() is None


def test_a_release_that_was_in_use_and_is_gone_ends_the_replay_and_names_it(tmp_path: Path) -> None:
    one = published(tmp_path, -1.0)
    clinic = Clinic(tmp_path)
    clinic.tell([*parts(3)[0], promoted(one, 1), *parts(3)[1]])
    clinic.work()
    with pytest.raises(InvalidRelease, match=one):
        clinic.verify(Releases())


def test_a_predictor_does_not_go_on_without_the_release_in_use(tmp_path: Path) -> None:
    one = published(tmp_path, -1.0)
    clinic = Clinic(tmp_path)
    first, second = parts(2)
    clinic.tell([*first, promoted(one, 1)])
    clinic.work()
    clinic.tell(second)
    before = len(clinic.told(TOPICS.scores))
    with pytest.raises(InvalidRelease, match=one):
        clinic.work(releases=str(tmp_path / "elsewhere"))
    assert len(clinic.told(TOPICS.scores)) == before
    clinic.work()
    assert clinic.verify() is None


def test_a_predictor_started_with_another_release_says_from_where_and_a_replay_follows(tmp_path: Path) -> None:
    one, two = published(tmp_path, -1.0, absent=0.6), published(tmp_path, -2.0)
    clinic = Clinic(tmp_path)
    for part, model in zip(parts(4), (None, one[7:20], two, str(tmp_path / "work--2.0")), strict=True):
        clinic.tell(part)
        clinic.work(model=model)
    assert [turn.release for turn in clinic.turns()] == [default().digest, one, two]
    assert clinic.verify() is None
    assert clinic.verify(model=one) is not None


def test_what_it_is_started_with_is_no_matter_once_a_release_was_promoted(tmp_path: Path) -> None:
    one, two = published(tmp_path, -1.0), published(tmp_path, -2.0)
    clinic = Clinic(tmp_path)
    clinic.tell([promoted(one), *parts(2)[0]])
    clinic.work(model=two)
    clinic.tell(parts(2)[1])
    clinic.work()
    assert {score["model"] for score in clinic.told(TOPICS.scores)} == {one}
    assert [turn.role for turn in clinic.turns()] == ["begin", "champion"]


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────


def spoilt(registry: Path, how: str) -> str:
    """A release that is refused, each for its own reason."""
    digest = "sha256:" + "0" * 64 if how == "not_found" else published(registry, -3.0)
    folder = registry / folder_name(digest)
    if how == "unreadable":
        (folder / "manifest.json").write_bytes(b"{")
    elif how == "changed":
        (folder / "scorecard.json").write_bytes(b'{"base":[0,0,0,0],"terms":[]}')
    elif how in ("format", "foreign", "content"):
        return remade(registry, folder, how)
    return digest


def remade(registry: Path, folder: Path, how: str) -> str:
    """The release with another manifest, under the digest that it then has."""
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    if how == "format":
        manifest["format"] = 99
    elif how == "foreign":
        manifest["features"]["waiting"] = "weeks"
    else:
        del manifest["files"]["policy.json"]
    content = msgspec.json.encode(manifest)
    (folder / "manifest.json").write_bytes(content)
    folder.rename(registry / folder_name(digest_of(content)))
    return digest_of(content)


def counted(reason: str) -> float:
    """How often a release was refused for a reason, as the metric tells."""
    return metrics.REGISTRY.get_sample_value("keepwell_releases_refused_total", {"reason": reason}) or 0


@pytest.mark.parametrize("role", ["champion", "shadow"])
@pytest.mark.parametrize("reason", ["not_found", "unreadable", "changed", "format", "foreign", "content", "unsigned"])
def test_a_release_that_cannot_be_used_is_refused_and_the_old_one_goes_on(
    tmp_path: Path, role: ROLE, reason: str
) -> None:
    settings: dict[str, Any] = {}
    if reason == "unsigned":
        keygen(tmp_path / "key")
        settings["release_keys"] = tmp_path / "key.pub"
    clinic = Clinic(tmp_path, **settings)
    first, second = parts(2)
    clinic.tell([*first, promoted(spoilt(tmp_path, reason), 1, role), *second])
    before = counted(reason)
    with structlog.testing.capture_logs() as logs:
        clinic.work()
    assert {score["model"] for score in clinic.told(TOPICS.scores)} == {default().digest}
    assert clinic.told(TOPICS.shadow_scores) == []
    assert [turn.refused for number in range(PARTITIONS) for turn in clinic.turns(number)] == [None, reason] * 2
    assert clinic.verify() is None
    assert counted(reason) == before + PARTITIONS
    assert [entry["reason"] for entry in logs if entry["event"] == "release.refused"] == [reason] * PARTITIONS


def test_a_signed_release_is_taken_and_a_foreign_signature_is_not(tmp_path: Path) -> None:
    keygen(tmp_path / "ours" / "key")
    keygen(tmp_path / "theirs" / "key")
    one, two = published(tmp_path, -1.0), published(tmp_path, -2.0)
    Releases(tmp_path).sign(one, tmp_path / "ours" / "key")
    Releases(tmp_path).sign(two, tmp_path / "theirs" / "key")
    clinic = Clinic(tmp_path, release_keys=tmp_path / "ours")
    first, second = parts(2)
    clinic.tell([promoted(one, 1), *first, promoted(two, 2), *second])
    clinic.work()
    assert {score["model"] for score in clinic.told(TOPICS.scores)} == {one}
    keys = PublicKeys.read(tmp_path / "ours")
    assert clinic.verify(Releases(tmp_path, keys)) is None


def test_a_release_to_begin_with_that_cannot_be_used_ends_the_predictor_before_it_joins(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.tell(parts(1)[0])
    with pytest.raises(InvalidRelease):
        clinic.work(model="sha256:" + "0" * 64)
    assert clinic.told(TOPICS.scores) == []


# ── turns ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_promotion_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    one, two = published(tmp_path, -1.0), published(tmp_path, -2.0)
    clinic = Clinic(tmp_path)
    clinic.tell([promoted(one, 1), promoted(two, 2), promoted(one, 1), *parts(2)[0]])
    clinic.work()
    assert {score["model"] for score in clinic.told(TOPICS.scores)} == {two}


@pytest.mark.parametrize(
    ("turns", "champion", "shadow"),
    [
        ([], None, None),
        ([("a", "begin")], "a", None),
        ([("a", "begin"), ("b", "champion"), ("c", "shadow")], "b", "c"),
        ([("a", "begin"), ("b", "shadow"), ("b", "champion")], "b", None),
        ([("a", "begin"), ("b", "shadow"), ("c", "shadow")], "a", "c"),
        ([("a", "begin"), ("b", "shadow"), ("b", "none")], "a", None),
        ([("a", "begin"), ("b", "shadow"), ("c", "none")], "a", "b"),
        ([("a", "begin"), ("b", "champion"), ("b", "none")], "b", None),
    ],
)
def test_the_releases_in_use_follow_from_the_turns(
    turns: Sequence[tuple[str, Any]], champion: str | None, shadow: str | None
) -> None:
    found = roles_of(Turn(n, release, role, f"e-{n}") for n, (release, role) in enumerate(turns))
    assert (found.champion, found.shadow) == (champion, shadow)


def test_a_refused_turn_changes_nothing() -> None:
    turns = [
        Turn(0, "a", "begin"),
        Turn(1, "b", "champion", "x", 0, "changed"),
        Turn(2, "c", "shadow", "y", 0, "format"),
    ]
    assert roles_of(turns) == roles_of(turns[:1])


def test_what_waits_for_the_predictor_is_told_apart_from_what_it_took(tmp_path: Path) -> None:
    one = published(tmp_path, -1.0)
    clinic = Clinic(tmp_path)
    clinic.tell([*parts(2)[0], promoted(one, 1)])
    assert [turn.release for turn in waiting(clinic.log, TOPICS, 1)] == [one]
    clinic.work()
    assert (waiting(clinic.log, TOPICS, 1), clinic.turns(1)[-1].release) == ((), one)


def test_the_releases_in_use_are_a_metric_by_role(tmp_path: Path) -> None:
    one, two = published(tmp_path, -1.0), published(tmp_path, -2.0)
    clinic = Clinic(tmp_path)
    worker = worker_of(PredictorSettings(**clinic.settings), clinic.log)
    metrics.MODEL.clear()
    for event, expected in (
        (promoted(one, 1), {(one, "champion")}),
        (promoted(two, 2, "shadow"), {(one, "champion"), (two, "shadow")}),
        (promoted(two, 3), {(two, "champion")}),
    ):
        clinic.tell([event])
        worker.drain()
        told = {
            (sample.labels["release"], sample.labels["role"])
            for family in metrics.MODEL.collect()
            for sample in family.samples
            if sample.value == 1
        }
        assert told == expected


# ── the shadow ──────────────────────────────────────────────────────────────────────────────────────────


def run_with(registry: Path) -> Run:
    return Run(processor(TOPICS, None, Releases(registry)))


def test_a_shadow_scores_at_every_trigger_of_the_champion_and_raises_no_alert(tmp_path: Path) -> None:
    one = published(tmp_path, 3.0)
    plain, shadowed = run_with(tmp_path), run_with(tmp_path)
    log = [*story((0, opened()), *weekly(3), (22, booked("a", 30))), ticked(60)]
    plain.take(*log)
    shadowed.take(promoted(one, 0, "shadow"), *log)
    assert (shadowed.scores, shadowed.alerts) == (plain.scores, plain.alerts)
    beside = shadowed.of(TOPICS.shadow_scores)
    assert [(s["trigger"], s["as_of"]) for s in beside] == [(s["trigger"], s["as_of"]) for s in plain.scores]
    assert {score["model"] for score in beside} == {one}
    assert all(s["risk"]["30d"] > p["risk"]["30d"] for s, p in zip(beside, plain.scores, strict=True) if p["risk"])


def test_a_shadow_ends_where_it_is_told_to(tmp_path: Path) -> None:
    one = published(tmp_path, -1.0)
    told = story((0, opened()), *weekly(2))
    run = run_with(tmp_path)
    run.take(told[0], promoted(one, 1, "shadow"), told[1], promoted(one, 8, "none"), told[2])
    assert [score["trigger"] for score in run.of(TOPICS.shadow_scores)] == ["e-1"]


def test_a_shadow_scores_on_after_a_restart(tmp_path: Path) -> None:
    one = published(tmp_path, -1.0)
    run = run_with(tmp_path)
    run.take(*story((0, opened())), promoted(one, 1, "shadow"))
    again = run_with(tmp_path)
    for key, payload in run.state.items():
        again.worker.restore(0, key, payload)
    again.take(make(Attended(), 2 * DAY, "next"))
    assert [score["model"] for score in again.of(TOPICS.shadow_scores)] == [one]


def test_an_erasure_reaches_the_shadow_scores_even_after_the_shadow_ended(tmp_path: Path) -> None:
    one = published(tmp_path, -1.0)
    run = run_with(tmp_path)
    run.take(promoted(one, 0, "shadow"), *story((0, opened())), promoted(one, 1, "none"))
    run.take(make(Erased(client_id="p-1"), 2 * DAY, "erase"))
    assert run.of(TOPICS.shadow_scores)[-1] is None


# ── no pickle ───────────────────────────────────────────────────────────────────────────────────────────

UNPICKLERS = {"joblib", "pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}


def imports_of(file: Path) -> set[str]:
    """The packages that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_nothing_that_serves_imports_what_could_open_an_estimator() -> None:
    files = [file for part in ("keepwell", "services", "models") for file in (ROOT / part).rglob("*.py")]
    assert len(files) > 50
    assert {str(file.relative_to(ROOT)): found for file in files if (found := imports_of(file) & UNPICKLERS)} == {}


def test_a_predictor_loads_neither_joblib_nor_scikit_learn() -> None:
    code = (
        "import sys, services.predictor.bootstrap; print(sorted({'joblib', 'sklearn', 'training'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
