"""The model: what Muster knows and decides. No framework, driver, socket, logger or clock lives here."""
