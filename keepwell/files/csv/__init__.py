"""A clinic's own tables to events."""
