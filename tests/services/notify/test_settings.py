"""What the notifier's settings refuse, in words that say what to change and repeat nothing secret."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from keepwell.settings import WrongSettings
from services.notify.settings import NotifySettings

GOOD = f"whsec_{base64.b64encode(b'x' * 24).decode()}"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"webhook": "http://clinic.example/hidden"}, "https://"),
        ({"webhook": "http://localhost.evil.example/hidden"}, "https://"),
        ({"webhook": "http://127.0.0.1@evil.example/hidden"}, "names a user"),
        ({"webhook": "https://10.0.0.5/hidden"}, "WEBHOOK_ALLOW_PRIVATE"),
        ({"webhook": "https://169.254.169.254/hidden"}, "WEBHOOK_ALLOW_PRIVATE"),
        ({"webhook": "https://[fe80::1]/hidden"}, "WEBHOOK_ALLOW_PRIVATE"),
        ({"webhook_secret": "hidden"}, "whsec_"),
        ({"webhook_secret": "whsec_hidden!"}, "24 to 64"),
        ({"webhook_secret": f"whsec_{base64.b64encode(b'hidden').decode()}"}, "24 to 64"),
        ({"webhook_secret": f"{GOOD} hidden"}, "whsec_"),
        ({"webhook_token": "hidden\r\nX: y"}, "token"),
        ({"webhook_timeout": 0}, "above 0"),
        ({"webhook_timeout": 31}, "at most 30"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_never_repeated(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(WrongSettings, match=why) as caught:
        NotifySettings(**settings)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "webhook", ["", "https://alerts.example/in", "http://127.0.0.1:8000", "http://[::1]/", "http://LOCALHOST/in"]
)
def test_what_is_safe_is_taken(webhook: str) -> None:
    assert NotifySettings(webhook=webhook).webhook == webhook


def test_an_address_inside_is_taken_where_that_is_meant_but_never_in_the_clear() -> None:
    NotifySettings(webhook="https://10.0.0.5/", webhook_allow_private=True)
    with pytest.raises(WrongSettings, match="https"):
        NotifySettings(webhook="http://10.0.0.5/", webhook_allow_private=True)


def test_several_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPWELL_WEBHOOK_SECRET", f"{GOOD}  {GOOD} ")
    settings = NotifySettings()
    assert settings.secrets == (GOOD, GOOD)
    assert GOOD not in repr(settings)
