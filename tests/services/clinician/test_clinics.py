"""A clinic's own facts, from the settings."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from keepwell.settings import WrongSettings
from services.clinician.clinics import ClinicFacts, facts_of, read_clinics
from services.clinician.settings import ClinicianSettings


def test_facts_are_read_from_the_file_and_a_clinic_without_has_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keepwell.toml"
    file.write_text(
        '[clinics.north]\nzone = "Europe/Berlin"\nlanguage = "de"\ndigest_at = 06:45:00\nquiet_hours = "21:00-06:30"\n'
        "pushes_a_week = 1\nmade_up = true\n"
    )
    monkeypatch.setenv("KEEPWELL_CONFIG", str(file))
    clinics = ClinicianSettings().clinics
    assert facts_of(clinics, "north") == ClinicFacts(
        ZoneInfo("Europe/Berlin"), "de", time(6, 45), (time(21), time(6, 30)), 1, True
    )
    assert facts_of(clinics, "south") == ClinicFacts()
    assert facts_of(clinics, "sim-7").made_up
    assert facts_of(clinics, "") == facts_of(clinics, "north"), "before the log-in, the only clinic's language"


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"zone": "Berlin"}, r"clinics\.north\.zone must be the name of a time zone"),
        ({"zone": 7}, r"clinics\.north\.zone"),
        ({"language": "fr"}, "must be one of en, de"),
        ({"digest_at": "half past seven"}, "a time of day"),
        ({"digest_at": "07:30+01:00"}, "a time of day"),
        ({"quiet_hours": "20:00"}, "two times of day"),
        ({"pushes_a_week": -1}, "whole number from 0"),
        ({"pushes_a_week": True}, "whole number from 0"),
        ({"made_up": "yes"}, "true or false"),
        ({"timezone": "UTC"}, "no fact of a clinic: there are zone"),
        ("UTC", "must be a table"),
    ],
)
def test_a_fact_that_is_none_is_refused_with_what_to_write(told: object, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        read_clinics({"north": told})


def test_the_environment_may_tell_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPWELL_CLINICS", '{"north": {"zone": "Europe/Oslo"}}')
    assert facts_of(ClinicianSettings().clinics, "north").zone == ZoneInfo("Europe/Oslo")
    monkeypatch.setenv("KEEPWELL_CLINICS", '{"north": {"zone": "Oslo"}}')
    with pytest.raises(WrongSettings, match=r"clinics\.north\.zone must be the name of a time zone"):
        ClinicianSettings()
