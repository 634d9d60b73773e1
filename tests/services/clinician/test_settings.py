"""Settings of the clinician's side: what is taken, and what a refusal does not repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepwell.settings import WrongSettings
from services.clinician.settings import ClinicianSettings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KEEPWELL_DATABASE", raising=False)


def test_without_a_word_it_is_a_file_here_and_this_machine_alone() -> None:
    settings = ClinicianSettings()
    assert (settings.database, settings.clinician_host, settings.clinician_port) == (
        "sqlite:///keepwell-clinician.db",
        "127.0.0.1",
        8086,
    )


@pytest.mark.parametrize(
    "url", ["mysql://me:hunter2@db/x", "postgresql://me:hunter2@db/x", "hunter2", "", "sqlite+x:///hunter2"]
)
def test_another_database_is_refused_and_its_password_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongSettings) as refused:
        ClinicianSettings(database=url)
    assert "sqlite:///FILE" in str(refused.value) and "hunter2" not in str(refused.value)
    if url:
        monkeypatch.setenv("KEEPWELL_DATABASE", url)
        with pytest.raises(WrongSettings) as refused:
            ClinicianSettings()
        assert "hunter2" not in str(refused.value)


def test_the_address_of_a_database_is_in_no_repr() -> None:
    assert "hunter2" not in repr(ClinicianSettings(database="postgresql+psycopg://me:hunter2@db/x"))
