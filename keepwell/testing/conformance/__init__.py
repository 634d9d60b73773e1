"""The port's contract as tests that every log must pass; a test file of your own runs them all on yours:

import pytest
from keepwell.testing.conformance import AppendContract, CommitContract, GroupContract, ReadContract, TopicsContract

@pytest.fixture
def backend(tmp_path):
    return MyBackend(tmp_path)  # see `Backend`: how to open the log, trim it, compact it, and how patient to be

class TestTopics(TopicsContract): ...
class TestAppend(AppendContract): ...
class TestRead(ReadContract): ...
class TestGroup(GroupContract): ...
class TestCommit(CommitContract): ...
"""

import pytest

# Before they are imported: so that a failure shows the values compared.
pytest.register_assert_rewrite(f"{__name__}.log", f"{__name__}.groups")

from keepwell.testing.conformance.groups import CommitContract, GroupContract  # noqa: E402
from keepwell.testing.conformance.log import AppendContract, Backend, ReadContract, TopicsContract  # noqa: E402

__all__ = ["AppendContract", "Backend", "CommitContract", "GroupContract", "ReadContract", "TopicsContract"]
