"""How callers reach models: groups of calls, the router, clips, and what each model has loaded."""
