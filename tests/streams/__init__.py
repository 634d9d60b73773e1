"""Tests of the logs and of what runs on them."""

import pytest

pytest.register_assert_rewrite("tests.streams.conformance", "tests.streams.conformance_groups")
