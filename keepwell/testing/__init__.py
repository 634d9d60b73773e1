"""What others test against: a made-up clinic, and the conformance suite of log backends."""
