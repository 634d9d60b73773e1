"""Settings of the clinician's side: what the shared ones lack."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from keepwell.sending.address import is_this_machine
from keepwell.sending.settings import WebhookSettings, fit_for_posts, not_inside_by_mistake
from models.settings import ReleaseSettings
from services.clinician.clinics import ClinicFacts, read_clinics
from services.clinician.people.addresses import is_safe
from services.clinician.prompts.addresses import MailServer, is_address


class ClinicianSettings(ReleaseSettings, WebhookSettings):
    """Where the read model and the accounts are, and where the page is served. A refused address of a database is not
    repeated, as a password may stand in it."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    database: str = Field(
        "sqlite:///keepwell-clinician.db",
        description="Database of the clinician's side: sqlite:///FILE, or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        repr=False,
    )
    clinician_host: str = Field("127.0.0.1", description="Address of the page, the API and the health pages.")
    clinician_port: int = Field(
        8086, ge=0, le=65_535, description="Port of the page, the API and the health pages; 0: any free one."
    )

    clinics: dict[str, ClinicFacts] = Field(
        default_factory=dict,
        description="A table for each clinic: zone, language, digest_at, quiet_hours, pushes_a_week, made_up.",
    )

    clinician_url: str = Field(
        "",
        description="Address of the page as users reach it, https://HOST; messages and the log-in provider lead to it.",
    )
    smtp: str = Field(
        "",
        description="Mail server for messages to clinicians: smtp://HOST:PORT (with STARTTLS, but on this machine) or "
        "smtps://HOST:PORT. Without one no mail is sent.",
    )
    smtp_user: str | None = Field(None, description="Name by which the mail server knows Keepwell.")
    smtp_password: SecretStr | None = Field(None, description="Its password; from the environment or a file.")
    mail_from: str = Field("", description="Address that mail comes from.")
    prompt_webhook: str = Field(
        "",
        description="Address that messages to clinicians are posted to, for a clinic's own messenger; signed as alerts are.",
    )

    oidc_issuer: str | None = Field(
        None,
        description="Issuer of the OpenID provider that clinicians log in with, as it names itself; https, or http on "
        "this machine. Default: local accounts alone.",
    )
    oidc_client_id: str | None = Field(None, description="What the provider calls Keepwell.")
    oidc_client_secret: SecretStr | None = Field(
        None,
        description="The secret that goes with it; default: none, a public client. From the environment or a file.",
    )
    oidc_scopes: str = Field(
        "openid profile", description="What is asked for; add the scopes that your provider's claims need."
    )
    oidc_clinic_claim: str = Field("keepwell_clinic", min_length=1, description="Claim that names the user's clinic.")
    oidc_role_claim: str = Field("keepwell_role", min_length=1, description="Claim that names the user's role.")
    oidc_clinician_claim: str = Field(
        "keepwell_clinician", min_length=1, description="Claim that holds a clinician's clinician_id, as in the events."
    )

    @property
    def mail_server(self) -> MailServer | None:
        """The mail server; None where none is set."""
        if not self.smtp:
            return None
        parts = urlsplit(self.smtp)
        tls, host = parts.scheme == "smtps", parts.hostname or ""
        port = parts.port or (465 if tls else 587)
        return MailServer(host, port, tls, is_this_machine(host), self.smtp_user, self.smtp_password)

    @field_validator("smtp")
    @classmethod
    def _server(cls, url: str) -> str:
        if url and (not _is_plain(url, ("smtp", "smtps")) or urlsplit(url).path not in ("", "/")):
            raise ValueError(
                "must be smtp://HOST:PORT or smtps://HOST:PORT; name and password have settings of their own"
            )
        return url

    @field_validator("clinician_url")
    @classmethod
    def _reached(cls, url: str) -> str:
        if url and not (
            _is_plain(url, ("https",)) or (_is_plain(url, ("http",)) and is_this_machine(urlsplit(url).hostname or ""))
        ):
            raise ValueError("must be https://HOST, or http:// on this machine, without a name or a query")
        return url.rstrip("/")

    @field_validator("mail_from")
    @classmethod
    def _from(cls, address: str) -> str:
        if address and not is_address(address):
            raise ValueError("must be a mail address, such as keepwell@clinic.example")
        return address

    @field_validator("prompt_webhook")
    @classmethod
    def _fit_for_prompts(cls, url: str) -> str:
        return fit_for_posts(url)

    @field_validator("oidc_issuer")
    @classmethod
    def _of_a_provider(cls, issuer: str | None) -> str | None:
        if issuer is not None and (not is_safe(issuer) or "?" in issuer):
            raise ValueError("must be an https:// address without a query, or http:// on this machine")
        return issuer

    @field_validator("oidc_scopes")
    @classmethod
    def _of_openid(cls, scopes: str) -> str:
        if "openid" not in scopes.split():
            raise ValueError('must be words with blanks between them, "openid" among them')
        return scopes

    @model_validator(mode="after")
    def _whole(self) -> ClinicianSettings:
        not_inside_by_mistake(self.prompt_webhook, self.webhook_allow_private)
        if self.smtp and not self.mail_from:
            raise ValueError("mail needs an address that it comes from: set KEEPWELL_MAIL_FROM")
        if (self.smtp or self.prompt_webhook) and not self.clinician_url:
            raise ValueError("messages lead to the page: set KEEPWELL_CLINICIAN_URL to its address")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError(
                "a mail server that asks for a name asks for a password: set KEEPWELL_SMTP_USER and _PASSWORD"
            )
        if self.oidc_issuer is not None and (self.oidc_client_id is None or not self.clinician_url):
            raise ValueError(
                "oidc_issuer needs oidc_client_id, and clinician_url, where the provider leads browsers back to"
            )
        return self

    @field_validator("clinics", mode="plain")
    @classmethod
    def _facts(cls, given: object) -> dict[str, ClinicFacts]:
        return read_clinics(given)

    @field_validator("database")
    @classmethod
    def _one_that_we_know(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            kind = parts.scheme if parts.port != 0 else ""  # reading the port raises where it is none
        except ValueError:
            kind = ""
        if kind not in ("sqlite", "postgresql+psycopg"):
            raise ValueError("must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
        return url


def _is_plain(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether an address has a scheme of these, a host, perhaps a port and a path, and nothing else."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return whole and "@" not in parts.netloc and not parts.query and not parts.fragment and " " not in url
