"""Logging in by way of npm's `oidc-provider`: another hand's reading of OpenID Connect, run by Node for real."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from services.clinician.people.oidc import CALLBACK, OidcClient, Provider
from tests.services.clinician.provider import ANNA, AT, NAMES, SECRET, rsa
from tests.services.clinician.with_provider import LOGIN_COOKIE, DoorHouse, Surfer, door_house

HERE: Final = Path(__file__).parent
STORE: Final = HERE.parents[2] / ".node" / "oidc"
"""A folder of its own: npm takes out of a folder what it was not asked for."""
PACKAGE: Final = "oidc-provider@9.13.3"
PATIENCE: Final = 60.0
"""Seconds until the provider must be there."""


class Meeting(NamedTuple):
    """The pages, and the provider that Node runs."""

    house: DoorHouse
    issuer: str

    def account(self, told: Mapping[str, Any] | None) -> None:
        """Who sits at the provider's log-in page; None: somebody who does not want to."""
        assert httpx.post(f"{self.issuer}/account", content=json.dumps(told)).status_code == 200

    def from_provider(self, door: str) -> dict[str, str]:
        """Goes through the provider's pages with a browser of its own, and returns what it sends back to us."""
        with httpx.Client() as client:
            answer = client.get(door)
            while (place := answer.headers["location"]).startswith(("/", self.issuer)):
                answer = client.get(httpx.URL(self.issuer).join(place))
        assert place.startswith(AT + CALLBACK), place
        return {name: value for name, (value,) in parse_qs(urlsplit(place).query).items()}

    def enter(self, who: Surfer, told: Mapping[str, Any] | None = ANNA) -> httpx.Response:
        """The whole log-in."""
        self.account(told)
        return who.get(CALLBACK, **self.from_provider(who.get("/login/provider").headers["location"]))


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of the package, installed when the first test asks. A missing Node or npm is a failure."""
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = STORE / "installed"
        if not stamp.exists() or stamp.read_text("utf-8") != PACKAGE:
            quiet = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(
                ["npm", "install", *quiet, "--prefix", str(STORE), PACKAGE],
                check=True, capture_output=True, timeout=300, cwd=STORE,
            )  # fmt: skip
            stamp.write_text(PACKAGE, "utf-8")
    return STORE / "node_modules"


@pytest.fixture
def meeting(request: pytest.FixtureRequest, modules: Path, unused_port: int, tmp_path: Path) -> Iterator[Meeting]:
    method = getattr(request, "param", "client_secret_basic")
    secret = None if method == "none" else SECRET
    client = {
        "client_id": "keepwell", "redirect_uris": [AT + CALLBACK], "post_logout_redirect_uris": [f"{AT}/login"],
        "token_endpoint_auth_method": method, **({"client_secret": secret} if secret else {}),
    }  # fmt: skip
    key = {**rsa("of-a-test").as_dict(private=True), "use": "sig", "alg": "RS256"}
    setup = {"port": unused_port, "clients": [client], "key": key}
    process = subprocess.Popen(
        ["node", str(HERE / "provider.mjs")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"MODULES": str(modules), "SETUP": json.dumps(setup)},
    )  # fmt: skip
    try:
        issuer, deadline = f"http://127.0.0.1:{unused_port}", time.monotonic() + PATIENCE
        while not _answers(f"{issuer}/.well-known/openid-configuration"):
            assert process.poll() is None and time.monotonic() < deadline, "the provider did not start"
            time.sleep(0.05)
        ours = Provider(
            OidcClient(issuer, "keepwell", SecretStr(secret) if secret else None, AT, "openid profile"), NAMES
        )
        with door_house(f"sqlite:///{tmp_path / 'people.db'}", lambda: datetime.now(UTC), ours) as house:
            yield Meeting(house, issuer)
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=PATIENCE).is_success
    except httpx.ConnectError:
        return False


@pytest.mark.parametrize("meeting", ["client_secret_basic", "client_secret_post", "none"], indirect=True)
def test_somebody_comes_in_by_the_real_flow_and_out_again(meeting: Meeting) -> None:
    anna = meeting.house.browser()
    assert meeting.enter(anna).headers["location"] == "/"
    (user,) = meeting.house.everyone().values()
    assert (user.name, user.clinic, user.role, user.clinician_id) == ("anna", "north", "clinician", "c-4")
    out = anna.get("/login/provider/end").headers["location"]
    with httpx.Client() as client:
        page = client.get(out)
    assert page.status_code == 200 and "logout" in page.text, "the provider knows us, and asks the person"


def test_another_role_at_the_provider_holds_at_the_next_log_in(meeting: Meeting) -> None:
    anna = meeting.house.browser()
    meeting.enter(anna)
    told = {**ANNA, "keepwell_role": ["offline_access", "supervisor"], "keepwell_clinic": "south"}
    assert meeting.enter(meeting.house.browser(), told).headers["location"] == "/"
    (user,) = meeting.house.everyone().values()
    assert (user.clinic, user.role, user.clinician_id) == ("south", "supervisor", None)
    assert anna.get("/password").headers["location"] == "/login"
    assert meeting.enter(meeting.house.browser(), {"sub": "new"}).headers["location"] == "/login?told=claims"
    assert len(meeting.house.everyone()) == 1


def test_who_gives_up_at_the_provider_is_told_so(meeting: Meeting) -> None:
    assert meeting.enter(meeting.house.browser(), None).headers["location"] == "/login?told=cancelled"
    assert meeting.house.everyone() == {}


def test_a_code_works_once_and_for_the_browser_that_began_alone(meeting: Meeting) -> None:
    anna, thief = meeting.house.browser(), meeting.house.browser("10.0.0.2")
    meeting.account(ANNA)
    sent = meeting.from_provider(anna.get("/login/provider").headers["location"])
    own = meeting.from_provider(thief.get("/login/provider").headers["location"])
    stolen = {**own, "code": sent["code"]}
    assert thief.get(CALLBACK, **stolen).headers["location"] == "/login?told=again", "it has another challenge"
    assert thief.get(CALLBACK, **sent).headers["location"] == "/login?told=again", "it has another state"
    cookie = anna.cookies[LOGIN_COOKIE]
    meeting.account(ANNA)
    again = meeting.from_provider(anna.get("/login/provider").headers["location"])
    assert anna.get(CALLBACK, **again).headers["location"] == "/"
    anna.cookies[LOGIN_COOKIE] = cookie
    assert anna.get(CALLBACK, **again).headers["location"] == "/login?told=again"
    assert len(meeting.house.everyone()) == 1
