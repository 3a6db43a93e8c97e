"""The documents say what the code does: what they name exists, what they list is complete."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from runs.core.effects import EffectState
from runs.core.lifecycle import FINAL, NEXT, RunState
from runs.core.reconcile import SUSPENDED_AS
from runs.queries.masking import JUDGED, SEEN

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"

TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME_IN_TABLE: Final = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \|", re.MULTILINE)

REGISTRIES: Final = (
    "pypi" + ".org", "pypi" + ".python.org", "pythonhosted" + ".org", "npmjs" + ".org",
    "npmjs" + ".com", "yarnpkg" + ".com", "crates" + ".io", "proxy.golang" + ".org",
    "rubygems" + ".org", "maven" + ".org", "docker" + ".io", "ghcr" + ".io", "quay" + ".io",
)  # fmt: skip
OUT_OF_THE_CHECKOUT: Final = "../" + "shared"


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pages() -> list[str]:
    kept = (*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("[!.]*/README.md"))
    more = ROOT.glob("examples/**/*.md")
    return sorted({path.relative_to(ROOT).as_posix() for path in (*kept, *more)})


def prose(text: str) -> str:
    """Leave out what is code."""
    return re.sub(r"`[^`]*`", "", FENCE.sub("", text))


# --- Guarantees ---------------------------------------------------------------------------------


def promised() -> list[tuple[str, str]]:
    return TEST.findall(page("docs/guarantees.md"))


def defined_in(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):  # a machine's TestCase
                yield name
            case _:
                pass


@pytest.mark.parametrize(("file", "name"), promised())
def test_the_test_of_a_promise_exists(file: str, name: str) -> None:
    assert (ROOT / file).exists()
    assert name.lower().startswith("test")
    assert name in set(defined_in(ROOT / file))


def test_every_promise_names_its_test() -> None:
    proved, _, _ = page("docs/guarantees.md").partition("## Not yet proved")
    promises = [line for line in proved.splitlines() if re.match(r"\| [^-|]", line)]
    heads = [line for line in promises if line == "| promise | proved by |"]

    assert len(promises) - len(heads) == len(promised())


# --- Links --------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def links() -> Iterator[tuple[str, str]]:
    for name in pages():
        for target in LINK.findall(FENCE.sub("", page(name))):
            if "://" not in target:
                yield name, target


@pytest.mark.parametrize(("name", "target"), list(links()))
def test_a_link_leads_somewhere(name: str, target: str) -> None:
    file, _, anchor = target.partition("#")
    there = ((ROOT / name).parent / file).resolve() if file else ROOT / name

    assert there.is_relative_to(ROOT)
    assert there.exists()
    assert not anchor or anchor in anchors(there)


@pytest.mark.parametrize("folder", ["adr", "runbooks"])
def test_an_index_lists_every_page_of_its_folder(folder: str) -> None:
    listed = set(LINK.findall(page(f"docs/{folder}/README.md")))
    there = {path.name for path in (DOCS / folder).glob("*.md")} - {"README.md"}

    assert listed == there


def test_decisions_are_numbered_and_listed_by_their_titles() -> None:
    files = sorted((DOCS / "adr").glob("0*.md"))
    heads = [path.read_text(encoding="utf-8").splitlines()[0] for path in files]
    titles = [re.fullmatch(r"# (\d+)\. (.+)", head) for head in heads]
    wanted = [
        f"| {title[1]} | [{title[2]}]({path.name}) |"
        for path, title in zip(files, titles, strict=True)
        if title and int(title[1]) == int(path.name[:4])
    ]

    listed = re.findall(r"^\| \d+ \| .+$", page("docs/adr/README.md"), re.MULTILINE)

    assert listed == wanted
    assert len({path.name[:4] for path in files}) == len(files) == len(wanted)


# --- In step with the code ----------------------------------------------------------------------


def test_the_diagram_of_states_is_the_table_of_moves() -> None:
    moves = [
        f"    {before} --> {after}"
        for before in RunState
        for after in RunState
        if after in NEXT[before]
    ]
    ends = [f"    {state} --> [*]" for state in RunState if state in FINAL]
    diagram = ["stateDiagram-v2", "    [*] --> queued", *moves, *ends]

    drawn = dict(FENCE.findall(page("docs/lifecycle.md")))["mermaid"].splitlines()

    assert drawn == diagram


def test_every_way_to_wait_is_described() -> None:
    rows = set(re.findall(r"^\| (\w+) \| `(\w+)` \|", page("docs/lifecycle.md"), re.MULTILINE))

    assert rows == {(state.value, reason.value) for reason, state in SUSPENDED_AS.items()}


EMITTED: Final = (
    ("runs/advance.py", r"[\[(]\(f?\"([a-z_]+\.[a-z_]*)"),
    ("runs/sql/*.sql", r"jsonb_build_array\(\s*'([a-z_]+\.[a-z_]*)'"),
    ("runs/sql/9_events.sql", r"told_seq, '([a-z_]+\.[a-z_]+)'"),
    ("runs/answering.py", r"\(\"([a-z_]+\.[a-z_]+)\","),
    ("runs/sweep.py", r"SELECT tenant_id, (?:run_)?id, '([a-z_]+\.[a-z_]+)'"),
    ("runs/operations/*.py", r"type=\"([a-z_]+\.[a-z_]+)\""),
    ("runs/operations/migrate_runs.py", r"\b_change\([^\"]*\"([a-z_]+\.[a-z_]+)\""),
    ("runs/operations/*.py", r"\b(?:wake|tell)\([^\"]*\"([a-z_]+\.[a-z_]+)\""),
    ("runs/sql/approvals.sql", r"event := '([a-z_]+\.[a-z_]+)'"),
    ("runs/sql/approvals.sql", r"runs_tell\([^']*'([a-z_]+\.[a-z_]+)'"),
)
"""Where events are made, and how it is written. A name that ends in a dot goes on with a state."""

GOES_ON: Final = {
    "run.": {state.value for state in {*SUSPENDED_AS.values(), *FINAL}},
    "effect.": {state.value for state in EffectState} - {"claimed", "held"},
}


def emitted() -> set[str]:
    found = {
        name
        for files, pattern in EMITTED
        for path in ROOT.glob(files)
        for name in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    open_ended = {name for name in found if name.endswith(".")}
    return (found - open_ended) | {name + end for name in open_ended for end in GOES_ON[name]}


def test_the_catalogue_of_events_is_what_the_code_emits() -> None:
    of_runs, _, _ = page("docs/events.md").partition("## In the audit log")

    assert set(NAME_IN_TABLE.findall(of_runs)) == emitted()


def test_what_a_viewer_sees_of_each_field_of_an_event_was_decided() -> None:
    of_runs, _, _ = page("docs/events.md").partition("## In the audit log")
    rows = re.findall(r"^\| `[a-z_.]+` \| ([^|]*) \|", of_runs, re.MULTILINE)
    fields = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}

    assert len(fields) > 30
    assert fields == SEEN | JUDGED.keys()
    assert not SEEN & JUDGED.keys()


def test_the_catalogue_of_audit_actions_is_complete() -> None:
    _, _, of_audit = page("docs/events.md").partition("## In the audit log")
    written = {
        name
        for pattern in ("policy/**/*.py", "gateway/**/*.py", "tools/**/*.py", "runs/**/*.py")
        for path in ROOT.glob(pattern)
        if "testing" not in path.parts
        for name in re.findall(
            r"(?:\brecord\(\s*\w+,|\baction=)\s*\"([a-z_]+\.[a-z_]+)\"",
            path.read_text(encoding="utf-8"),
        )
    }

    assert written - set(re.findall(r"`([a-z_]+\.[a-z_]+)`", of_audit)) == set()


def test_every_variable_of_the_environment_is_described_and_no_other() -> None:
    settings = page("agentops/settings.py")
    read = set(re.findall(r"\benv\.\w+\(\s*\"([A-Z_]+)\"", settings))

    rows = re.findall(r"^\| `([A-Z_]+)` \|", page("docs/operating.md"), re.MULTILINE)

    assert sorted(rows) == sorted(read)


def test_every_code_of_a_problem_is_listed() -> None:
    from agentops.problem_kinds import KINDS

    _, _, errors = page("docs/api.md").partition("## Errors")
    listed = {
        (status, code)
        for row in re.findall(r"^\| (\d{3}[\d, ]*) \| (.+) \|$", errors, re.MULTILINE)
        for status in row[0].split(", ")
        for code in re.findall(r"`([a-z_]+)`", row[1])
    }

    assert {(str(kind.status), code) for code, kind in KINDS.items()} <= listed
    assert {code for _, code in listed} == set(KINDS)


def test_every_endpoint_is_listed() -> None:
    from agentops.urls import API

    paths = {re.sub(r"<\w+:\w+>", "{id}", f"/{route.pattern}") for route in API}

    rows = re.findall(r"^\| `(?:GET|POST|PUT) (/\S+)`", page("docs/api.md"), re.MULTILINE)

    assert set(rows) == paths


# --- Words --------------------------------------------------------------------------------------


def test_each_word_of_the_glossary_stands_once_and_in_order() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", page("docs/glossary.md"), re.MULTILINE)

    assert words == sorted(set(words), key=str.lower)


def unwanted() -> list[str]:
    _, _, table = page("docs/glossary.md").partition("| not | but |")
    return re.findall(r"^\| ([a-z][\w -]+) \| [a-z]", table, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in pages() if name != "docs/glossary.md"])
def test_no_page_uses_a_second_word_for_a_thing(name: str) -> None:
    text = prose(page(name)).lower()

    assert [word for word in unwanted() if re.search(rf"\b{re.escape(word)}s?\b", text)] == []


# --- Examples -----------------------------------------------------------------------------------

RUN: Final = """
import page
tests = [test for name, test in vars(page).items() if name.startswith("test_")]
assert tests, "the page has no test"
for test in tests:
    test()
"""


@pytest.mark.parametrize("name", ["README.md", "docs/writing-agents.md"])
def test_the_agents_of_a_page_do_what_the_page_says(name: str, tmp_path: Path) -> None:
    blocks = FENCE.findall(page(name))
    code = "\n".join(text for language, text in blocks if language == "python")
    (tmp_path / "page.py").write_text(code, encoding="utf-8")
    (tmp_path / "agents").mkdir()
    policies = [text for language, text in blocks if language == "yaml"]
    (tmp_path / "agents" / "policy.yaml").write_text(policies[0], encoding="utf-8")

    done = subprocess.run(  # noqa: S603 - our own pages
        [sys.executable, "-W", "error", "-c", RUN],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", pages())
def test_python_on_a_page_is_python(name: str) -> None:
    for language, text in FENCE.findall(page(name)):
        if language == "python":
            ast.parse(text)


# --- The project stands alone -------------------------------------------------------------------


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_tracked_file_names_a_registry_or_a_place_of_this_machine() -> None:
    here = [str(ROOT)] if len(ROOT.parts) > 2 else []
    banned = [word.encode() for word in (*REGISTRIES, OUT_OF_THE_CHECKOUT, *here)]

    found = {
        f"{path.relative_to(ROOT)}: {word.decode()}"
        for path in tracked()
        if path.is_file() and path.suffix not in {".whl", ".png"}
        for word in banned
        if word in path.read_bytes()
    }

    assert found == set()
