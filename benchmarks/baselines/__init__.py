"""The same questions answered the plain way, as each library's documentation shows."""
