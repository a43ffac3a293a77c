"""Verbs of the machine's owner: they read the settings and may touch database and keys on this machine."""
