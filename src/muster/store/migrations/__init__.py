"""How the schema came to be, step by step. Append only: a released step is never changed."""

HEAD = "0005"
"""The newest step."""
