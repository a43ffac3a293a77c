"""Enrollment over Secure Transport (RFC 7030): how devices get and renew their certificates by themselves."""
