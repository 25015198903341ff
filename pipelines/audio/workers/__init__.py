"""Decode recordings in processes that may be killed.

Decoders are large programs in C that read what strangers send. Here they run apart: `processes` is the side
of the process, `confinement` what such a process may do, `pool` the side of the service, `turns` the order in
which recordings are worked on, and `messages` what both sides tell each other.
"""
