"""The `voxgraph` command.

`app` has all commands; `recordings`, `server`, `checkpoints` and `service` declare a group each, without any
logic. What a command needs is imported when it runs: ``voxgraph --help`` imports typer and little else.
"""
