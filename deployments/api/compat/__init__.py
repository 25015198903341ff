"""What exists only because one of the five services before this one had it."""
