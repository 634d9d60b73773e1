"""Alerts out of the log, to where clinicians look: a webhook of the clinic."""
