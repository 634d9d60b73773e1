"""The deployment, checked without a container engine: it parses, is closed by default, and runs commands that exist."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import SETTINGS
from keepwell.metrics import TABLE
from keepwell.streams.topics import Topics
from services.catalogue import SERVICES as CATALOGUE
from services.catalogue import ServiceRow
from tests.command_lines import Line, complaint

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("keepwell:")]
NAMES = {row.name for row in CATALOGUE}
WORKERS = [name for name in OURS if "restart" in SERVICES[name]]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "keepwell.json").read_text(encoding="utf-8"))
METRIC = re.compile(r"\bkeepwell_[a-z_]+")

every_service = pytest.mark.parametrize("name", SERVICES)
every_row = pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
every_own_service = pytest.mark.parametrize("name", OURS)


def test_compose_runs_the_broker_and_every_service() -> None:
    assert set(OURS) == {"topics", "tools", *NAMES}
    assert set(WORKERS) == NAMES
    assert SERVICES["kafka"]["image"] == "apache/kafka:4.3.0"


@every_service
def test_every_published_port_listens_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@every_service
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9/-]+:v?\d+(\.\d+)+[a-z0-9-]*", SERVICES[name]["image"])


@every_service
def test_no_service_can_gain_rights_or_take_the_whole_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "mem_limit" in service
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


@every_own_service
def test_our_services_run_on_a_read_only_file_system(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["tmpfs"] == ["/tmp:size=64m,mode=1777"]


@every_own_service
def test_every_command_in_compose_is_one_that_keepwell_knows(name: str, tmp_path: Path) -> None:
    assert complaint(Line("docker-compose.yml", tuple(SERVICES[name]["command"])), tmp_path) is None


@every_own_service
def test_every_setting_in_compose_is_one_that_a_service_reads(name: str) -> None:
    known = {f"KEEPWELL_{field.upper()}" for _, cls in SETTINGS for field in cls.model_fields}
    assert set(SERVICES[name]["environment"]) <= known


@every_row
def test_a_service_runs_its_own_command_and_only_by_itself_where_it_needs_nothing(row: ServiceRow) -> None:
    assert SERVICES[row.name]["command"] == [row.name]
    assert SERVICES[row.name].get("profiles", []) == ([row.name] if row.needs else [])


@every_row
def test_a_service_answers_where_the_image_and_prometheus_ask_for_its_health(
    row: ServiceRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environment(row.name).items():
        monkeypatch.setenv(variable, value)
    assert row.address(row.configured({})) == ("0.0.0.0", 8080)
    assert "http://127.0.0.1:8080/livez" in DOCKERFILE
    assert not SERVICES[row.name].get("healthcheck", {}).get("disable")
    always, looked_up = scraped()
    assert f"{row.name}:8080" in (looked_up if row.needs else always)


def environment(name: str) -> dict[str, str]:
    """What a service of compose is set to, where nothing is given from outside."""
    told = SERVICES[name]["environment"].items()
    return {variable: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value)) for variable, value in told}


def scraped() -> tuple[list[str], list[str]]:
    """The addresses that Prometheus always asks, and those that it asks where there are such."""
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (always,) = job["static_configs"]
    return always["targets"], [f"{name}:{each['port']}" for each in job["dns_sd_configs"] for name in each["names"]]


@every_own_service
def test_every_own_setting_has_a_value_that_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(name).items():
        monkeypatch.setenv(variable, value)
    for _, cls in SETTINGS:
        cls()


def test_each_worker_has_a_name_of_its_own() -> None:
    names = [SERVICES[name]["environment"].get("KEEPWELL_INSTANCE") for name in WORKERS]
    assert None not in names
    assert len(set(names)) == len(names)


def test_workers_wait_for_the_topics_and_these_for_a_healthy_broker() -> None:
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for name in WORKERS:
        assert SERVICES[name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_every_other_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_every_volume_that_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_every_own_service_looks_for_releases_in_one_registry_that_only_people_can_change() -> None:
    registry = {SERVICES[name]["environment"]["KEEPWELL_RELEASES"] for name in OURS}
    assert len(registry) == 1
    (place,) = registry
    assert SERVICES["predictor"]["volumes"] == [f"releases:{place}:ro"]
    assert SERVICES["tools"]["volumes"] == [f"releases:{place}"]
    assert SERVICES["tools"]["profiles"] == ["tools"], "nothing that runs by itself can publish"
    # A new volume takes its owner from the folder in the image.
    assert re.search(rf"install -d -o keepwell .*{place}\b", DOCKERFILE)


def test_the_image_is_built_in_two_stages_from_a_pinned_base() -> None:
    bases = re.findall(r"^FROM (\S+)( AS \w+)?$", DOCKERFILE, re.MULTILINE)
    assert [stage for _, stage in bases] == [" AS build", ""]
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base, _ in bases)
    assert "-c constraints.txt" in DOCKERFILE


def test_the_image_runs_as_nobody_special_and_checks_itself() -> None:
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", last_stage, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", last_stage, re.MULTILINE)
    assert "/livez" in last_stage
    assert last_stage.index("USER ") < last_stage.index("ENTRYPOINT ")
    assert 'ENTRYPOINT ["keepwell"]' in last_stage


def test_what_the_image_copies_exists_and_is_let_into_the_build() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = [
        word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed


def test_the_image_holds_every_package_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]:
        name = pattern.removesuffix("*")
        assert f"\nCOPY {name} {name}\n" in DOCKERFILE


def declared() -> set[str]:
    """Every name under which Prometheus can see a declared metric."""
    names = {row.name for row in TABLE}
    return names | {
        f"{row.name}{end}" for row in TABLE if row.kind == "histogram" for end in ("_bucket", "_sum", "_count")
    }


def test_every_metric_on_the_dashboard_is_declared() -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    used = {name for expression in expressions for name in METRIC.findall(expression)}
    assert used
    assert used - declared() == set()


def test_every_declared_metric_is_on_the_dashboard() -> None:
    text = json.dumps(DASHBOARD)
    assert [row.name for row in TABLE if row.name not in text] == []


def test_every_panel_says_what_it_shows_and_has_a_place_of_its_own() -> None:
    panels = DASHBOARD["panels"]
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)


def test_every_alarm_uses_declared_metrics_and_says_where_to_look() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    for rule in rules:
        assert set(METRIC.findall(rule["expr"])) <= declared(), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "look"}


def test_a_refused_release_wakes_somebody() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    (rule,) = [rule for rule in rules if "keepwell_releases_refused_total" in rule["expr"]]
    assert "unless" in rule["expr"], "increase alone is blind to the first refusal"


def test_alerts_that_do_not_get_out_wake_somebody() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    (wait,) = [rule for rule in rules if Topics().notify_group in rule["expr"]]
    (lost,) = [rule for rule in rules if "keepwell_notified_total" in rule["expr"]]
    assert "keepwell_lag" in wait["expr"]
    assert "unless" in lost["expr"], "increase alone is blind to the first"


def test_prometheus_asks_nobody_that_is_not_a_service() -> None:
    always, looked_up = scraped()
    assert {target.partition(":")[0] for target in (*always, *looked_up)} == NAMES


@pytest.mark.parametrize("group", [group.name for row in CATALOGUE for group in row.groups])
def test_a_group_that_falls_behind_wakes_somebody(group: str) -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    expressions = [rule["expr"] for rule in rules if "keepwell_lag" in rule["expr"]]
    assert any(all(_looks_at(group, chosen) for chosen in LAG.findall(expression)) for expression in expressions)


LAG = re.compile(r"keepwell_lag\b(\{[^}]*\})?")


def _looks_at(group: str, chosen: str) -> bool:
    """Whether a selector such as `{group=~"a|b"}` has the series of a group."""
    pattern = re.search(r'group=~?"([^"]*)"', chosen)
    assert "group!" not in chosen, "name the groups that are meant"
    return pattern is None or re.fullmatch(pattern[1], group) is not None


def test_grafana_finds_its_datasource_and_dashboard() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "keepwell.yml").read_text("utf-8"))["providers"]
    assert {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]} == {
        source["uid"]
    }
    assert source["url"] == "http://prometheus:9090"
    mounts = SERVICES["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts
