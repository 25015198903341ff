"""Measures how well a running graph answers, on labelled recordings: ``make eval DATA=folder``."""
