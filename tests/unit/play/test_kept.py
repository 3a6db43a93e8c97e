from pathlib import Path

import pytest

from agentops.play.kept import Kept, OtherPlayError

WHAT = {"workload": "abc", "blunt": False}


def test_a_folder_knows_its_play_again(tmp_path: Path) -> None:
    first, second = Kept(tmp_path), Kept(tmp_path)

    assert first.open(WHAT) is False
    assert second.open(WHAT) is True
    assert first.session == second.session
    assert first.session.isascii()


def test_a_folder_refuses_another_play_and_says_what_differs(tmp_path: Path) -> None:
    Kept(tmp_path).open(WHAT)

    with pytest.raises(OtherPlayError, match="another workload, blunt"):
        Kept(tmp_path).open({"workload": "x", "blunt": True})


def test_ports_stay_the_same_where_they_are_free(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.open(WHAT)
    ports = kept.ports(["web", "tools"])

    assert len(set(ports.values())) == 2
    assert kept.ports(["web", "tools"]) == ports


def test_kills_are_counted_across_commands(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.open(WHAT)

    assert kept.kills() == 0
    kept.note_kill("worker-1")
    kept.note_kill("worker-2")
    assert Kept(tmp_path).kills() == 2
