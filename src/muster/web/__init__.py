"""Plumbing every dialect shares: routing, callers, one transaction and one log line per request."""
