"""The commands of `fillblanks`, one file each: `add` declares its options, `run` runs it.

`run` returns the exit code, prints results to stdout by `flows.terminal.output`, and raises
AuditError, which the command line prints in one line and turns into exit code 2. Every file is
imported for `--help`, so torch, MLflow and Prefect are imported in `run` only.
"""
