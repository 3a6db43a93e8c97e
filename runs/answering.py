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
from policy.core.rules.approvals import ApprovalTerms
from policy.provenance import Answer
from policy.provenance.answers import Checked, Rules, check, has_links, hosts_in, ids_in
from runs import guarding
from runs.agents.program import Program
from runs.asking.told import TOO_LONG, background_of
from runs.core.checkpoint import Checkpoint
from runs.core.effects import Recorded, corrections
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
) -> tuple[Commit, guarding.Asks | None]:
    """Merge a super-step's results; an answer leaves as the tenant's settings say.

    `heard` is what its tasks were told, those that were executed here. Gives what a person is to
    be asked, too, if anything.
    """
    commit = reconcile(
        program.graph,
        checkpoint,
        results,
        leave=guarding.leave(claimed),
        ends_exhausted=program.on_exhausted == "cancel",
        corrections=corrections(claimed.ledger),
    )
    if not isinstance(commit, Advance) or not commit.ended or commit.output is None:
        return commit, None
    rules = shell.world.answer_rules(claimed)
    checked = _checked(shell, claimed, program, commit.output, heard, rules)
    row = guarding.asked(claimed, guarding.ANSWER)
    if row is not None and row.approval != "open":  # whatever the settings say by now
        return _decided(claimed, commit, row, checked, rules), None
    if checked.withheld(rules) or (row is None and not checked.asked_about(rules)):
        return _judged(commit, checked, rules), None
    waits = Suspend(state=RunState.INTERRUPTED, reason=Reason.APPROVAL, due_at=None)
    if row is not None:
        return waits, None
    return waits, _asks(claimed, commit, checked, shell.world.policy(claimed).answers)


def _asks(
    claimed: Claimed, commit: Advance, checked: Checked, terms: ApprovalTerms
) -> guarding.Asks:
    """Ask whether an answer may leave. What is redacted is redacted before anybody sees it."""
    told = checked.told()
    return guarding.Asks(
        task=guarding.ANSWER,
        name=guarding.ANSWER,
        kind="answer",
        digest=_named(claimed, commit),
        request={"answer": checked.value, "found": told},
        reason=f"May this answer leave? It holds {', '.join(told)}"[:450],
        terms=terms,
    )


def _named(claimed: Claimed, commit: Advance) -> str:
    return digest(guarding.ANSWER, claimed.lease.run_id, commit.output)


def _decided(
    claimed: Claimed, commit: Advance, row: Recorded, checked: Checked, rules: Rules
) -> Commit:
    """Let leave what a person was shown, or what they gave in its place; or nothing."""
    shown = row.approval_arguments or {}
    by = {"found": shown.get("found", {}), "by": row.approval_by}
    if row.approval == "responded":
        return replace(commit, output=row.approval_result, told=(("answer.checked", by),))
    if row.approval != "approved":
        return _withheld(guarding.refusal(row, "may leave"))
    if checked.withheld(rules):
        return _judged(commit, checked, rules)
    if row.digest != _named(claimed, commit) or "answer" not in shown:
        return _withheld("it is another answer than the one that was approved")
    return replace(commit, output=shown["answer"], told=(("answer.checked", by),))


def _withheld(why: str) -> Fail:
    detail = f"the answer was withheld: {why}"[:500]
    return Fail(error_class=ErrorClass.POLICY_DENIED, detail=detail)


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
        return _withheld(", ".join(told))
    return replace(commit, output=checked.value, told=(("answer.checked", {"found": told}),))
