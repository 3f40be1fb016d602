"""Real commands in a pseudo-terminal, and with outputs that nobody reads."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios

import mlflow
import pytest
import yaml

from flows.cli import main

_POLICY = {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]}
# Notes which of the slow libraries are there when the first characters are written.
_PROGRAM = """
import sys
from flows.terminal.streams import Stream

there, write = [], Stream.write

def noting(self, text):
    there.append(sorted({"torch", "mlflow", "pandas", "pydantic"} & set(sys.modules)))
    return write(self, text)

Stream.write = noting
from flows.cli import main
if __name__ == "__main__":
    code = main()
    print("at the first character:", there[0])
    sys.exit(code)
"""


@pytest.fixture
def file(demo_config, tmp_path):
    file = tmp_path / "audit.yaml"
    checks = [{"kind": "performance"}]
    file.write_text(yaml.safe_dump({**demo_config, "checks": checks, "policy": _POLICY}))
    return file


@pytest.mark.slow
def test_an_audit_in_a_terminal(file, typed, tmp_path):
    (tmp_path / "program.py").write_text(_PROGRAM)
    reader, writer = os.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    process = subprocess.Popen(
        [
            *(sys.executable, tmp_path / "program.py", "audit", "models:/m/1"),
            *("--config", file, "--without-prefect"),
        ],
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=writer,
        stdout=writer,
        stderr=writer,
        start_new_session=True,
    )
    os.close(writer)
    seen = b""
    while True:
        try:
            seen += os.read(reader, 1 << 16)
        except OSError:  # all ends are closed
            break
    os.close(reader)
    assert process.wait(timeout=60) == 0
    text = seen.decode()
    assert "Traceback" not in text
    assert "at the first character: []" in text
    assert "loading (0 s)" in text
    assert re.search(r"performance .*━.* \d/\d", text)
    assert "m v1: \x1b[1;32mPASSED, in part\x1b[0m" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown
    whole = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()
    (run,) = [line for line in whole if line.startswith("Run ")]
    assert re.fullmatch(r"Run (\w+) in http://127\.0\.0\.1:5000/#/experiments/\d+/runs/\1", run)


@pytest.mark.slow
def test_a_promotion_is_told_also_if_nobody_reads_stdout(
    file, typed, monkeypatch, capsys, tmp_path
):
    # `typed` has registered the model.
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        gate = ["gate", "models:/m/1", "--config", str(file), "--promote", "unread"]
        assert main([*gate, "--accept-partial", "--without-prefect"]) == 0
        unread.flush()
    error = capsys.readouterr().err
    assert "\nPromoted, unread: nothing -> v1\n" in f"\n{error}"
    assert error.splitlines()[-1].startswith("passed, in part: ")
    assert "Traceback" not in error
    assert mlflow.MlflowClient().get_model_version_by_alias("m", "unread").version == 1

    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        gate[-1] = "full"
        assert main([*gate, "--accept-partial", "--without-prefect"]) == 0
    error = capsys.readouterr().err
    assert "\nPromoted, full: nothing -> v1\n" in f"\n{error}"
    assert "The decision could not be printed: [Errno 28] No space left on device" in error
    assert error.splitlines()[-1].startswith("passed, in part: ")
