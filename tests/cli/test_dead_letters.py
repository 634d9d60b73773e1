"""The command `dead-letters` on a log in a file: what it shows, what it changes, and what it never prints."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keepwell.cli.dead_letters import app
from keepwell.settings import Settings
from keepwell.streams.log import Message, Partition
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker import dead_letters

TOPICS = Topics("north.")
SECRET = b'{"subject": "ep-17"'


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A log with two letters of `bad-json` and one of `unknown-type`."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    with closing(Settings(log=url).open_log()) as log:
        ensure_topics(log, TOPICS, 3)
        places = log.append([Message(TOPICS.sessions, b"ep-17", SECRET, (("traceparent", b"00-1"),), 1)] * 3)
        reasons = ("bad-json", "unknown-type", "bad-json")
        for (partition, offset), reason in zip(places, reasons, strict=True):
            record = next(iter(log.read(partition, offset)))
            log.append([dead_letters.letter(TOPICS.dead_letters, record, reason, "$.type")])
    return url


def call(url: str, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*words, "--log", url, "--topic-prefix", "north."])
    return done.exit_code, done.output


def listed(url: str, *words: str) -> dict[str, Any]:
    code, output = call(url, "list", *words, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(output)
    return found


def sessions(url: str) -> list[bytes | None]:
    with closing(Settings(log=url).open_log()) as log:
        return [record.value for record in log.read(Partition(TOPICS.sessions, 1))]


def test_list_counts_and_names_what_was_refused_without_content(url: str) -> None:
    code, output = call(url, "list")
    assert code == 0
    assert "total: 3" in output
    assert "bad-json 2, unknown-type 1" in output
    assert "north.session-events[1]@0" in output
    assert "ep-17" not in output


@pytest.mark.parametrize(
    ("words", "total"),
    [
        (["--reason", "bad-json"], 2),
        (["--since", "2020-01-01"], 3),
        (["--since", "2999-01-01T00:00:00"], 0),
        (["--source", "north.session-events"], 3),
        (["--source", "north.episode-events"], 0),
        (["--partition", "1", "--offset", "2"], 1),
        (["--partition", "0"], 0),
    ],
)
def test_filters_choose(url: str, words: list[str], total: int) -> None:
    assert listed(url, *words)["total"] == total


def test_a_moment_that_is_none_is_told_with_the_form_that_is_right(url: str) -> None:
    code, output = call(url, "list", "--since", "yesterday")
    assert code == 2 and "'yesterday' is not a moment" in output


def test_a_long_list_is_cut_and_says_so(url: str) -> None:
    assert "… and 2 more" in call(url, "list", "--limit", "1")[1]
    found = listed(url, "--limit", "1")
    assert (len(found["letters"]), found["total"]) == (1, 3)


def test_show_prints_content_on_explicit_wish_only(url: str) -> None:
    name = listed(url)["letters"][0]["name"]
    assert "ep-17" not in call(url, "show", name, "--json")[1]
    told = json.loads(call(url, "show", name, "--payload", "--json")[1])
    assert (told["key"], told["value"], told["headers"]) == ("ep-17", SECRET.decode(), {"traceparent": "00-1"})


def test_show_of_what_is_not_there_is_a_problem_and_of_nonsense_wrong_use(url: str) -> None:
    assert call(url, "show", "2/99")[0] == 1
    assert call(url, "show", "nonsense")[0] == 2


def test_replay_puts_back_what_was_chosen_and_lists_it_no_more(url: str) -> None:
    assert json.loads(call(url, "replay", "--reason", "bad-json", "--dry-run", "--json")[1]) == {
        "would_replay": 2,
        "left": 0,
    }
    assert len(sessions(url)) == 3
    assert json.loads(call(url, "replay", "--reason", "bad-json", "--json")[1]) == {"replayed": 2, "left": 0}
    assert sessions(url) == [SECRET] * 5
    assert listed(url)["reasons"] == {"unknown-type": 1}


def test_replay_says_so_where_a_record_was_refused_too_often(url: str) -> None:
    with closing(Settings(log=url).open_log()) as log:
        headers = ((dead_letters.ATTEMPTS, b"4"),)
        [(partition, offset)] = log.append([Message(TOPICS.sessions, b"k", b"v", headers, 2)])
        record = next(iter(log.read(partition, offset)))
        log.append([dead_letters.letter(TOPICS.dead_letters, record, "bad-json", "$")])
    code, output = call(url, "replay", "--partition", "2")
    assert code == 1
    assert "1 were refused 5 times" in output


def test_drop_lists_it_no_more_and_puts_nothing_back(url: str) -> None:
    assert json.loads(call(url, "drop", "--offset", "1", "--json")[1]) == {"dropped": 1}
    assert listed(url)["total"] == 2
    assert len(sessions(url)) == 3


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_without_a_choice_nothing_happens_to_all_of_them(url: str, command: str) -> None:
    assert call(url, command)[0] == 2
    assert listed(url)["total"] == 3
    assert call(url, command, "--all")[0] == 0
    assert listed(url)["total"] == 0
