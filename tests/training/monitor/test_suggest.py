"""The suggestion: one small rule, the first thing first, and never more than what the figures carry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from keepwell.scoring.scorecard import OUTPUTS
from training.evaluate.metrics import Estimate
from training.monitor.calibration import Calibrated
from training.monitor.drift import Compared, Drift
from training.monitor.gaps import Clinic, Gaps, GapShare
from training.monitor.suggest import Advice, suggest

DIGEST = "sha256:" + "ab" * 32
GOOD = Calibrated(
    output="30d", rows=9000, episodes=150, ratio=Estimate(value=1.02, low=0.9, high=1.15), treated=0.0,
    slope=Estimate(value=0.97, low=0.85, high=1.1), auroc=Estimate(value=0.75, low=0.72, high=0.78), auroc_before=0.76,
)  # fmt: skip
OFF: dict[str, Any] = {"off": True, "ratio": Estimate(value=1.4, low=1.2, high=1.6)}
FALLEN: dict[str, Any] = {"auroc": Estimate(value=0.68, low=0.65, high=0.71)}
FEW: dict[str, Any] = {
    "gap": "12 episodes with a known outcome of this kind; at least 20 are needed to judge",
    "auroc_before": None,
}
SILENT = Gaps(
    overall={},
    clinics=(Clinic(clinic="north", cells=(GapShare(gap="no_alliance", share=0.6, usual=0.1, more=True),)),),
)


def feature(verdict: Any, lost: Any = None) -> Drift:
    one = Compared(
        name="bond_drop", bins=9, psi=0.5, expected=0.1, by_chance=0.2, ks=0.3, ks_by_chance=0.1, missing=0.1,
        missing_before=0.1, verdict=verdict, lost=lost,
    )  # fmt: skip
    return Drift(worth=90, worth_before=90, features=(one,))


def found(drift: Drift | None = None, gaps: Gaps | None = None, **headline: Any) -> tuple[Advice, ...]:
    judged = [msgspec.structs.replace(GOOD, output=name) for name in OUTPUTS]
    judged[1] = msgspec.structs.replace(GOOD, **headline)
    return suggest(DIGEST, drift or feature("alike"), judged, gaps or Gaps(overall={}, clinics=()))


@pytest.mark.parametrize(
    ("done", "wanted"),
    [
        (found(), ["nothing"]),
        (found(feature("much")), ["nothing"]),
        (found(**OFF), ["recalibrate"]),
        (found(feature("much"), **OFF), ["recalibrate"]),
        (found(**FALLEN), ["retrain"]),
        (found(**FALLEN, **OFF), ["retrain"]),
        (found(**FALLEN, **OFF, episodes=99), ["recalibrate"]),
        (found(**FALLEN, episodes=99), ["wait"]),
        (found(**FEW), ["wait"]),
        (found(Drift(gap="none"), **FEW), ["wait"]),
        (found(feature("some"), **FEW), ["wait"]),
        (found(feature("unclear"), **FEW), ["wait"]),
        (found(feature("much"), **FEW), ["look"]),
        (found(feature("much", "missing")), ["look"]),
        (found(feature("much", "constant"), **OFF), ["look", "recalibrate"]),
        (found(gaps=SILENT), ["look"]),
        (found(gaps=SILENT, **FALLEN), ["look", "retrain"]),
        (found(auroc=Estimate(value=0.7, low=0.6, high=0.77)), ["nothing"]),
        (found(auroc=Estimate(value=0.75, low=0.745, high=0.755)), ["nothing"]),
        (found(**FALLEN, auroc_before=None), ["nothing"]),
    ],
)
def test_the_rule(done: tuple[Advice, ...], wanted: list[str]) -> None:
    assert [one.do for one in done] == wanted
    assert all(one.why.endswith((".", "?")) for one in done)


def test_a_clinic_and_a_feature_are_named() -> None:
    [one] = found(feature("much", "missing"), SILENT)
    assert (
        "Nothing comes in any more of bond_drop; in clinic north, “no alliance rating yet” 60% of moments, usually 10%"
        in one.why
    )
    assert one.command is None


def test_the_command_names_the_release_to_begin_with() -> None:
    [one] = found(**OFF)
    assert one.command == "keepwell train FILES --recalibrate sha256:abababababab --out NEW"


def test_treated_moments_are_told_where_percentages_are_off() -> None:
    [one] = found(**OFF, treated=0.3, untreated=Estimate(value=1.05))
    assert "30% of moments lie shortly after an alert or an act" in one.why and "1.05" in one.why
    assert "alert or an act" not in found(**OFF)[0].why
