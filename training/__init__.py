"""From the log to a release: simulate, replay into a table, fit, evaluate. Never imported by a service."""
