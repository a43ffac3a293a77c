"""Verbs of the API's users: they speak through client.py and see nothing else of Muster."""
