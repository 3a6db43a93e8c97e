"""A super-step's end, and where it is the run's: its answer looked through before it leaves.

The answer is what a run gives to whoever started it: a caller, a parent, a question. The state
and the ledger keep what the agent wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from policy.core.json import Json, digest
from policy.core.outcomes import ErrorClass
from policy.core.provenance import Label
from policy.provenance import Answer
from policy.provenance.answers import Checked, Rules, check, has_links, hosts_in, ids_in
from runs import guarding
from runs.agents.program import Program
from runs.asking.told import TOO_LONG, background_of
from runs.core.checkpoint import Checkpoint
from runs.core.effects import corrections
from runs.core.lifecycle import Reason, RunState
from runs.core.reconcile import Advance, Commit, Fail, Suspend, reconcile
from runs.core.results import TaskResult
from runs.ports import Claimed
from runs.shell import Shell

ELSEWHERE: Final = Answer(place="", name="another task", label=Label.EARLIER, value=TOO_LONG)


def reconciled(
    shell: Shell,
    claimed: Claimed,
    program: Program,
    checkpoint: Checkpoint,
    results: Mapping[str, TaskResult],
    heard: Sequence[Answer],
) -> Commit:
    """Merge a super-step's results; an answer leaves as the tenant's settings say.

    `heard` is what its tasks were told, those that were executed here.
    """
    commit = reconcile(
        program.graph,
        checkpoint,
        results,
        leave=guarding.leave(claimed),
        corrections=corrections(claimed.ledger),
    )
    if not isinstance(commit, Advance) or not commit.ended or commit.output is None:
        return commit
    rules = shell.world.answer_rules(claimed)
    checked = _checked(shell, claimed, program, commit.output, heard, rules)
    if checked.asked_about(rules) and not checked.withheld(rules):
        return _asked(shell, claimed, commit, checked)
    return _judged(commit, checked, rules)


def _asked(shell: Shell, claimed: Claimed, commit: Advance, checked: Checked) -> Commit:
    """Hold an answer until a person lets it leave, gives another, or refuses it.

    What is redacted is redacted before they see it, and in what leaves.
    """
    told = checked.told()
    named = digest(guarding.ANSWER, claimed.lease.run_id, commit.output)
    row = guarding.asked(claimed, guarding.ANSWER)
    if row is None:
        request = {"answer": checked.value, "found": told}
        why = f"May this answer leave? It holds {', '.join(told)}"[:450]
        asks = guarding.Asks(guarding.ANSWER, guarding.ANSWER, "answer", named, request, why)
        guarding.put(shell.store, claimed, asks, shell.mint)
    if row is None or row.approval == "open":
        return Suspend(state=RunState.INTERRUPTED, reason=Reason.APPROVAL, due_at=None)
    by = {"found": told, "by": row.approval_by}
    if row.approval == "responded":
        return replace(commit, output=row.approval_result, told=(("answer.checked", by),))
    if row.approval == "approved" and row.digest == named:
        return replace(commit, output=checked.value, told=(("answer.checked", by),))
    detail = f"the answer was withheld: {guarding.refusal(row)}"
    return Fail(error_class=ErrorClass.POLICY_DENIED, detail=detail[:500])


def _checked(
    shell: Shell,
    claimed: Claimed,
    program: Program,
    output: Json,
    heard: Sequence[Answer],
    rules: Rules,
) -> Checked:
    hosts: set[str] | None = None
    if has_links(output):
        of_others = any(row.effect for row in claimed.ledger if row.place.task in claimed.kept)
        more = [*heard, ELSEWHERE] if of_others else list(heard)
        known = background_of(shell, claimed.lease, program, more)
        hosts = hosts_in(known.trusted_values()) if known.tainted else None
    ids = ids_in(output)
    foreign = shell.world.foreign(claimed.lease.tenant_id, ids) if ids else set()
    return check(output, rules, hosts=hosts, foreign=foreign)


def _judged(commit: Advance, checked: Checked, rules: Rules) -> Commit:
    if not checked.found:
        return commit
    told = checked.told()
    if checked.withheld(rules):
        listed = ", ".join(told)
        return Fail(
            error_class=ErrorClass.POLICY_DENIED, detail=f"the answer was withheld: {listed}"[:500]
        )
    return replace(commit, output=checked.value, told=(("answer.checked", {"found": told}),))
