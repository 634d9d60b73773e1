"""Session events in, checked and normalised episode events and dead letters out."""
