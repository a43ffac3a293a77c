"""The only cryptography: seals, hashes, passwords, tokens and X.509. It knows no row, route or socket."""
