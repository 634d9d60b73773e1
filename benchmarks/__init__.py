"""Measures what DESIGN promises: rates, latencies, bytes; each beside its aim. `make bench` prints one table."""
