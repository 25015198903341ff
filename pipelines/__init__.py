"""Inference: arrays in, small frozen results out. No Ray and no HTTP.

Only `pipelines.vendored` changes the state of the process, and only `pipelines.engines` writes files.
"""
