"""Hono's MQTT adapter: packets, decoder, topics, session (rules, no sockets), server (the sockets)."""
