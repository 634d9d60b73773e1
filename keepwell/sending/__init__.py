"""Sending to somebody else's machine over HTTP, bounded and signed, until it is taken or given up."""
