"""The running services: each wires the core to a log; they never import each other."""
