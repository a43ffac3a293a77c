"""How the schema came to be, step by step. Append only: a released step is never changed."""

HEAD = "0003"
"""The newest step."""
