"""Response bodies of the HTTP application."""
