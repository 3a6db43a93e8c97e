from pathlib import Path

import pytest
from django.core.management.base import CommandError

from agentops.management.commands.play import Command


def test_the_options_are_what_the_documentation_says() -> None:
    parser = Command().create_parser("manage.py", "play")
    asked = parser.parse_args(
        ["w.json", "--tasks", "3", "--kill-worker-every", "2", "--tool-latency", "0.3", "--blunt"]
    )

    assert (asked.workload, asked.tasks, asked.concurrency) == (Path("w.json"), 3, 16)
    assert (asked.kill_worker_every, asked.model_latency, asked.tool_latency) == (2.0, 0.0, 0.3)
    assert (asked.blunt, asked.approve_writes, asked.data) == (True, False, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "0"], "argument --tasks: '0' is not a whole number of at least 1"),
        (["--tasks", "-3"], "argument --tasks: '-3' is not"),
        (["--tasks", "x"], "argument --tasks: 'x' is not"),
        (["--tasks", "²"], "argument --tasks: '²' is not"),
        (["--concurrency", "0"], "argument --concurrency"),
        (["--model-latency", "-1"], "argument --model-latency: '-1' is not a number of seconds"),
        (["--tool-latency", "nan"], "argument --tool-latency: 'nan' is not"),
        (["--tool-latency", "inf"], "argument --tool-latency: 'inf' is not"),
        (["--kill-worker-every", "0"], "argument --kill-worker-every: must be more than 0"),
        (["--data", __file__], "is not a folder"),
        (["--what"], "unrecognized arguments: --what"),
    ],
)
def test_a_bad_option_is_named_and_ends_with_2(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "play", "w.json", *options])

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_played_ends_with_2(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.json: No such file") as raised:
        Command().execute(
            **vars(Command().create_parser("m", "play").parse_args([str(tmp_path / "none.json")]))
        )

    assert raised.value.returncode == 2
