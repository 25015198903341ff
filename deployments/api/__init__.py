"""All of HTTP: an application built from an `GraphAnalyzer`. Imports no Ray."""
