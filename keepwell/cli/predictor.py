"""`keepwell predictor`: scores and alerts, from the accepted events of a log."""

from __future__ import annotations

from keepwell.cli._options import AcceptGap, Drain, Host, Instance, LogUrl, Model, Port, Prefix, ReleaseKeys, ReleasesAt
from keepwell.cli._settings import read
from services.predictor.bootstrap import run
from services.predictor.settings import PredictorSettings


def command(
    *,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    instance: Instance = None,
    model: Model = None,
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    host: Host = None,
    port: Port = None,
    accept_gap: AcceptGap = None,
    drain: Drain = False,
) -> None:
    """Fold accepted events into episodes; publish a score for each, and the alerts that the policy draws from them."""
    settings = read(
        PredictorSettings,
        log=log, topic_prefix=topic_prefix, instance=instance, model=model, releases=releases, release_keys=release_keys,
        predictor_host=host, predictor_port=port, accept_gap=accept_gap,
    )  # fmt: skip
    run(settings, drain=drain)
