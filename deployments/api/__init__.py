"""All of HTTP: an application built from an `Analyzer`. Imports no Ray."""
