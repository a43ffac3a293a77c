"""How the schema came to be, step by step. Append only: a released step is never changed."""

HEAD = "0004"
"""The newest step."""
