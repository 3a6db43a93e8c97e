"""What a release before would not get any more is named, with the cure; what is added is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentops.releases.compare import differences
from agentops.releases.reading import FILE, newest_release
from agentops.releases.record import Column, Record, Rule, Signature, Table, Task

STATES = "CHECK (((state)::text = ANY ((ARRAY[{}])::text[])))"
CONSTANT = "CHECK (((state)::text = ANY ('{{{}}}'::text[])))"
TWO = "CHECK (((state = ANY ('{open,done}'::text[])) AND (state = ANY ('{open}'::text[]))))"
NOT_STATES = "CHECK ((NOT ((state)::text = ANY ((ARRAY[{}])::text[]))))"


def words(*names: str) -> str:
    return ", ".join(f"'{name}'::character varying" for name in names)


KNOWN = Rule(definition=STATES.format(words("open", "done")), columns=("state",))
CLAIM = Signature(needs=("uuid", "text"), takes=("integer",), gives="jsonb")
RUNS = Table(
    columns={
        "id": Column(type="uuid", is_needed=True),
        "state": Column(type="character varying(10)", is_needed=True, has_default=True),
        "seen": Column(type="integer"),
    },
    rules={"state_is_known": KNOWN},
    app_may=("INSERT", "SELECT"),
)
ADVANCE = Task(queue="runs", needs=("run",), takes=("task",), ignores_others=True)
STRICT = Task(queue="asides", needs=("row",))
BEFORE = Record(
    release="1.0.0",
    checkpoint=2,
    tasks={"advance": ADVANCE, "strict": STRICT},
    functions={"claim": (CLAIM,)},
    tables={"runs": RUNS},
)


def with_claim(*ways: Signature) -> Record:
    return replace(BEFORE, functions={"claim": ways})


def with_table(table: Table) -> Record:
    return replace(BEFORE, tables={"runs": table})


def with_column(name: str, column: Column) -> Record:
    return with_table(replace(RUNS, columns={**RUNS.columns, name: column}))


def with_rule(name: str, rule: Rule, **columns: Column) -> Record:
    return with_table(
        replace(
            RUNS, columns={**RUNS.columns, **columns}, rules={"state_is_known": KNOWN, name: rule}
        )
    )


def with_task(name: str, task: Task) -> Record:
    return replace(BEFORE, tasks={**BEFORE.tasks, name: task})


MORE = Signature(needs=("uuid", "text", "text"), gives="jsonb")
OPTIONAL = Column(type="text")
FRESH = Rule(definition="CHECK ((fresh > 0))", columns=("fresh",), takes_defaults=True)
UNIQUE = Rule(definition="UNIQUE (state, fresh)", columns=("state", "fresh"))
ADDED = {
    "a way to call beside the old one": with_claim(CLAIM, MORE),
    "one more optional argument": with_claim(replace(CLAIM, takes=("integer", "text"))),
    "an argument that becomes optional": with_claim(
        Signature(needs=("uuid",), takes=("text", "integer"), gives="jsonb")
    ),
    "a column that may be NULL": with_column("fresh", OPTIONAL),
    "a column with a default": with_column(
        "fresh", Column(type="text", is_needed=True, has_default=True)
    ),
    "a wider column": with_column("seen", Column(type="bigint")),
    "a longer text": with_column(
        "state", Column(type="character varying(20)", is_needed=True, has_default=True)
    ),
    "a text without end": with_column("state", Column(type="text", has_default=True)),
    "a table": replace(BEFORE, tables={"runs": RUNS, "more": RUNS}),
    "one more word": with_rule(
        "state_is_known", Rule(definition=STATES.format(words("open", "done", "late")))
    ),
    "the same words as one constant": with_rule(
        "state_is_known", Rule(definition=CONSTANT.format('done,"",open'))
    ),
    "a rule less": with_table(replace(RUNS, rules={})),
    "a rule by another name": with_table(replace(RUNS, rules={"renamed": KNOWN})),
    "a check of a new column that its default keeps": with_rule("fresh", FRESH, fresh=OPTIONAL),
    "a unique pair with a new column that may be NULL": with_rule("pair", UNIQUE, fresh=OPTIONAL),
    "a keyword to a task that ignores others": with_task(
        "advance", replace(ADVANCE, takes=("task", "hint"))
    ),
    "a task with a queue of its own": with_task("new", Task(queue="new", needs=())),
}
TAKEN = {
    "the function claim": (replace(BEFORE, functions={}), "function claim("),
    "an argument of claim": (with_claim(Signature(needs=("uuid",), gives="jsonb")), "keep it"),
    "an argument more": (with_claim(MORE), "keep it beside the new one"),
    "another type": (with_claim(replace(CLAIM, needs=("uuid", "integer"))), "function claim("),
    "another result": (with_claim(replace(CLAIM, gives="text")), "function claim("),
    "a table": (replace(BEFORE, tables={}), "table runs is gone"),
    "a column": (
        with_table(replace(RUNS, columns={"id": RUNS.columns["id"]}, rules={})),
        "column runs.state is gone",
    ),
    "a new column without default": (
        with_column("fresh", Column(type="text", is_needed=True)),
        "new column runs.fresh is NOT NULL without a default",
    ),
    "NULL": (with_column("seen", Column(type="integer", is_needed=True)), "seen is NOT NULL now"),
    "NULL, though there is a default": (
        with_column("seen", Column(type="integer", is_needed=True, has_default=True)),
        "seen is NOT NULL now",
    ),
    "a default": (
        with_column("state", Column(type="character varying(10)", is_needed=True)),
        "state has no default any more",
    ),
    "a narrower column": (with_column("seen", Column(type="smallint")), "was integer"),
    "a shorter text": (
        with_column("state", Column(type="character varying(9)", has_default=True)),
        "was character varying(10)",
    ),
    "a new check": (
        with_rule("seen_is", Rule(definition="CHECK ((seen > 0))", columns=("seen",))),
        "rule seen_is of runs may refuse",
    ),
    "a word less": (
        with_rule("state_is_known", Rule(definition=STATES.format(words("open")))),
        "rule state_is_known of runs may refuse",
    ),
    "a word less, as one constant": (
        with_rule("state_is_known", Rule(definition=CONSTANT.format("open"))),
        "rule state_is_known of runs may refuse",
    ),
    "a second list of words": (
        with_rule("state_is_known", Rule(definition=TWO)),
        "rule state_is_known of runs may refuse",
    ),
    "the words of another column": (
        with_rule(
            "state_is_known",
            Rule(definition=CONSTANT.format("open,done").replace("state", "seen")),
        ),
        "rule state_is_known of runs may refuse",
    ),
    "a new check that the default of its column breaks": (
        with_rule("fresh", replace(FRESH, takes_defaults=False), fresh=OPTIONAL),
        "rule fresh of runs may refuse",
    ),
    "a new check of an old and a new column": (
        with_rule("both", replace(FRESH, columns=("seen", "fresh")), fresh=OPTIONAL),
        "rule both of runs may refuse",
    ),
    "a unique column": (
        with_rule("once", Rule(definition="UNIQUE (state)", columns=("state",))),
        "rule once of runs may refuse",
    ),
    "a trigger": (
        with_rule("still", Rule(definition="CREATE TRIGGER still BEFORE UPDATE ON runs")),
        "rule still of runs may refuse",
    ),
    "a grant": (with_table(replace(RUNS, app_may=("SELECT",))), "the app role may not INSERT"),
    "a task": (replace(BEFORE, tasks={"strict": STRICT}), "task advance is gone"),
    "a keyword that a new task wants": (
        with_task("advance", replace(ADVANCE, needs=("run", "more"))),
        "a message of before is refused: task advance wants more",
    ),
    "a keyword that new messages may lack": (
        with_task("advance", Task(queue="runs", needs=(), takes=("run", "task"))),
        "a worker of before refuses: task advance wants run",
    ),
    "a keyword that an old task does not know": (
        with_task("strict", replace(STRICT, takes=("hint",))),
        "a worker of before refuses: task strict does not know hint",
    ),
    "a keyword that a new task does not know": (
        with_task("advance", Task(queue="runs", needs=("run",))),
        "a message of before is refused: task advance does not know task",
    ),
    "a queue": (with_task("advance", replace(ADVANCE, queue="fast")), "from the queue runs"),
    "messages of a task that only new workers know": (
        with_task("new", Task(queue="runs", needs=())),
        "task new is new, and workers of before throw its messages away",
    ),
    "checkpoints": (replace(BEFORE, checkpoint=3), "checkpoints are of version 3"),
}


@pytest.mark.parametrize("what", ADDED)
def test_what_is_added_is_in_nobodys_way(what: str) -> None:
    assert differences(BEFORE, ADDED[what]) == []


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_taken_away_is_named_with_the_cure(what: str) -> None:
    now, said = TAKEN[what]

    found = differences(BEFORE, now)

    assert any(said in one for one in found), found


def test_more_words_make_a_check_that_excludes_them_tighter() -> None:
    def excluding(*names: str) -> Record:
        return with_rule("not", Rule(definition=NOT_STATES.format(words(*names))))

    assert differences(excluding("open"), excluding("open", "done"))


def test_a_record_is_read_as_it_was_written() -> None:
    read = Record.of(BEFORE.to_json())

    assert read.to_json() == BEFORE.to_json()
    assert read.functions == BEFORE.functions
    assert read.tasks == BEFORE.tasks
    assert read.tables["runs"].columns == RUNS.columns


def test_the_record_is_of_the_newest_release() -> None:
    recorded = Record.of(FILE.read_text("utf-8"))

    assert recorded.release == newest_release(), "run scripts/record_release.py"
