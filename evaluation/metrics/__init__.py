"""Metrics that scikit-learn and pyannote.metrics do not have, and confidence intervals."""
