"""Keepwell: notices early that a person in psychotherapy is about to stop coming. The core; knows no service."""
