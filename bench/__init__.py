"""Measurements: `python -m bench [names…]`; each on its own, bounded in time, over loopback."""
