"""The story told to Prefect: the flow (audit.py), the demo, and the command line (cli.py)."""
