"""Commands that run in the process of the tests."""

import io
import os
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest

from flows.cli import main


@contextmanager
def commands():
    """Runs commands in this process: a function that returns exit code, stdout and stderr."""
    variables = dict(os.environ)

    def run(*arguments):
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.cli.watch", lambda: None)  # it would end this process's children
        yield run
    os.environ.clear()  # commands set variables
    os.environ.update(variables)
