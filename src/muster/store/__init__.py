"""Rows in, rows out: the only room that speaks SQL. Nouns come and go; statements, drivers and files stay in here."""
