"""Measures what DESIGN section 6 aims at: rates, latencies, bytes; each beside its aim. `make bench` prints one table."""
