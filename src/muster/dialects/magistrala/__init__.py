"""The Magistrala dialect (F25): users, domains, clients and channels as upstream's API of February 2025."""
