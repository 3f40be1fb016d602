"""The parts that only the command line needs; no flow imports them.

They set up and end a process that is ours: its environment, its temporary Prefect server, its
watcher, and its end at Ctrl-C. They show what it does: `console` takes the log, `display` shows it
as `bars` or a line a minute (`minutes`), `output` and `verdict` print results, and `streams` and
`text` keep output and text of others harmless. A program of somebody else's that calls a flow gets
none of this.
"""
