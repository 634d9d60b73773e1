"""The metrics: declared once, told on a page that is up to date, and without a label that could name a client."""

from pathlib import Path

from prometheus_client import generate_latest

from keepwell import metrics

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "metrics.md"
HARMLESS = {
    "group", "partition", "reason", "cause", "kind", "status", "release", "result", "role", "service",
    "name", "output",  # of a declared feature, and of what a model foretells
}  # fmt: skip


def test_the_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text() == metrics.reference(), "run: python -m keepwell.metrics > docs/reference/metrics.md"


def test_no_label_can_hold_anything_about_a_client() -> None:
    assert {label for row in metrics.TABLE for label in row.labels} <= HARMLESS


def test_the_page_for_prometheus_holds_every_metric_of_the_table_under_its_name_and_kind() -> None:
    told = generate_latest(metrics.REGISTRY).decode()
    for row in metrics.TABLE:
        assert f"# TYPE {row.name} {row.kind}\n" in told
        assert f"# HELP {row.name} {row.help}\n" in told


def test_each_metric_is_declared_once_with_words() -> None:
    names = [row.name for row in metrics.TABLE]
    assert len(names) == len(set(names))
    assert all(row.help.endswith(".") and row.unit for row in metrics.TABLE)
