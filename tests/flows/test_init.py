"""`fillblanks init` writes a config once, and never over another file."""

import numpy as np
import pytest
import yaml


@pytest.mark.slow
def test_init_writes_a_config_and_never_over_another_file(told, tmp_path):
    data, output = tmp_path / "data.npz", tmp_path / "audit.yaml"
    np.savez(data, x=np.random.default_rng(0).random((20, 28, 28)), y=np.arange(20) % 10)
    command = ("init", "models:/m/1", "--data", data, "--output", output, "--minutes", "0.1")
    code, out, err = told(*command)
    assert code == 0, err
    assert out.splitlines()[-1] == (f"fillblanks audit models:/m/1 --config {output} --dry-run")
    written = output.read_text()
    assert yaml.safe_load(written)["data"] == {"kind": "npz", "path": str(data)}

    code, out, err = told(*command)
    assert (code, out) == (2, "")
    assert err == f"Expected no file at {output}, found one. Give --force to replace it.\n"
    assert output.read_text() == written

    output.write_text("other")
    assert told(*command, "--force")[0] == 0
    assert yaml.safe_load(output.read_text())["model"] == "models:/m/1"


def test_init_without_data_or_time_is_one_line(told, tmp_path, capfd):
    code, _, err = told("init", "models:/m/1", "--data", "nowhere", "--output", tmp_path / "a.yaml")
    assert code == 2
    assert err.startswith("Expected a folder or a file at nowhere, found none.")
    with pytest.raises(SystemExit):
        told("init", "models:/m/1", "--data", "nowhere", "--minutes", "0")
    assert "expected minutes above 0, got '0'" in capfd.readouterr().err
    assert not (tmp_path / "a.yaml").exists()
