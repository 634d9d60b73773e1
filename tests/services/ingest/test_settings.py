"""The rules of settings, tried on those of ingest."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ingest.settings import IngestSettings


def test_flags_go_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "north.toml"
    file.write_text('ingest_port = 1\nmax_batch = 1\nrate = 1.0\ntopic_prefix = "north."\n', "utf-8")
    monkeypatch.setenv("KEEPWELL_CONFIG", str(file))
    monkeypatch.setenv("KEEPWELL_INGEST_PORT", "2")
    monkeypatch.setenv("KEEPWELL_MAX_BATCH", "2")
    settings = IngestSettings(ingest_port=3, log=None)
    assert (settings.ingest_port, settings.max_batch, settings.rate) == (3, 2, 1.0)
    assert (settings.topic_prefix, settings.log) == ("north.", "sqlite:///keepwell.db")


def test_a_burst_below_a_full_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="no full batch passes"):
        IngestSettings(burst=10, max_batch=11)
