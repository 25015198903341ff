"""How callers reach models: calls with deadlines, the router, clips, the request context."""
