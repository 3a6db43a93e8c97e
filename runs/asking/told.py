"""What a run knows when it asks for something, worked out from its input and its ledger.

Nothing of it is kept but what the process remembers of a run it works on, as a saving: a
replay, another worker or another store comes to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from policy.core.json import Json, JsonObject
from policy.core.provenance import Label
from policy.provenance import Answer, Background, Given, Source
from policy.provenance.targets import leaf_at
from runs.agents.program import Program
from runs.core.effects import EffectKind, EffectState, Place, effect_key
from runs.core.told import Told
from runs.ports import Lease
from runs.shell import Remembered, Shell

MOST_REMEMBERED: Final = 64
"""Runs whose past a process remembers."""

LABELS: Final = {EffectKind.JOIN: Label.CHILD, EffectKind.SIGNAL: Label.SIGNAL}
TOO_LONG: Final = "a result too long to look into: it may say anything"


def background_of(
    shell: Shell, lease: Lease, program: Program, heard: Sequence[Answer]
) -> Background:
    """Give what a run knows: what its past super-steps were told, and then what `heard` says.

    Costs one statement; reads the database, so it is called off the loop.
    """
    known = shell.backgrounds.get(lease.run_id)
    if known is not None and known.upto > lease.super_step:
        known = None
    told = shell.store.read_told(lease, 0 if known is None else known.upto)
    if known is not None and list(map(list, told.skipped)) != list(map(list, known.skipped)):
        known, told = None, shell.store.read_told(lease, 0)
    base = Background(given_of(told, program)) if known is None else known.background.forked()
    _hear(base, lease.run_id, told)
    shell.backgrounds[lease.run_id] = Remembered(
        upto=lease.super_step, skipped=told.skipped, background=base
    )
    while len(shell.backgrounds) > MOST_REMEMBERED:
        shell.backgrounds.popitem(last=False)
    if not heard:
        return base
    now = base.forked()
    for answer in heard:
        now.hear(answer)
    return now


def _hear(base: Background, run_id: str, told: Told) -> None:
    for line in told.effects:
        base.hear(answer_of(run_id, line))
    if not told.is_whole:
        more = Answer(place="", name="more", label=Label.EARLIER, value=TOO_LONG)
        base.hear(more)


def given_of(told: Told, program: Program) -> Given:
    """Say what a run began with, and whether a stranger may have had a hand in it."""
    sources = [Source(label=Label.USER, value=told.given, name="the user's request")]
    if program.prompt:
        sources.append(Source(label=Label.OPERATOR, value=program.prompt, name="the prompt"))
    if told.is_forked:
        why = Source(label=Label.EARLIER, value="", name="the run that this one was forked from")
        return Given(sources=tuple(sources), is_tainted=True, why_tainted=why)
    if not told.is_child:
        return Given(sources=tuple(sources))
    handed = told.handed or {"tainted": True, "trusted": []}
    for pointer in handed["trusted"] or ():
        value = leaf_at(told.own, pointer)
        sources.append(Source(label=Label.USER, value=value, name="handed on by its parent"))
    parent = Source(label=Label.EARLIER, value=told.own, name="what its parent wrote")
    is_tainted = handed["tainted"] is not False
    return Given(
        sources=tuple(sources), is_tainted=is_tainted, why_tainted=parent if is_tainted else None
    )


def answer_of(run_id: str, line: JsonObject) -> Answer:
    """Read a line of the ledger as what the run was told there."""
    kind, state = EffectKind(line["kind"]), line["state"]
    place = Place(line["super_step"], line["task"], line["ordinal"])
    is_tool = kind is EffectKind.TOOL
    label = Label.TRUSTED_TOOL if line["label"] == Label.TRUSTED_TOOL else Label.TOOL
    return Answer(
        place=effect_key(run_id, place),
        name=line["name"],
        label=label if is_tool else LABELS[kind],
        value=TOO_LONG if line["long"] else said(line["outcome"]),
        arguments=line["arguments"] if is_tool else None,
        changes=is_tool and line["effect"] != "read",
        succeeded=state in {EffectState.DONE, EffectState.UNKNOWN},
        was_sent=line["sent"] or not is_tool,
        is_vouched=line["approval"] == "approved",
    )


def said(outcome: Any) -> Json:
    """Give what an outcome tells: its value, or the failure's words."""
    if not isinstance(outcome, Mapping):
        return None
    return outcome.get("value") if "value" in outcome else outcome.get("detail", "")
