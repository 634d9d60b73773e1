"""Logging in by way of a real Keycloak: a realm as a clinic would set it up, its pages, a new signing key, and a new role."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from services.clinician.people.oidc import CALLBACK, OidcClient, Provider
from tests.services.clinician.people.made import GOOD
from tests.services.clinician.provider import AT, NAMES, SECRET
from tests.services.clinician.with_provider import DoorHouse, Surfer, door_house

pytestmark = pytest.mark.soak
STORE: Final = Path(__file__).parents[3] / ".keycloak"
VERSION: Final = "26.7.3"
COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
PROFILE: Final = {
    "attributes": [{"name": "username"}, {"name": "email"}],
    "unmanagedAttributePolicy": "ADMIN_EDIT",
}
"""What a user has: nothing that has to be filled in, and attributes that administrators alone set."""
PATIENCE: Final = 300.0
"""Seconds that a cold start may take on a busy machine."""
CLAIMS: Final = {"keepwell_clinic": "north", "keepwell_role": "clinician", "keepwell_clinician": "c-4"}


def _mapper(name: str) -> dict[str, Any]:
    config = {"user.attribute": name, "claim.name": name, "jsonType.label": "String", "id.token.claim": "true"}
    return {"name": name, "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-attribute-mapper",
            "config": config}  # fmt: skip


REALM: Final = {
    "realm": "north", "enabled": True, "sslRequired": "none",
    "components": {
        "org.keycloak.userprofile.UserProfileProvider": [
            {
                "providerId": "declarative-user-profile",
                "config": {"kc.user.profile.config": [json.dumps(PROFILE)]},
            }
        ]
    },
    "users": [
        {
            "username": "anna", "enabled": True, "credentials": [{"type": "password", "value": GOOD}],
            "attributes": {name: [value] for name, value in CLAIMS.items()},
        }
    ],
    "clients": [
        {
            "clientId": "keepwell", "secret": SECRET, "publicClient": False, "standardFlowEnabled": True,
            "directAccessGrantsEnabled": False, "redirectUris": [AT + CALLBACK],
            "attributes": {"pkce.code.challenge.method": "S256", "post.logout.redirect.uris": f"{AT}/login"},
            "protocolMappers": [_mapper(name) for name in CLAIMS],
        }
    ],
}  # fmt: skip


class Keycloak(NamedTuple):
    """A server with the realm."""

    url: str

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/north"

    def admin(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Does something as its administrator."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "root", "password": GOOD}
        token = httpx.post(f"{self.url}/realms/master/protocol/openid-connect/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.request(method, f"{self.url}/admin/realms/north{path}", headers=headers, **body)
        assert answer.is_success, answer.text
        return answer

    def enter(self, house: DoorHouse, who: Surfer) -> httpx.Response:
        """The whole log-in, in a browser that Keycloak has not seen before."""
        with httpx.Client(follow_redirects=True) as client:

            def keep_secure_cookies(_: httpx.Response) -> None:  # as browsers do on this machine, without TLS too
                for cookie in client.cookies.jar:
                    cookie.secure = False

            client.event_hooks = {"response": [keep_secure_cookies]}
            page = client.get(who.get("/login/provider").headers["location"])
            form = re.search(r'<form[^>]*\baction="([^"]+)"', page.text)
            assert form is not None, page.text
            given = {"username": "anna", "password": GOOD}
            answer = client.post(unescape(form[1]), data=given, follow_redirects=False)
        sent = answer.headers.get("location", answer.text)
        assert sent.startswith(AT + CALLBACK), sent
        return who.get(CALLBACK, **{name: value for name, (value,) in parse_qs(urlsplit(sent).query).items()})


@pytest.fixture(scope="module")
def distribution() -> Path:
    """Keycloak's folder, fetched when the test first asks. Missing Java or Maven are a failure."""
    STORE.mkdir(exist_ok=True)
    found = STORE / f"keycloak-{VERSION}"
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found / "bin" / "kc.sh").exists():
            artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
            fetch = ["mvn", "-q", "-B", COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={STORE}"]
            subprocess.run(fetch, check=True, capture_output=True, timeout=900, cwd=STORE)
            with zipfile.ZipFile(STORE / f"keycloak-quarkus-dist-{VERSION}.zip") as packed:
                packed.extractall(STORE)
    return found


@pytest.fixture(scope="module")
def keycloak(distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    folder = tmp_path_factory.mktemp("keycloak") / "home"
    shutil.copytree(distribution, folder)
    (folder / "data" / "import").mkdir(parents=True)
    (folder / "data" / "import" / "north-realm.json").write_text(json.dumps(REALM), "utf-8")
    port, told = _free_port(), folder.parent / "log"
    start = ["sh", str(folder / "bin" / "kc.sh"), "start-dev", "--import-realm", "--http-host=127.0.0.1"]
    with told.open("w") as log:
        process = subprocess.Popen(
            [*start, f"--http-port={port}", f"--http-management-port={_free_port()}"],
            stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
            env=os.environ | {"KC_BOOTSTRAP_ADMIN_USERNAME": "root", "KC_BOOTSTRAP_ADMIN_PASSWORD": GOOD},
        )  # fmt: skip
    there, deadline = Keycloak(f"http://127.0.0.1:{port}"), time.monotonic() + PATIENCE
    try:
        while not _answers(f"{there.issuer}/.well-known/openid-configuration"):
            assert process.poll() is None and time.monotonic() < deadline, told.read_text("utf-8")
            time.sleep(0.5)
        yield there
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).is_success
    except httpx.HTTPError:
        return False


def test_a_clinic_with_keycloak_logs_in(keycloak: Keycloak, tmp_path: Path) -> None:
    client = OidcClient(keycloak.issuer, "keepwell", SecretStr(SECRET), AT, "openid profile")
    with door_house(f"sqlite:///{tmp_path / 'p.db'}", lambda: datetime.now(UTC), Provider(client, NAMES)) as house:
        anna = house.browser()
        assert keycloak.enter(house, anna).headers["location"] == "/"
        (user,) = house.everyone().values()
        assert (user.name, user.clinic, user.role, user.clinician_id) == ("anna", "north", "clinician", "c-4")
        out = anna.get("/login/provider/end").headers["location"]
        assert out.startswith(f"{keycloak.issuer}/protocol/openid-connect/logout?")
        assert httpx.get(out).headers["location"] == f"{AT}/login", "without a session there it leads back at once"

        realm = keycloak.admin("GET", "").json()["id"]
        key = {"priority": ["200"], "keySize": ["2048"], "algorithm": ["RS256"]}
        keycloak.admin(
            "POST", "/components",
            json={"name": "newer", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
                  "parentId": realm, "config": key},
        )  # fmt: skip
        assert keycloak.enter(house, house.browser()).headers["location"] == "/", "a new key signs"

        (found,) = keycloak.admin("GET", "/users?username=anna").json()
        attributes = {name: [value] for name, value in {**CLAIMS, "keepwell_role": "supervisor"}.items()}
        keycloak.admin("PUT", f"/users/{found['id']}", json={**found, "attributes": attributes})
        assert keycloak.enter(house, house.browser()).headers["location"] == "/"
        (user,) = house.everyone().values()
        assert (user.role, user.clinician_id) == ("supervisor", None)
        assert anna.get("/password").headers["location"] == "/login", "the session of the former role is over"

        keycloak.admin("PUT", f"/users/{found['id']}", json={**found, "attributes": {}})
        assert keycloak.enter(house, house.browser()).headers["location"] == "/login?told=claims"
