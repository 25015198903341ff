"""One module per family of endpoints: read the upload, decode it, call the analyzer, answer."""
