"""The story told to Prefect: flows and tasks (audit.py), the demo, and the command line (cli.py)."""
