"""Time as an event: ticks on every partition."""
