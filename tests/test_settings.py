"""Settings: which source wins, and what is said of a name or a value that nobody can start with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keepwell.settings import Settings, WorkerSettings, WrongSettings, unknown
from services.ingest.settings import IngestSettings
from services.notify.settings import NotifySettings

KNOWN = IngestSettings.model_fields


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of an operator who has said nothing yet."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("KEEPWELL_")]:
        monkeypatch.delenv(name)


def problems(kind: type[Settings] = IngestSettings, **flags: object) -> tuple[str, ...]:
    with pytest.raises(WrongSettings) as caught:
        kind(**flags)
    return caught.value.problems


def write(text: str, name: str = "keepwell.toml") -> None:
    Path(name).write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('ingest_port = "abc"', 'ingest_port = "abc" in keepwell.toml line 2: must be a whole number from 0 to 65535'),
        ("ingest_port = 70000", "ingest_port = 70000 in keepwell.toml line 2: must be a whole number from 0 to 65535"),
        ("burst = 0.5", "burst = 0.5 in keepwell.toml line 2: must be a whole number of at least 1"),
        ("rate = 0", "rate = 0 in keepwell.toml line 2: must be a number above 0"),
        ("refusal_share = 2", "refusal_share = 2 in keepwell.toml line 2: must be a number above 0 and at most 1"),
        ('accept_gap = "perhaps"', 'accept_gap = "perhaps" in keepwell.toml line 2: must be true or false'),
        ("keys = 3", "keys = 3 in keepwell.toml line 2: must be a path"),
        ('instance = ""', 'instance = "" in keepwell.toml line 2: must be text, and not empty'),
        (
            'topic_prefix = "a b"',
            "topic_prefix in keepwell.toml line 2: must be at most 100 letters (A to Z), digits, dots, hyphens and "
            "underscores",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_line_and_what_may_stand_there(line: str, words: str) -> None:
    write(f"# ours\n{line}\n")
    assert problems() == (words,)


def test_a_wrong_value_is_told_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    write('ingest_port = "right, if it counted"\n')
    monkeypatch.setenv("KEEPWELL_INGEST_PORT", "abc")
    told = 'KEEPWELL_INGEST_PORT = "abc" in the environment: must be a whole number from 0 to 65535'
    assert problems() == (told,)
    assert problems(ingest_port=70000) == (
        "ingest_port = 70000 on the command line: must be a whole number from 0 to 65535",
    )


def test_all_wrong_values_are_told_at_once() -> None:
    write("rate = 0\nburst = 0\n")
    assert {problem.split()[0] for problem in problems()} == {"rate", "burst"}


def test_settings_that_do_not_go_together_name_each_other() -> None:
    assert "burst (10) must be at least max_batch (11)" in problems(burst=10, max_batch=11)[0]


def test_a_secret_is_never_quoted() -> None:
    write('kafka_password = 17\nwebhook_token = ["hush"]\nwebhook = "http://user:hush@clinic.example"\n')
    told = " ".join(problems(NotifySettings))
    assert "kafka_password in keepwell.toml line 1" in told
    assert "webhook_token in keepwell.toml line 2" in told
    assert "webhook in keepwell.toml line 3" in told
    assert "hush" not in told and "17" not in told


def test_an_unknown_name_is_told_with_its_line_and_the_nearest_known_one() -> None:
    write("rate = 1.0\n\n  ingest_prot = 1\n\n[clinics.north]\nzone = 'Europe/London'\n")
    assert list(unknown(KNOWN)) == [
        "ingest_prot in keepwell.toml line 3 is not a setting: did you mean ingest_port?",
        "clinics in keepwell.toml line 5 is not a setting: docs/reference/settings.md lists those that there are",
    ]


@pytest.mark.parametrize("variable", ["KEEPWELL_INGEST_PROT", "keepwell_ingest_prot"])
def test_an_unknown_variable_is_told_with_the_nearest_known_one(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("KEEPWELL_LOG", "memory://")
    assert list(unknown(KNOWN)) == [
        f"{variable} in the environment is not a setting: did you mean KEEPWELL_INGEST_PORT?"
    ]


def test_a_setting_of_a_former_version_is_told_with_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "is not a setting any more: instruments are registered in the log now: keepwell instruments register FILE"
    write('instruments = "mine.toml"\n')
    assert [told in problem for problem in unknown(KNOWN)] == [True]
    monkeypatch.setenv("KEEPWELL_INSTRUMENTS", "mine.toml")
    assert [told in problem for problem in unknown(KNOWN)] == [True, True]


def test_the_name_of_a_variable_in_the_file_is_told_as_a_file_has_it() -> None:
    write('KEEPWELL_LOG = "memory://"\n')
    assert list(unknown(KNOWN)) == [
        "KEEPWELL_LOG in keepwell.toml line 1 is not a setting: in a file it is written log"
    ]


def test_what_a_sender_of_events_and_other_programs_have_in_the_environment_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEEPWELL_API_KEY", "kw_…")
    monkeypatch.setenv("KEEPWELLS_HOME", "/srv")
    monkeypatch.setenv("INGEST_PORT", "abc")
    assert list(unknown(KNOWN)) == []


def test_a_class_reads_past_what_others_know() -> None:
    write('webhook = "https://clinic.example"\ningest_port = "abc"\nlog = "memory://"\n')
    assert WorkerSettings().log == "memory://"


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().log == "sqlite:///keepwell.db"
    monkeypatch.setenv("KEEPWELL_CONFIG", "north.toml")
    assert problems() == ("KEEPWELL_CONFIG in the environment names north.toml, and there is no such file",)
    write("rate = 2.0\n", "north.toml")
    assert IngestSettings().rate == 2.0


def test_a_file_that_is_not_toml_is_told_with_the_place(tmp_path: Path) -> None:
    write("rate = 1.0\nrate 2\n")
    assert "keepwell.toml is not TOML: " in problems()[0] and "line 2" in problems()[0]
    (tmp_path / "keepwell.toml").write_bytes("rate = 1.0 # größer".encode("latin-1"))
    assert "not UTF-8" in problems()[0]
    (tmp_path / "keepwell.toml").unlink()
    (tmp_path / "keepwell.toml").mkdir()
    assert "cannot be read" in problems()[0]


def test_a_byte_order_mark_does_not_hide_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "keepwell.toml").write_text("rate = 7.0\n", "utf-8-sig")
    assert IngestSettings().rate == 7.0
