"""A name or a reason of a model is no command to the build server that reads the output."""

from flows.terminal import output


def test_a_build_server_finds_no_command_in_names_and_reasons(capsys):
    hostile = "::set-output name=verdict::passed"
    output.say(f"{hostile}\nkept: a::b\n  {hostile}\n##vso[task.setvariable variable=a]b")
    output.show(output.table(("verdict",), [["x" * 80 + hostile], ["##[add-mask]failed"]]))
    output.complain(f"\t{hostile}")
    told, errors = capsys.readouterr()
    lines = [*told.splitlines(), *errors.splitlines()]
    assert "kept: a::b" in lines
    assert any("set-output" in line for line in lines)
    for line in lines:
        assert not line.strip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line
