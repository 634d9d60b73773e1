"""The port's contract as tests that every log must pass."""
