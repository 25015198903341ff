"""Voices that are kept: consent, enrolment, decisions, erasure and a ledger, in SQLite or PostgreSQL.

Start with `gallery.galleries.Galleries`, through which everything is asked. Nothing here knows
Ray, HTTP or models.
"""
