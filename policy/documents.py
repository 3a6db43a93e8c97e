"""Policies as people write them: YAML or JSON, read strictly.

rules:
  - name: small refunds
    decision: allow              # or deny, or require_approval
    tools: payments.refund       # a pattern, like payments.*; default *
    agents: refunds              # a pattern; default *
    effects: [idempotent, once]  # default: any; so are the other selectors:
    risks: [low, medium]         # of the tool
    egress: false                # does it send data out?
    reversible: true             # can it be undone?
    arguments: {currency: EUR}   # see policy.selecting
    principals: ["svc-*"]        # names or ids of who started the run
    roles: [operator]            # one of them
    scopes: [crm:write]          # all of them
    agent_versions: ["3*"]
    autonomy: [act]
    tenants: [acme]              # for documents that several tenants share
    environments: [production]
    times: [{days: [mon, fri], from: "09:00", to: "17:00", zone: Europe/Berlin}]
    cost: {at_most: 1}           # of this call; `spent` and `calls` are the run's
    tainted: false               # has the run read what a stranger may have written?
    trusted: [to, args.cc]       # those of them that are given stand in trusted sources
    untrusted: [text]            # any of them does not (see docs/provenance.md)
    when: args.amount <= 100     # CEL, see policy.conditions
    priority: 10                 # higher is asked first; default 0, then as written
    reason: refunds up to 100 are routine
    expires_after: 24h           # how long a person has (s, m, h, d)
    approval:                    # who decides, see docs/approvals.md; everything may be left out
      groups: [finance]          # reviewer groups; default: every reviewer
      owners: [ada]              # principals by name
      quorum: 2                  # so many different people approve; default 1
      four_eyes: true            # two at least, and not whoever edited the call
      on_timeout: reject         # or escalate, or approve (low risk only)
      escalate:                  # who may decide, too, so long after asking
        - {after: 30m, groups: [finance-leads]}
      hold_if:                   # holds what an allowing rule allows
        {irreversible: true, confidence: 0.8, out_of_distribution: true, money: 500,
         people: 10, taint: true, budget: 0.9}
answers:                         # of answers that the tenant holds; may be left out
  expires_after: 4h              # default 7d
  approval: {groups: [privacy]}  # as of a rule
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from policy import conditions
from policy.approving import AnswersDocument, ApprovalDocument, Name, Wait, said_duration
from policy.core.rules.approvals import ApprovalTerms
from policy.core.rules.decide import Decision, Policy, Rule
from policy.errors import InvalidPolicy
from policy.selecting import STRUCTURED, Selecting, trimmed

SHIPPED: Final = Path(__file__).parent
LARGEST: Final = 256 * 1024
MOST_RULES: Final = 500
STORED: Final = {"stored": True}
"""The context in which stored rules are read: their conditions were compiled before."""
DEFAULT_WAIT: Final = ApprovalTerms().expires_after
NOT_SAID: Final = AnswersDocument()


Pattern = Annotated[
    str,
    BeforeValidator(lambda given: " ".join(map(str, given)) if isinstance(given, list) else given),
    StringConstraints(max_length=200, pattern=r"^[\w.\-*?\[\]!]+( [\w.\-*?\[\]!]+)*$"),
]
Text = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]


class RuleDocument(Selecting):
    """One rule as it is written."""

    name: Name
    decision: Decision
    tools: Pattern = "*"
    agents: Pattern = "*"
    when: str = ""
    priority: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)] = 0
    reason: Text = ""
    expires_after: Wait = DEFAULT_WAIT
    approval: ApprovalDocument = ApprovalDocument()

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str, info: ValidationInfo) -> str:
        if value and info.context != STORED:
            try:
                conditions.compiled(value)
            except InvalidPolicy as error:
                raise ValueError(error.detail) from error
        return value

    def written(self) -> dict[str, Any]:
        """Give it as it would be written: what differs from the defaults, in plain values."""
        given = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if "expires_after" in given:
            given["expires_after"] = said_duration(self.expires_after)
        if "approval" in given:
            given["approval"] = self.approval.written()
        given |= {name: trimmed(getattr(self, name)) for name in STRUCTURED if name in given}
        return {"name": self.name, "decision": self.decision.value, **given}

    def terms(self) -> ApprovalTerms:
        """Give what the rule asks of the people who decide."""
        return self.approval.terms(self.expires_after)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: Annotated[tuple[RuleDocument, ...], Field(max_length=MOST_RULES)]
    answers: AnswersDocument = NOT_SAID


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """Rules that can be stored and used, in the order they were written."""

    rules: tuple[RuleDocument, ...]
    answers: AnswersDocument = NOT_SAID

    def compiled(self) -> list[Rule]:
        """Give the rules as they are judged by."""
        return [compiled(position, rule) for position, rule in enumerate(self.rules)]

    def policy(self, version: str) -> Policy:
        """Give it as calls and answers are judged by it."""
        return Policy.of(version, self.compiled(), self.answers.terms())

    def written(self) -> dict[str, Any]:
        """Give it as it would be written, in plain values."""
        answers = self.answers.written()
        rules = [rule.written() for rule in self.rules]
        return {"rules": rules, **({"answers": answers} if answers else {})}

    def text(self) -> str:
        """Write it as YAML, from which `read` makes the same again."""
        return yaml.dump(
            self.written(),
            Dumper=_ExactDumper,
            sort_keys=False,
            allow_unicode=True,
            width=100,
        )


def named(name: str) -> Policy:
    """Give a policy that is shipped under a name (`default`), or that a file holds.

    Raises:
        InvalidPolicy: there is none, or it cannot be used.
    """
    path = SHIPPED / f"{name}.yaml" if re.fullmatch(r"[a-z]+", name) else Path(name)
    try:
        source = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InvalidPolicy(f"there is no policy {name!r}: give `default` or a file") from error
    return read(source).policy(name)


def read(source: str | bytes | Mapping[str, Any]) -> PolicyDocument:
    """Read a policy document.

    Raises:
        InvalidPolicy: it cannot be used; its pointer names the first part that is wrong.
    """
    raw = dict(source) if isinstance(source, Mapping) else _parsed(source)
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidPolicy(_said(first["msg"]), _pointer(first["loc"])) from error
    seen: set[str] = set()
    for position, rule in enumerate(document.rules):
        if rule.name in seen:
            raise InvalidPolicy(f"two rules are named {rule.name!r}", f"/rules/{position}/name")
        seen.add(rule.name)
    return PolicyDocument(document.rules, document.answers)


class _ExactDumper(yaml.SafeDumper):
    """YAML that reads back letter by letter: unusual line breaks are escaped, not folded."""


def _exact(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & set("\x85\u2028\u2029\ufeff") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ExactDumper.add_representer(str, _exact)


def _parsed(source: str | bytes) -> Any:
    if len(source) > LARGEST:
        raise InvalidPolicy(f"a policy document is {LARGEST} bytes long at most")
    try:
        text = source if isinstance(source, str) else source.decode()
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=_once_each)
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidPolicy(f"neither YAML nor JSON: {_said(str(error))}") from error
    except RecursionError:
        raise InvalidPolicy("nested too deeply") from None


def _once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is given twice")
        found[key] = value
    return found


class _StrictLoader(yaml.SafeLoader):
    """YAML without aliases, which can grow without bound, and with each key once."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed in a policy")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key!r} is given twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def compiled(position: int, rule: RuleDocument) -> Rule:
    """Give a rule as it is judged by. A condition that does not compile never tells."""
    return Rule(
        name=rule.name,
        decision=rule.decision,
        tools=rule.tools,
        agents=rule.agents,
        effects=frozenset(rule.effects),
        selectors=rule.selectors(),
        condition=conditions.usable(rule.when) if rule.when else None,
        expression=rule.when,
        clauses=conditions.clauses(rule.when) if rule.when else (),
        priority=rule.priority,
        position=position,
        reason=rule.reason,
        terms=rule.terms(),
    )


def _pointer(place: Iterable[int | str]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace("\n", " ")[:300]
