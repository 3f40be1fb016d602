"""The audits as Prefect flows (audit, gate, sweep, serve), their events, and the command line.

`cli.py` is the command line, `commands` has one file for each command, `terminal` holds the parts
that only the command line needs, and `demo` is the demo. A flow imports none of these four.
"""
