"""Tests of the logs and of what runs on them."""
