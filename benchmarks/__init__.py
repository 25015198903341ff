"""Measurement scripts that print tables; the product imports none of them."""
