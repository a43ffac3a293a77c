"""Eclipse Hono's Device Registry Management API v1, and what adapters ask, as a thin door."""
