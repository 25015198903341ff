"""For the whole run."""

import os

# The clusters that `make serve` starts ask for a token; a driver that connects must offer it.
os.environ.setdefault("RAY_AUTH_MODE", "token")
