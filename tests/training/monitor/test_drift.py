"""Drift: found where a world differs, not where chance does, and not told where there is nothing to compare with."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest

from models.release import Release
from training.dataset import Dataset
from training.fit.reference import Reference
from training.fit.sample import codes_of, sample_of
from training.monitor.clustered import worth
from training.monitor.drift import Drift, drift, psi

CLIENTS = 250


def compared(reference: Reference | None, frame: pd.DataFrame, clients: int | None = CLIENTS) -> Drift:
    """A window against the reference, its risks those of the reference's own middle."""
    return drift(reference, clients, frame, codes_of(frame["client"]), np.full((len(frame), 4), 0.06))


def called(found: Drift) -> set[str]:
    return {one.name for one in found.features if one.verdict in ("some", "much")}


def some_clients(dataset: Dataset, count: int) -> pd.DataFrame:
    frame = dataset.frame
    return frame[codes_of(frame["client"]) < count]


def test_another_seed_of_the_same_clinic_has_not_drifted(reference: Reference, release: Release, now: Dataset) -> None:
    risks = release.scorer.risks(now.matrix([term.feature for term in release.scorer.card.terms]))
    found = drift(reference, CLIENTS, now.frame, sample_of(now).client, risks)
    assert found.of("some") == found.of("much") == [] and found.gap is None
    assert len(found.risks) == 4 and len(found.features) == len(reference.features)


def test_a_clinic_with_other_habits_has_drifted_in_what_it_does_otherwise(reference: Reference, other: Dataset) -> None:
    found = compared(reference, other.frame)
    assert {"gain", "early_gain"} <= called(found)
    assert not {"sessions", "remote"} & called(found)
    by_name = {one.name: one for one in found.features}
    assert by_name["gain"].psi > by_name["gain"].by_chance > by_name["gain"].expected > 0
    assert (by_name["rhythm"].ks or 0) > (by_name["rhythm"].ks_by_chance or 1)


def test_a_few_clients_differ_by_chance_and_that_is_not_called_drift(reference: Reference, now: Dataset) -> None:
    found = compared(reference, some_clients(now, 55))
    above = {one.name for one in found.features if one.psi >= 0.1}
    assert above and called(found) == set()
    assert {one.name for one in found.of("unclear")} >= above


def test_without_change_the_index_is_about_what_is_expected_and_seldom_what_chance_reaches() -> None:
    rng = np.random.default_rng(3)
    shares, n, m = np.full(12, 1 / 12), 150, 400
    draws = [psi(rng.multinomial(n, shares) / n, rng.multinomial(m, shares) / m, n, m) for _ in range(600)]
    assert np.mean(draws) == pytest.approx(11 * (1 / n + 1 / m), rel=0.1)


def test_moments_of_one_client_do_not_count_as_so_many_clients() -> None:
    client = np.arange(80)
    assert worth(client) == worth(np.repeat(client, 9)) == 80
    assert worth(np.repeat(client, [1] * 79 + [500])) < 2


@pytest.mark.parametrize(("value", "lost"), [(np.nan, "missing"), (3.0, "constant")])
def test_a_feature_of_which_one_value_comes_in_is_lost(
    reference: Reference, now: Dataset, value: float, lost: str
) -> None:
    found = compared(reference, now.frame.assign(alliance_level=value))
    assert [(one.name, one.lost) for one in found.lost] == [("alliance_level", lost)]
    assert "alliance_level" in called(found)


def test_a_feature_that_was_nearly_always_the_same_is_not_lost(reference: Reference, now: Dataset) -> None:
    rows = reference.features["remote"].rows
    usual = msgspec.structs.replace(reference.features["remote"], rows=(sum(rows), *(0 for _ in rows[1:])))
    known = msgspec.structs.replace(reference, features={**reference.features, "remote": usual})
    assert compared(known, now.frame.assign(remote=0.0)).lost == []


def test_without_a_reference_drift_is_not_known_rather_than_none(now: Dataset) -> None:
    found = compared(None, now.frame)
    assert "no reference.json" in (found.gap or "") and found.features == found.risks == ()


def test_a_window_of_few_clients_is_not_compared(reference: Reference, now: Dataset) -> None:
    found = compared(reference, some_clients(now, 49))
    assert found.gap == "fewer than 50 clients in the window" and found.features == ()


def test_the_season_is_no_drift_of_a_window_of_half_a_year(reference: Reference, now: Dataset) -> None:
    seasonal = msgspec.structs.replace(
        reference, features={**reference.features, "season_sin": reference.features["missed_share"]}
    )
    frame = now.frame
    half = frame[(frame["as_of"] >= "2023-06-01") & (frame["as_of"] < "2023-12-01")]
    assert "season_sin" not in compared(seasonal, frame).left_out
    assert set(compared(seasonal, half).left_out) == {"season_sin"}
