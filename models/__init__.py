"""Releases of the model: the format, the check of the digest, and the shipped default."""
