"""Muster brings a fleet of IoT devices to life."""

__version__ = "0.1.0"
