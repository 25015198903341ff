"""The Ray Serve graph: one deployment per model, and the ingress that composes them."""
