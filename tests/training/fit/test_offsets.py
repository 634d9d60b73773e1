"""Offsets of clinics and clinicians: shrunk by how little is known, never in order of size, off unless a release says so."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from keepwell.care.episode import Live
from keepwell.scoring.reasons import words_of
from keepwell.scoring.scorecard import OUTPUTS, Offsets, Scorecard, Scorer
from tests.episodes import lived, on, opened, story
from training.dataset import Dataset
from training.fit.fit import Fitted
from training.fit.logit import expit
from training.fit.offsets import LEAST_CLIENTS, Pooled, pool
from training.fit.sample import sample_of

CARD = Scorecard(base=(-3.0, -2.0, -1.0, -2.0), terms=())


def drawn(groups: int, clients: int, rows: int, spread: float) -> tuple[np.ndarray, ...]:
    """Group, client, target, logits and the true offsets; a client's rows have one outcome."""
    rng = np.random.default_rng(11)
    truth = rng.normal(0, spread, groups)
    client = np.repeat(np.arange(groups * clients), rows)
    group = client // clients
    outcome = rng.random(groups * clients) < expit(-1 + truth[np.arange(groups * clients) // clients])
    return group, client, outcome[client].astype(float), np.full(len(client), -1.0), truth


def pooled(groups: int, group: np.ndarray, client: np.ndarray, target: np.ndarray, logits: np.ndarray) -> Pooled:
    return pool(group, groups, client, target=target, logits=logits, scale=np.ones(len(target)))


def test_offsets_are_near_the_truth_and_nearer_than_unshrunk_ones() -> None:
    group, client, target, logits, truth = drawn(60, 40, 6, 0.6)
    found = pooled(60, group, client, target, logits)
    raw = found.offsets / 0.75
    assert np.corrcoef(found.offsets, truth)[0, 1] > 0.7
    assert np.mean((found.offsets - truth) ** 2) < np.mean((raw - truth) ** 2)
    assert found.between == pytest.approx(0.6, abs=0.2)


def test_where_groups_do_not_differ_offsets_are_small() -> None:
    group, client, target, logits, _ = drawn(60, 40, 6, 0.0)
    found = pooled(60, group, client, target, logits)
    assert found.between < 0.25 and np.sqrt(np.mean(found.offsets**2)) < 0.12


def test_a_group_with_few_clients_has_none() -> None:
    group, client, target, logits, _ = drawn(20, LEAST_CLIENTS - 1, 6, 1.0)
    assert not pooled(20, group, client, target, logits).offsets.any()


def test_one_group_has_nothing_to_be_compared_with() -> None:
    group, client, target, logits, _ = drawn(1, 100, 6, 1.0)
    assert not pooled(1, group, client, target, logits).offsets.any()


def test_offsets_count_by_their_scale() -> None:
    group, client, target, logits, _ = drawn(60, 40, 6, 0.6)
    one = pooled(60, group, client, target, logits).offsets
    two = pool(group, 60, client, target=target, logits=logits, scale=np.full(len(target), 2.0)).offsets
    assert two == pytest.approx(one / 2, abs=0.02)


def test_offsets_are_stored_by_name_and_used_where_later_clients_gain(fitted: Fitted, dataset: Dataset) -> None:
    offsets = fitted.offsets
    assert offsets.active == (fitted.report.gain > 0)
    assert list(offsets.clinicians) == sorted(offsets.clinicians)
    known = set(dataset.frame["clinician"].cat.categories)
    assert set(offsets.clinicians) <= known
    few = sample_of(dataset).frame.groupby("clinician", observed=True)["client"].nunique()
    assert all(few[name] >= LEAST_CLIENTS for name in offsets.clinicians)


# ── at scoring ──────────────────────────────────────────────────────────────────────────────────────────


def of(active: bool) -> Scorer:
    offsets = Offsets(active=active, clinics={"north": (0.1,) * 4}, clinicians={"north/c-4": (0.0, 0.5, 0.7, 0.2)})
    return Scorer(CARD, offsets)


def episode() -> Live:
    return lived(story((0, opened(clinician_id="c-4"))))


def test_an_active_offset_is_added_and_told_in_the_sum_without_a_value() -> None:
    scored = of(active=True).score(episode().course, on(1), "north")
    assert scored.risks[1] == pytest.approx(1 / (1 + np.exp(2.0 - 0.6)))
    parts = list(scored.strongest(0.0))
    assert [(part.feature.name, part.value, part.points) for part in parts] == [
        ("clinician_usual", None, 0.5), ("clinic_usual", None, 0.1),
    ]  # fmt: skip
    assert [words_of(part) for part in parts] == ["What is usual with this clinician", "What is usual at this clinic"]


@pytest.mark.parametrize("clinic", [None, "south"])
def test_an_unknown_clinic_adds_nothing(clinic: str | None) -> None:
    found = of(active=True).score(episode().course, on(1), clinic)
    assert found.risks == Scorer(CARD).score(episode().course, on(1)).risks
    assert not any(found.points)


def test_an_offset_that_is_not_active_changes_nothing() -> None:
    assert of(active=False).score(episode().course, on(1), "north") == Scorer(CARD).score(episode().course, on(1))
    assert of(active=False).offsets is None


def test_offsets_have_a_figure_for_each_output() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"active":true,"clinics":{"north":[1,2,3]},"clinicians":{}}', type=Offsets)
    assert len(of(active=True).offsets.of("north", None)) == len(OUTPUTS)  # type: ignore[union-attr]  # it is active
