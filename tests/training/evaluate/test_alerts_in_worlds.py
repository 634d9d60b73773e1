"""A release's alerts in a drawn world: the figures hang together, and are the same each time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from training.evaluate.alert_table import AlertFacts, Alerts, told_of
from training.evaluate.alert_words import alert_chart, as_markdown, truth_chart
from training.evaluate.alerts_in_worlds import FIRST_SEED, AlertWorld, app, in_world

WORLD = AlertWorld("drawn", 50, 2, FIRST_SEED)


@pytest.fixture(scope="module")
def facts() -> AlertFacts:
    return in_world(WORLD)


@pytest.fixture(scope="module")
def alerts(facts: AlertFacts) -> Alerts:
    return told_of([facts], 0.3)


def test_kinds_add_up_and_nothing_is_told_of_later_than_sooner(alerts: Alerts) -> None:
    every, *kinds = alerts.kinds
    assert every.raised == sum(one.raised for one in kinds if one.kind != "safety") > 0
    for one in alerts.kinds:
        assert (one.strictly_before.value or 0) <= (one.in_time.value or 0) <= (one.at_all.value or 0)
        assert one.most >= (one.per_episode or 0)


def test_the_model_raises_as_many_as_a_rule_or_reaches_as_far(alerts: Alerts) -> None:
    told = [one for one in alerts.rules if one.gap is None]
    assert told
    for one in told:
        assert one.at_burden is not None
        assert one.at_burden.raised <= one.of_rule.raised
        if not one.quiet:
            assert one.at_burden.raised == one.of_rule.raised
        assert one.halved is not None
        assert 0 < one.halved.raised <= one.of_rule.raised
        if one.at_recall is not None:
            assert (one.at_recall.in_time.value or 0) >= (one.of_rule.in_time.value or 0)


def test_a_lower_line_tells_of_more_stops(alerts: Alerts) -> None:
    assert [curve.who for curve in alerts.curves] == ["model", "model there", "clinician_unknown", "clinician_known"]
    for curve in alerts.curves:
        reached = [point.in_time for point in curve.points]
        assert reached == sorted(reached, reverse=True) and reached[0] > reached[-1]


def test_the_true_risk_asks_for_less_than_chance(alerts: Alerts) -> None:
    known = next(curve for curve in alerts.curves if curve.who == "clinician_known")
    point = min(known.points, key=lambda one: abs(one.in_time - 0.5))
    assert point.per_100_sessions < 50 * point.in_time


def test_what_is_drawn_is_there(alerts: Alerts) -> None:
    chart, truth = alert_chart(alerts), truth_chart(alerts)
    assert chart is not None and truth is not None
    assert [line.name for line in truth.series] == [
        "the model there", "the truth, clinician unknown", "the truth, clinician known",
    ]  # fmt: skip
    assert all(0 <= up <= 1 for line in (*chart.series, *truth.series) for _, up in line.points)


def test_the_command_writes_the_same_bytes_each_time(facts: AlertFacts, tmp_path: Path) -> None:
    options = ["--worlds", "1", "--episodes", str(WORLD.episodes), "--rollouts", str(WORLD.rollouts)]
    told = CliRunner().invoke(app, [*options, "--out", str(tmp_path)])
    assert told.exit_code == 0, told.output
    written = msgspec.json.decode((tmp_path / "alerts.json").read_bytes(), type=Alerts)
    assert (tmp_path / "alerts.md").read_text(encoding="utf-8").strip() == told.output.strip()
    anew = told_of([facts], written.line)
    assert [one.raised for one in written.kinds] == [one.raised for one in anew.kinds]
    source = told.output.partition(" Nothing here")[0] + " Nothing here was learnt from people."
    assert as_markdown(anew, source).strip() == told.output.strip()
