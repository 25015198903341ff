"""The HTTP application, built on a `GraphAnalyzer`. Imports no Ray."""
