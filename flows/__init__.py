"""The story told to Prefect: flows (audit, gate, sweep, serve), their events, and the command line.

`cli.py` is the command line, `commands` has a file a command, `demo` the demo.
"""
