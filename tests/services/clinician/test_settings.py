"""Settings of the clinician's side: what is taken, and what a refusal does not repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepwell.settings import WrongSettings
from services.clinician.clinics import ClinicFacts
from services.clinician.database import open_engine
from services.clinician.prompting import prompting_of
from services.clinician.settings import ClinicianSettings
from tests.services.clinician.made import NOW


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


MAIL = {
    "smtp": "smtp://mail.north.example",
    "mail_from": "keepwell@north.example",
    "clinician_url": "https://kw.north.example",
}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"smtp": "http://hidden.example"}, "smtps://HOST:PORT"),
        ({"smtp": "smtp://me:hidden@mail.example"}, "settings of their own"),
        ({"smtp": "smtp://mail.example:0"}, "smtps://HOST:PORT"),
        ({"smtp": "smtp://mail.example/hidden"}, "smtps://HOST:PORT"),
        ({"mail_from": ""}, "KEEPWELL_MAIL_FROM"),
        ({"mail_from": "Hidden <hidden@north.example>"}, "a mail address"),
        ({"mail_from": "hidden@north.example\r\nBcc: x@y.example"}, "a mail address"),
        ({"clinician_url": ""}, "KEEPWELL_CLINICIAN_URL"),
        ({"clinician_url": "http://hidden.example"}, "https://HOST"),
        ({"clinician_url": "https://kw.example/?hidden=1"}, "https://HOST"),
        ({"smtp_user": "kw"}, "KEEPWELL_SMTP_USER"),
        ({"prompt_webhook": "http://hidden.example/in"}, "https://"),
        ({"prompt_webhook": "https://10.0.0.5/hidden"}, "WEBHOOK_ALLOW_PRIVATE"),
        ({"smtp": "", "prompt_webhook": "https://chat.example/in", "clinician_url": ""}, "KEEPWELL_CLINICIAN_URL"),
    ],
)
def test_messages_that_cannot_be_meant_are_refused_and_nothing_repeated(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(WrongSettings, match=why) as refused:
        ClinicianSettings(**MAIL | changes)
    assert "idden" not in str(refused.value)


@pytest.mark.parametrize(
    ("smtp", "server"),
    [
        ("smtp://mail.north.example", ("mail.north.example", 587, False, False)),
        ("smtps://mail.north.example", ("mail.north.example", 465, True, False)),
        ("smtp://127.0.0.1:25", ("127.0.0.1", 25, False, True)),
        ("smtp://[::1]:2525", ("::1", 2525, False, True)),
    ],
)
def test_a_mail_server_is_spoken_to_in_the_clear_on_this_machine_alone(smtp: str, server: tuple[Any, ...]) -> None:
    settings: dict[str, Any] = MAIL | {"smtp": smtp}
    found = ClinicianSettings(**settings).mail_server
    assert found is not None and tuple(found)[:4] == server


def test_without_a_mail_server_and_a_webhook_there_are_no_messages(tmp_path: Path) -> None:
    settings = ClinicianSettings()
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    assert settings.mail_server is None
    assert prompting_of(settings, engine, lambda _: ClinicFacts(), lambda: NOW).prompts.channels == frozenset()
    given: dict[str, Any] = MAIL | {"prompt_webhook": "https://chat.north.example/in"}
    both = ClinicianSettings(**given)
    assert set(prompting_of(both, engine, lambda _: ClinicFacts(), lambda: NOW).outbox.senders) == {"mail", "webhook"}
    engine.dispose()


PROVIDER: dict[str, Any] = {
    "oidc_issuer": "https://id.example/realms/north",
    "oidc_client_id": "keepwell",
    "clinician_url": "https://keepwell.example",
}


def test_without_a_word_local_accounts_are_all_there_is() -> None:
    settings = ClinicianSettings()
    assert (settings.oidc_issuer, settings.oidc_client_id, settings.clinician_url) == (None, None, "")
    assert ClinicianSettings(**PROVIDER).oidc_scopes == "openid profile"


@pytest.mark.parametrize("missing", ["oidc_client_id", "clinician_url"])
def test_a_provider_needs_to_know_us_and_where_to_lead_browsers_back_to(missing: str) -> None:
    with pytest.raises(WrongSettings, match=missing):
        ClinicianSettings(**{name: value for name, value in PROVIDER.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("oidc_issuer", "http://id.example"), ("oidc_issuer", "id.example"), ("oidc_issuer", "https://me:pw@id.example"),
        ("oidc_issuer", "https://id.example?realm=north"), ("oidc_issuer", "https://"), ("oidc_issuer", "file:///etc"),
        ("oidc_scopes", "profile"), ("oidc_role_claim", ""),
    ],
)  # fmt: skip
def test_a_provider_that_could_be_overheard_or_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(WrongSettings, match=name):
        ClinicianSettings(**{**PROVIDER, name: value})


def test_this_machine_may_be_asked_without_tls() -> None:
    here = {"oidc_issuer": "http://127.0.0.1:8180/realms/north", "clinician_url": "http://localhost:8080/"}
    assert ClinicianSettings(**{**PROVIDER, **here}).clinician_url == "http://localhost:8080"


def test_the_secret_of_the_client_is_in_no_repr() -> None:
    assert "hunter2" not in repr(ClinicianSettings(**PROVIDER, oidc_client_secret="hunter2"))
