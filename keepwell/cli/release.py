"""`keepwell release`: look at releases, sign and publish them, and say in the log which one scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from keepwell.cli import _promotion as promotion
from keepwell.cli._common import failed, say
from keepwell.cli._options import AsJson, LogUrl, Prefix, ReleaseKeys, ReleasesAt
from keepwell.cli._settings import read
from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from models import signing
from models.registry import Releases
from models.release import InvalidRelease, Release
from services.predictor.settings import PredictorSettings

app = typer.Typer(
    help="List, verify, sign, publish, promote and compare releases of the model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="RELEASE", help="Digest, unique prefix of one, or path of a release.")]


@app.command("list")
def list_(
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """List the releases that can be loaded here and, where a log is named, what each is used for."""
    settings = _settings(releases, release_keys, log, topic_prefix)
    known = Releases.of(settings)
    roles = promotion.in_use(_held(settings))
    rows = [_row(known, digest, roles) for digest in known.digests()]
    listed = {row["release"] for row in rows}
    # What scores but is not here would be missed at the next restart.
    rows += [_row(known, digest, roles) for digest in sorted({name for name, _ in roles} - listed)]
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        used = ", ".join(f"{role} on {count} partitions" for role, count in row["in_use"].items())
        told = f"cannot be loaded: {row['problem']}" if row["problem"] else f"{row['created']}  {row['title']}"
        print(f"{row['release'][:19]}  {told}{'  ← ' + used if used else ''}")


@app.command()
def show(
    *,
    name: Name,
    shadow: Annotated[bool, typer.Option("--shadow", help="Compare its shadow scores with the champion's.")] = False,
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Show what a release says of itself and, where a log is named, what became of it there."""
    settings = _settings(releases, release_keys, log, topic_prefix)
    release = Releases.of(settings).open(name)
    manifest = msgspec.to_builtins(release.manifest)
    result = {"release": release.digest, "signed_by": release.signer} | manifest
    if _log_is_named(settings):
        with _opened(settings) as (opened, topics):
            partitions = promotion.held(opened, topics)
            roles = promotion.in_use(partitions)
            result["in_use"] = {role: count for (digest, role), count in roles.items() if digest == release.digest}
            result["history"] = promotion.history(partitions, release.digest)
            if shadow:
                result["shadow"] = promotion.compare(opened, topics, release.digest)._asdict()
    elif shadow:
        raise typer.BadParameter("--shadow compares what a log holds: name it with --log")
    if as_json:
        say(result, True)
        return
    result["features"] = f"{len(release.manifest.features)}"
    result["files"] = ", ".join(release.manifest.files)
    told = result.pop("history", [])
    say(result, False)
    for turn in told:
        fates = ", ".join(f"{fate} on {count} partitions" for fate, count in turn["partitions"].items())
        print(f"{turn['at'] or 'at the start'}  {turn['role']}  {fates}")


@app.command()
def verify(name: Name, releases: ReleasesAt = None, release_keys: ReleaseKeys = None, as_json: AsJson = False) -> None:
    """Check every byte of a release against its digest, its signature, and that it fits this version; exit 1 if not."""
    try:
        release = Releases.of(_settings(releases, release_keys)).open(name)
    except InvalidRelease as error:
        if as_json:
            say({"verified": False, "reason": error.code, "why": str(error)}, True)
        failed(str(error))
    checked = f"by key {release.signer}" if release.signer else "not checked: no keys are configured, or it is shipped"
    say({"verified": True, "release": release.digest, "files": len(release.manifest.files), "signed": checked}, as_json)


@app.command()
def publish(
    path: Annotated[str, typer.Argument(help="Folder of a release, such as `keepwell train` writes.")],
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    as_json: AsJson = False,
) -> None:
    """Copy a release into the registry, under its digest."""
    settings = _settings(releases, release_keys)
    release = Releases.of(settings).publish(path)
    say({"published": release.digest, "registry": settings.releases}, as_json)


@app.command()
def promote(
    *,
    name: Name,
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Let a release score and alert from here on. A release named by its path is published first."""
    settings = _settings(releases, release_keys, log, topic_prefix)
    _give_role(settings, Releases.of(settings).bring(name), "champion", as_json)


@app.command()
def shadow(
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="[RELEASE]", help="Digest, unique prefix of one, or path of a release.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the shadow instead.")] = False,
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Let a release score beside the champion, to a topic of its own and without alerts; or, with --off, end that."""
    settings = _settings(releases, release_keys, log, topic_prefix)
    if (name is None) != off:
        raise typer.BadParameter("name either a RELEASE or --off")
    if name is not None:
        _give_role(settings, Releases.of(settings).bring(name), "shadow", as_json)
        return
    with _opened(settings) as (opened, topics):
        present = {each.roles.shadow for each in promotion.held(opened, topics)} - {None}
        if not present:
            failed("there is no shadow to end")
        for digest in sorted(filter(None, present)):
            say(promotion.give_role(opened, topics, digest, "none", datetime.now(UTC), manifest=None), as_json)


@app.command()
def rollback(
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Promote the release that was champion before the present one, as the log tells."""
    settings = _settings(releases, release_keys, log, topic_prefix)
    known = Releases.of(settings)
    with _opened(settings) as (opened, topics):
        before = promotion.champion_before(promotion.held(opened, topics))
    if before is None:
        failed(
            "the log tells of no release that was in use before the present one, so there is nothing to go back to: to let "
            "another one score, name it with keepwell release promote"
        )
    _give_role(settings, known.load(before), "champion", as_json)


@app.command()
def diff(
    one: Annotated[str, typer.Argument(help="Digest, unique prefix of one, or path of a release.")],
    other: Annotated[str, typer.Argument(help="The release to compare it with.")],
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    as_json: AsJson = False,
) -> None:
    """Show in what two releases differ: what they say of themselves, their figures, policy and points."""
    known = Releases.of(_settings(releases, release_keys))
    found = differences(known.open(one), known.open(other))
    if as_json:
        say(found, True)
        return
    for part, changes in found.items():
        for what, (before, after) in changes.items():
            print(f"{part}.{what}: {before} → {after}")
    if not any(found.values()):
        print("no difference")


@app.command()
def keygen(
    private: Annotated[
        Path, typer.Argument(help="File for the private key; the public one lies beside it, as FILE.pub.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a key pair for signing releases. The private key is for who releases; services get the public one."""
    say({"key": signing.keygen(private), "private": str(private), "public": f"{private}.pub"}, as_json)


@app.command()
def sign(
    name: Name,
    key: Annotated[Path, typer.Option(help="The private key that `keepwell release keygen` made.")],
    releases: ReleasesAt = None,
    as_json: AsJson = False,
) -> None:
    """Sign a release, in its folder or in the registry. Its digest stays the same."""
    digest, signer = Releases(_settings(releases).releases).sign(name, key)
    say({"signed": digest, "key": signer}, as_json)


def differences(one: Release, other: Release) -> dict[str, dict[str, tuple[Any, Any]]]:
    """What differs, by part and name, each as what one says and what the other says; None: says nothing of it."""
    manifests = [msgspec.to_builtins(each.manifest) for each in (one, other)]
    points = [{term.feature: msgspec.to_builtins(term) for term in each.scorer.card.terms} for each in (one, other)]
    cards = [
        {name: part for name, part in msgspec.to_builtins(each.scorer.card).items() if name != "terms"}
        for each in (one, other)
    ]
    parts = {
        "manifest": [
            {k: v for k, v in each.items() if k not in ("metrics", "files", "features")} for each in manifests
        ],
        "metrics": [each["metrics"] for each in manifests],
        "policy": [msgspec.to_builtins(each.policy) for each in (one, other)],
        "scorecard": cards,
        "terms": points,
    }
    return {part: _changed(*pair) for part, pair in parts.items()}


def _changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (one.get(name), other.get(name))
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    }


def _settings(
    releases: str | None, release_keys: Path | None = None, log: str | None = None, topic_prefix: str | None = None
) -> PredictorSettings:
    return read(PredictorSettings, releases=releases, release_keys=release_keys, log=log, topic_prefix=topic_prefix)


def _log_is_named(settings: PredictorSettings) -> bool:
    return "log" in settings.model_fields_set


@contextmanager
def _opened(settings: PredictorSettings) -> Iterator[tuple[Log, Topics]]:
    with closing(settings.open_log(must_exist=True)) as log:
        yield log, Topics(settings.topic_prefix)


def _held(settings: PredictorSettings) -> list[promotion.PartitionRoles]:
    if not _log_is_named(settings):
        return []
    with _opened(settings) as (log, topics):
        return promotion.held(log, topics)


def _give_role(
    settings: PredictorSettings, release: Release, role: Literal["champion", "shadow"], as_json: bool
) -> None:
    with _opened(settings) as (log, topics):
        partitions = promotion.held(log, topics)
        if promotion.in_use(partitions)[release.digest, role] == len(partitions):
            failed(f"{release.digest} is {role} on every partition already")
        written = promotion.give_role(log, topics, release.digest, role, datetime.now(UTC), manifest=release.content)
    say(written, as_json)


def _row(known: Releases, digest: str, roles: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    row: dict[str, Any] = {"release": digest, "title": None, "created": None, "signed_by": None, "problem": None}
    row["in_use"] = {role: count for (name, role), count in roles.items() if name == digest}
    try:
        release = known.load(digest)
    except InvalidRelease as error:
        return row | {"problem": error.code}
    manifest = release.manifest
    return row | {"title": manifest.title, "created": manifest.created, "signed_by": release.signer}
