"""Tests of the logs and of what runs on them."""

import pytest

pytest.register_assert_rewrite("keepwell.testing.conformance.log", "keepwell.testing.conformance.groups")
