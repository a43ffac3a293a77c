"""Rows in, rows out: the only room that speaks SQL. Nouns come and go; statements and drivers stay here."""
