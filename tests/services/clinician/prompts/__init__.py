"""Prompts: what is told to whom, when, and what becomes of it."""
