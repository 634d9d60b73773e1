"""The whole of monitoring on simulated clinics: what it says on top, what it keeps to itself, and the file of metrics."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from keepwell import metrics
from keepwell.care.instruments import Instruments
from keepwell.scoring.scorecard import Offsets
from keepwell.scoring.scorer import Scorer
from models.registry import Releases
from models.release import Release, read_in, verified
from tests.models.releases import released
from training.dataset import Dataset
from training.dataset.sources import gather
from training.evaluate import encode
from training.fit.publish import release_again
from training.fit.recalibrate import recalibrate
from training.fit.reference import Reference
from training.monitor import Monitoring, Subject, Window, monitor, page, words
from training.monitor.expose import write

SINCE = datetime(2024, 1, 1, tzinfo=UTC)


def looked(subject: Subject, dataset: Dataset, world: Path, window: Window | None = None) -> Monitoring:
    gathered = gather([world / "events.jsonl"], (), None, {})
    told = [one for stream in gathered.streams for one in stream.told]
    return monitor(subject, dataset, told, None, Instruments(), window=window or Window())


@pytest.fixture(scope="module")
def same(release: Release, reference: Reference, now: Dataset, worlds: Path) -> Monitoring:
    return looked(Subject(release, reference, "named"), now, worlds / "now")


@pytest.fixture(scope="module")
def shifted(release: Release, reference: Reference, other: Dataset, worlds: Path) -> Monitoring:
    return looked(Subject(release, reference, "named"), other, worlds / "other", Window(since=SINCE))


def test_it_says_first_that_the_people_are_simulated(same: Monitoring) -> None:
    html, text = page(same), words(same)
    assert same.seen.simulated == same.seen.episodes > 200
    assert html.index("Simulated data.") < html.index("What to do") < html.index("<figure>")
    assert text.splitlines()[1].startswith("All of it is simulated: ")


def test_it_tells_what_lies_before_the_end_of_the_data_of_training(same: Monitoring) -> None:
    assert same.seen.before > 0 and same.seen.fitted_until is not None
    assert f"--since {same.seen.fitted_until} leaves them out" in words(same)
    assert f"--since {same.seen.fitted_until} leaves them out" in unescape(page(same))


def test_what_came_in_otherwise_is_told_even_where_the_risks_hold(
    same: Monitoring, release: Release, reference: Reference, other: Dataset, worlds: Path, tmp_path: Path
) -> None:
    fitted = recalibrate(other, release.scorer)  # what it says of itself is true there
    release_again(fitted, other, tmp_path / "fitted", base=release.digest, policy=release.policy)
    holds = verified(read_in(tmp_path / "fitted"), "fitted")
    differs = looked(Subject(holds, reference, "named"), other, worlds / "other")
    assert [one.do for one in same.suggestions] == [one.do for one in differs.suggestions] == ["nothing"]
    assert "came in otherwise" not in same.suggestions[0].why
    assert "although 14d, 30d, 60d, next, early_gain, gain came in otherwise" in differs.suggestions[0].why


def test_the_window_bounds_the_moments_and_not_what_they_rest_on(shifted: Monitoring, other: Dataset) -> None:
    late = other.frame[(other.frame["as_of"] >= SINCE) & other.frame["moment"].notna()]
    assert shifted.seen.moments == len(late) and shifted.seen.since >= "2024-01-01"
    assert late["session"].max() > 12
    assert {clinic.against for clinic in shifted.gaps.clinics if clinic.cells} <= {"before", "others"}


def test_percentages_are_judged_with_the_offsets_that_were_told_and_drift_without(
    same: Monitoring, release: Release, reference: Reference, now: Dataset, worlds: Path
) -> None:
    clinic, someone = "sim-clinic-1", str(now.frame["clinician"].iloc[0])
    for offsets in (
        Offsets(active=True, clinics={clinic: (0.5,) * 4}, clinicians={}),
        Offsets(active=True, clinics={}, clinicians={someone: (0.5,) * 4}),
    ):
        told = looked(
            Subject(release._replace(scorer=Scorer(release.scorer.card, offsets)), reference, "named"),
            now,
            worlds / "now",
        )
        assert (told.headline.expected or 0) > (same.headline.expected or 1)
        assert told.drift == same.drift


def test_a_window_without_moments_is_refused(release: Release, now: Dataset) -> None:
    with pytest.raises(ValueError, match="no moment of an episode lies in the window"):
        monitor(
            Subject(release, None, "named"),
            now,
            [],
            None,
            Instruments(),
            window=Window(since=datetime(2050, 1, 1, tzinfo=UTC)),
        )


def test_nothing_names_a_client_or_clinician_or_asks_another_host(
    same: Monitoring, shifted: Monitoring, tmp_path: Path
) -> None:
    for report in (same, shifted):
        write(report, tmp_path / "keepwell.prom")
        for told in (encode(report).decode(), page(report), words(report), (tmp_path / "keepwell.prom").read_text()):
            assert not re.search(r"\b(p|ep|c)-\d+\b", told)
        assert not re.search(r"https?://|<script|<link|@import|url\(", page(report))
        assert "sim-" not in (tmp_path / "keepwell.prom").read_text()


def test_the_same_report_is_the_same_page_and_metrics(same: Monitoring, shifted: Monitoring, tmp_path: Path) -> None:
    first = page(same), encode(same)
    write(same, tmp_path / "a.prom")
    write(shifted, tmp_path / "b.prom")
    write(same, tmp_path / "b.prom")
    assert (page(same), encode(same)) == first
    assert (tmp_path / "a.prom").read_bytes() == (tmp_path / "b.prom").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.prom", "b.prom"]


def test_the_file_holds_what_is_known_and_no_sample_for_what_is_not(
    same: Monitoring, now: Dataset, tmp_path: Path
) -> None:
    write(same, tmp_path / "known.prom")
    known = samples(tmp_path / "known.prom")
    assert known["keepwell_monitor_moments"] == [same.seen.moments]
    assert known["keepwell_monitor_psi"] == [one.psi for one in (*same.drift.risks, *same.drift.features)]
    assert known["keepwell_monitor_suggests"] == [1, 0, 0, 0, 0]
    assert "keepwell_monitor_alerts_answered" not in known and "keepwell_monitor_auroc" in known
    digest = released(tmp_path / "by-hand")
    by_hand = Releases().open(str(tmp_path / "by-hand"))
    few = Window(since=datetime(2025, 1, 1, tzinfo=UTC))
    report = monitor(Subject(by_hand, None, "shipped"), now, [], None, Instruments(), window=few)
    assert report.release.digest == digest and report.drift.gap is not None
    write(report, tmp_path / "few.prom")
    unknown = set(known) - set(samples(tmp_path / "few.prom"))
    assert {"keepwell_monitor_psi", "keepwell_monitor_drift", "keepwell_monitor_observed_expected"} <= unknown


def samples(path: Path) -> dict[str, list[float]]:
    """The values in a file for Prometheus, by metric."""
    families = text_string_to_metric_families(path.read_text())
    return {family.name: [sample.value for sample in family.samples] for family in families if family.samples}


def test_every_metric_of_monitoring_is_in_the_order_of_its_declaration() -> None:
    declared = [row.name for row in metrics.TABLE if row.name.startswith("keepwell_monitor_")]
    assert [next(iter(gauge.collect())).name for gauge in metrics.MONITORED] == declared
