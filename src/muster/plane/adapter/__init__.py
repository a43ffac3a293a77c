"""Hono's MQTT adapter: packets, decoder, topics, session (the rules, without sockets), server (the sockets)."""
