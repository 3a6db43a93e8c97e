"""How much a model's own confidence is worth, and how unlike its past a call is. Pure.

Both are learnt from calls that people decided: approved as proposed is right; rejected or
edited is wrong. What is learnt is plain JSON, stored by `runs.operations.calibrate`; what
was missed is counted on calls that were not learnt from (each fold judged by the others).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from policy.core.json import Json, JsonObject

FOLDS: Final = 5
FEWEST: Final = 10
"""So many labelled or recorded calls at least, or nothing is learnt."""
UNUSUAL: Final = 4.0
"""The score from which a call counts as unusual where nothing was ever decided as wrong."""
NEVER_SEEN: Final = 6.0
MOST_KINDS: Final = 200
_DOMAIN: Final = re.compile(r"(?:@|//)([\w.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A call, what was measured of it, and what people made of it."""

    id: str
    value: float
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Misses:
    """What a bound would have done to labelled calls that it was not learnt from."""

    bound: float
    wrong_held: int
    wrong_missed: tuple[str, ...]
    right_held: int
    right_passed: int

    def to_json(self) -> JsonObject:
        """Give it as it is printed and stored."""
        return {
            "bound": round(self.bound, 4),
            "labelled": self.wrong_held
            + len(self.wrong_missed)
            + self.right_held
            + self.right_passed,
            "wrong_held": self.wrong_held,
            "wrong_missed": len(self.wrong_missed),
            "right_held": self.right_held,
            "right_passed": self.right_passed,
            "missed": list(self.wrong_missed[:20]),
        }


# --- Confidence: isotonic regression -----------------------------------------------------------


def isotonic(said: Sequence[Labelled]) -> list[list[float]]:
    """Learn how often calls of each stated confidence were right: rising steps [from, share].

    Pool-adjacent-violators: more stated confidence never means less.
    """
    blocks: list[list[float]] = []
    for value, labels in _by_value(said):
        blocks.append([value, float(sum(labels)), float(len(labels))])
        while len(blocks) > 1 and _share(blocks[-2]) >= _share(blocks[-1]):
            _, right, total = blocks.pop()
            blocks[-1][1] += right
            blocks[-1][2] += total
    # One right and one wrong more in each: nothing is ever quite sure from a few calls.
    return [[start, (right + 1) / (total + 2)] for start, right, total in blocks]


def confidence(steps: Sequence[Sequence[float]], said: float) -> float | None:
    """Give how often calls of this stated confidence were right; None where nothing is known."""
    share = steps[0][1] if steps else None
    for start, value in steps:
        if said >= start:
            share = value
    return share


def _by_value(said: Sequence[Labelled]) -> list[tuple[float, list[bool]]]:
    found: dict[float, list[bool]] = {}
    for one in said:
        found.setdefault(one.value, []).append(one.is_right)
    return sorted(found.items())


def _share(block: Sequence[float]) -> float:
    return block[1] / block[2]


def confidence_misses(said: Sequence[Labelled], bound: float) -> Misses:
    """Count what holding below `bound` would have missed, each fold judged by the others."""
    held = {}
    for fold in range(FOLDS):
        steps = isotonic([one for n, one in enumerate(said) if n % FOLDS != fold])
        for one in said[fold::FOLDS]:
            sure = confidence(steps, one.value)
            held[one.id] = sure is None or sure < bound
    return _counted(said, held, bound)


# --- Out of distribution -----------------------------------------------------------------------


def profile(calls: Sequence[JsonObject]) -> JsonObject:
    """Learn what an agent's calls of a tool look like, argument by argument."""
    leaves: dict[str, list[Json]] = {}
    for call in calls:
        for name, value in call.items():
            leaves.setdefault(name, []).append(value)
    return {
        "calls": len(calls),
        "arguments": {name: _learnt(values, len(calls)) for name, values in leaves.items()},
    }


def _learnt(values: Sequence[Json], calls: int) -> JsonObject:
    kinds = Counter(_kind(value) for value in values)
    learnt: dict[str, Any] = {"kinds": sorted(kinds), "always": len(values) == calls}
    numbers = [float(v) for v in values if _kind(v) == "number"]
    if numbers:
        learnt["number"] = _spread(numbers)
    texts = [v for v in values if isinstance(v, str)]
    if texts:
        learnt["length"] = _spread([math.log1p(len(text)) for text in texts])
        domains = {domain for text in texts for domain in _domains(text)}
        learnt["domains"] = sorted(domains)[:MOST_KINDS]
        different = set(texts)
        # A word that comes again and again is a choice; texts that are all different are not.
        if len(different) <= min(MOST_KINDS, len(texts) // 3):
            learnt["words"] = sorted(different)
    lists = [v for v in values if isinstance(v, list)]
    if lists:
        learnt["items"] = _spread([float(len(v)) for v in lists])
        domains = {d for v in lists for item in v if isinstance(item, str) for d in _domains(item)}
        learnt["domains"] = sorted({*learnt.get("domains", ()), *domains})[:MOST_KINDS]
    return learnt


def _spread(values: Sequence[float]) -> list[float]:
    """Give the middle, and what counts as one step away from it (robust; never 0)."""
    middle = median(values)
    away = 1.4826 * median([abs(value - middle) for value in values])
    widest = max(abs(value - middle) for value in values)
    return [middle, max(away, widest / 4, abs(middle) * 0.05, 1e-9)]


def unusual(known: Mapping[str, Any], arguments: JsonObject) -> tuple[float, list[str]]:
    """Score how unlike what was learnt a call is, and say why; the worst argument counts."""
    found = [
        *(_strange(name, value, known["arguments"].get(name)) for name, value in arguments.items()),
        *(
            (NEVER_SEEN, f"{name} is missing, and never was before")
            for name, learnt in known["arguments"].items()
            if learnt["always"] and name not in arguments
        ),
    ]
    worst = max((score for score, _ in found), default=0.0)
    reasons = [why for score, why in sorted(found, reverse=True) if why and score >= UNUSUAL / 2]
    return round(worst, 3), reasons[:5]


def _strange(name: str, value: Json, learnt: Mapping[str, Any] | None) -> tuple[float, str]:
    if learnt is None:
        return NEVER_SEEN, f"{name} was never given before"
    kind = _kind(value)
    if kind not in learnt["kinds"]:
        return NEVER_SEEN, f"{name} was never {kind} before"
    texts = [value] if isinstance(value, str) else [v for v in _listed(value) if isinstance(v, str)]
    if new := {d for text in texts for d in _domains(text)} - {*learnt.get("domains", ())}:
        return NEVER_SEEN, f"{name} goes to {', '.join(sorted(new)[:3])}, never seen before"
    return _odd(name, value, learnt)


def _odd(name: str, value: Json, learnt: Mapping[str, Any]) -> tuple[float, str]:
    """Score a value of a kind that is known."""
    match value:
        case int() | float() if not isinstance(value, bool):
            usual = f"{name} is {value:g}; usual is about {learnt['number'][0]:g}"
            return _far(float(value), learnt["number"]), usual
        case str() if "words" in learnt:
            is_new = value not in learnt["words"]
            return NEVER_SEEN * is_new, f"{name} was never {value[:40]!r} before" * is_new
        case str():
            score = _far(math.log1p(len(value)), learnt["length"])
            return score, f"{name} is of an unusual length: {len(value)} characters"
        case list() | tuple():
            score = _far(float(len(value)), learnt["items"])
            return score, f"{name} has an unusual number of items: {len(value)}"
        case _:
            return 0.0, ""


def _far(value: float, spread: Sequence[float]) -> float:
    middle, step = spread
    return min(abs(value - middle) / step, 99.0)


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "list"
    return "nothing" if value is None else "object"


def _listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list | tuple) else ()


def _domains(text: str) -> list[str]:
    return [found.lower().rstrip(".") for found in _DOMAIN.findall(text)]


def best_bound(scores: Sequence[Labelled]) -> float:
    """Choose the bound that tells right from wrong best; without wrong ones, the careful default.

    Of bounds that tell equally well, the lower: it holds more.
    """
    wrong = [one.value for one in scores if not one.is_right]
    right = [one.value for one in scores if one.is_right]
    if not wrong or not right:
        return max(UNUSUAL, sorted(right)[int(len(right) * 0.99)] * 1.01 if right else UNUSUAL)
    tells = {
        bound: sum(v >= bound for v in wrong) / len(wrong)
        - sum(v >= bound for v in right) / len(right)
        for bound in sorted({*wrong, UNUSUAL})
        if bound > 0
    }
    return max(tells, key=lambda bound: (tells[bound], -bound)) if tells else UNUSUAL


def unusual_misses(
    right: Sequence[tuple[str, JsonObject]], wrong: Sequence[tuple[str, JsonObject]]
) -> tuple[JsonObject, float, Misses]:
    """Learn from calls that were right; give the profile, the bound, and what both would miss."""
    scores: list[Labelled] = []
    held: dict[str, bool] = {}
    for fold in range(FOLDS):
        learnt = profile([call for n, (_, call) in enumerate(right) if n % FOLDS != fold])
        judged = [(one, True) for one in right[fold::FOLDS]]
        judged += [(one, False) for one in wrong[fold::FOLDS]]
        scores += [
            Labelled(id=key, value=unusual(learnt, call)[0], is_right=is_right)
            for (key, call), is_right in judged
        ]
    for fold in range(FOLDS):
        bound = best_bound([one for n, one in enumerate(scores) if n % FOLDS != fold])
        held |= {one.id: one.value >= bound for one in scores[fold::FOLDS]}
    bound = best_bound(scores)
    return profile([call for _, call in right]), bound, _counted(scores, held, bound)


def _counted(labelled: Sequence[Labelled], held: Mapping[str, bool], bound: float) -> Misses:
    wrong = [one for one in labelled if not one.is_right]
    right = [one for one in labelled if one.is_right]
    return Misses(
        bound=bound,
        wrong_held=sum(held[one.id] for one in wrong),
        wrong_missed=tuple(one.id for one in wrong if not held[one.id]),
        right_held=sum(held[one.id] for one in right),
        right_passed=sum(not held[one.id] for one in right),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What triggers compare a call with: what was learnt, and how far budgets are used up."""

    steps: Sequence[Sequence[float]] = ()
    profile: Mapping[str, Any] | None = None
    unusual_from: float = UNUSUAL
    budget_used: float | None = None

    def signals(self, measured: Mapping[str, Any], arguments: JsonObject) -> dict[str, Any]:
        """Give everything that triggers look at, for the record too."""
        found = dict(measured)
        if (said := measured.get("said_confidence")) is not None:
            # Uncalibrated, the model's own word is all there is.
            found["confidence"] = confidence(self.steps, said) if self.steps else said
        if self.profile is not None:
            found["unusual"], found["unusual_because"] = unusual(self.profile, arguments)
            found["unusual_from"] = self.unusual_from
        if self.budget_used is not None:
            found["budget_used"] = round(self.budget_used, 4)
        return found
