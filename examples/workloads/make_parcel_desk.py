"""Write parcel_desk.json: a small workload of our own, for the demo and the tests.

Run from the repository: `python -m examples.workloads.make_parcel_desk`. The domain is
invented: the desk of a parcel service, where customers ask where a parcel is, move it, put it
into a locker, and pay. Each task shows one thing that a run must get right; its comment says
which.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentops.play.records import sha256
from agentops.play.workload import parse

TARGET = Path(__file__).with_name("parcel_desk.json")

Json = dict[str, Any]


def tool(name: str, description: str, kind: str, parameters: Mapping[str, str]) -> Json:
    """Describe a tool; every parameter is required."""
    return {
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": {key: {"type": type_} for key, type_ in parameters.items()},
            "required": list(parameters),
            "additionalProperties": False,
        },
        "kind": kind,
        "mutates_state": kind == "write",
    }


def call(name: str, arguments: Json, result: Any = None, effects: Sequence[Json] = ()) -> Json:
    return {
        "name": name,
        "arguments": arguments,
        "result": result,
        "error": None,
        "effects": list(effects),
    }


def refused(name: str, arguments: Json, error: str) -> Json:
    return {**call(name, arguments), "error": error}


def put(value: Any, *path: str | int) -> Json:
    return {"op": "set", "path": list(path), "value": value}


def drop(*path: str | int) -> Json:
    return {"op": "del", "path": list(path)}


def append(value: Any, *path: str | int) -> Json:
    return {"op": "append", "path": list(path), "value": value}


def inc(delta: float, digits: int, *path: str | int) -> Json:
    return {"op": "inc", "path": list(path), "delta": delta, "digits": digits}


def parcel(number: str, status: str, address: str, **more: Any) -> Json:
    return {"parcels": {number: {"status": status, "address": address, "notes": [], **more}}}


def account(name: str, balance: float) -> Json:
    return {"accounts": {name: {"balance": balance, "charges": []}}}


def charge(name: str, amount: float, reason: str) -> Json:
    """Charge an account: neither of the two effects may happen twice."""
    return call(
        "charge_account",
        {"account": name, "amount": amount, "reason": reason},
        {"charged": amount},
        [
            inc(-amount, 2, "accounts", name, "balance"),
            append({"amount": amount, "reason": reason}, "accounts", name, "charges"),
        ],
    )


def note(number: str, text: str) -> Json:
    effects = [append(text, "parcels", number, "notes")]
    return call("add_note", {"parcel": number, "text": text}, "noted", effects)


def look(number: str, answer: Any) -> Json:
    return call("get_parcel", {"parcel": number}, answer)


TOOLS = [
    tool("find_customer", "Find a customer by e-mail address.", "read", {"email": "string"}),
    tool("get_parcel", "Look up a parcel.", "read", {"parcel": "string"}),
    tool("list_lockers", "List the free lockers of a town.", "read", {"town": "string"}),
    tool("quote", "Work out a price in euros.", "generic", {"weight_kg": "number"}),
    tool(
        "redirect_parcel",
        "Send a parcel to another address.",
        "write",
        {"parcel": "string", "address": "string"},
    ),
    tool("add_note", "Add a note for the driver.", "write", {"parcel": "string", "text": "string"}),
    tool(
        "charge_account",
        "Charge a customer's account.",
        "write",
        {"account": "string", "amount": "number", "reason": "string"},
    ),
    tool("cancel_pickup", "Cancel a booked pickup.", "write", {"parcel": "string"}),
    tool("reserve_locker", "Reserve a locker.", "write", {"parcel": "string", "locker": "string"}),
    tool("hand_over", "Hand the case over to a person.", "generic", {"summary": "string"}),
]
# Nobody says whether reserving a locker changes anything: that follows from its effects.
del TOOLS[8]["mutates_state"]


Task = tuple[str, Any, Json, list[Json]]
"""Id, instructions, records and actions."""


def simple_tasks() -> list[Task]:
    """Read, write one value, do nothing at all."""
    return [
        # only reads
        (
            "where-is-it",
            "Where is my parcel P-1001?",
            parcel("P-1001", "in transit", "Lime Street 4"),
            [look("P-1001", {"status": "in transit", "eta": "tomorrow"})],
        ),
        # one write that sets a value
        (
            "moved-house",
            {"wish": "Send P-1002 to my new flat.", "known": "Elm Road 9, 2nd floor"},
            parcel("P-1002", "at depot", "Lime Street 5"),
            [
                look("P-1002", {"status": "at depot", "address": "Lime Street 5"}),
                call(
                    "redirect_parcel",
                    {"parcel": "P-1002", "address": "Elm Road 9, 2nd floor"},
                    {"address": "Elm Road 9, 2nd floor"},
                    [put("Elm Road 9, 2nd floor", "parcels", "P-1002", "address")],
                ),
            ],
        ),
        # nothing to do at all
        ("just-thanks", "Thank you, my parcel came!", parcel("P-1003", "delivered", "Oak 1"), []),
    ]


def repeated_tasks() -> list[Task]:
    """Do something that would show if it were repeated."""
    return [
        # money: an amount and a list that show every repetition
        (
            "pay-the-rest",
            "Please charge what is left to pay for P-1004 to my account.",
            account("ana", 20.10),
            [
                call("find_customer", {"email": "ana@example.com"}, "ana"),
                call("quote", {"weight_kg": 2.5}, 7.35),
                charge("ana", 7.35, "P-1004"),
            ],
        ),
        # the same write twice, and both are meant
        (
            "two-notes",
            "Write 'ring twice' on P-1005, two times: the driver overlooked it last time.",
            parcel("P-1005", "at depot", "Oak 2"),
            [note("P-1005", "ring twice"), note("P-1005", "ring twice")],
        ),
    ]


def changing_tasks() -> list[Task]:
    """Go round an error, and read what a write changed."""
    return [
        # an error that changes nothing, and the way round it
        (
            "locker-taken",
            "Put P-1006 into locker A1, or whichever is free.",
            {**parcel("P-1006", "at depot", "Oak 3"), "lockers": {"A1": "P-9", "B2": None}},
            [
                refused(
                    "reserve_locker",
                    {"parcel": "P-1006", "locker": "A1"},
                    "LockerTaken: A1 holds another parcel",
                ),
                call("list_lockers", {"town": "Bree"}, ["B2"]),
                call(
                    "reserve_locker",
                    {"parcel": "P-1006", "locker": "B2"},
                    None,
                    [
                        put("P-1006", "lockers", "B2"),
                        put("Locker B2", "parcels", "P-1006", "address"),
                    ],
                ),
            ],
        ),
        # the same read twice, with another answer after the write between
        (
            "before-and-after",
            "Redirect P-1007 to Oak 5 and tell me what it says then.",
            parcel("P-1007", "at depot", "Oak 4"),
            [
                look("P-1007", {"address": "Oak 4"}),
                call(
                    "redirect_parcel",
                    {"parcel": "P-1007", "address": "Oak 5"},
                    {"address": "Oak 5"},
                    [put("Oak 5", "parcels", "P-1007", "address")],
                ),
                look("P-1007", {"address": "Oak 5"}),
            ],
        ),
    ]


def odd_tasks() -> list[Task]:
    """Remove, change nothing, write in any script."""
    return [
        # a write that removes something
        (
            "no-pickup",
            "Cancel the pickup of P-1008.",
            parcel("P-1008", "booked", "Oak 6", pickup={"day": "Monday"}),
            [
                call(
                    "cancel_pickup",
                    {"parcel": "P-1008"},
                    "cancelled",
                    [
                        drop("parcels", "P-1008", "pickup"),
                        put("cancelled", "parcels", "P-1008", "status"),
                    ],
                )
            ],
        ),
        # a call of a writing tool that changes nothing
        (
            "already-there",
            "Make sure that P-1009 goes to Oak 7.",
            parcel("P-1009", "at depot", "Oak 7"),
            [
                call(
                    "redirect_parcel",
                    {"parcel": "P-1009", "address": "Oak 7"},
                    {"address": "Oak 7"},
                )
            ],
        ),
        # text in any script, and an id that is not a word
        (
            "Ünïcode 📦 №10",
            "P-1010 gehört zu 森 — bitte „vorsichtig“ dazuschreiben.",
            parcel("P-1010", "at depot", "Straße 8 ½"),
            [note("P-1010", "vorsichtig: 壊れ物 \u0001 📦")],
        ),
    ]


def long_tasks() -> list[Task]:
    """Do several things in a row, or hand over."""
    return [
        # several writes in a row whose order shows
        (
            "split-the-bill",
            "Charge 0.10 for the box and then 0.20 for the tape to ben's account, then note both.",
            {**account("ben", 0.30), **parcel("P-1011", "packed", "Oak 9")},
            [
                charge("ben", 0.10, "box"),
                charge("ben", 0.20, "tape"),
                note("P-1011", "paid"),
                look("P-1011", {"status": "packed", "notes": ["paid"]}),
            ],
        ),
        # something a person has to take over
        (
            "angry",
            "This is the third time! I want to talk to a person about P-1012.",
            parcel("P-1012", "lost", "Oak 10"),
            [
                look("P-1012", {"status": "lost"}),
                note("P-1012", "customer is upset"),
                call("hand_over", {"summary": "P-1012 is lost"}, "A person takes over."),
            ],
        ),
    ]


def tasks() -> list[Task]:
    """Return every task, in the order in which they are played."""
    return [
        *simple_tasks(),
        *repeated_tasks(),
        *changing_tasks(),
        *odd_tasks(),
        *long_tasks(),
    ]


def workload() -> Json:
    """Return the whole file; the final records follow from the actions."""
    entries = [
        {"id": id_, "user_instructions": said, "actions": actions, "initial_records": records}
        for id_, said, records, actions in tasks()
    ]
    played = parse({"tools": TOOLS, "tasks": entries})
    for entry, task in zip(entries, played.tasks, strict=True):
        entry["final_records"] = task.final_records
        entry["final_sha256"] = sha256(task.final_records)
    return {
        "source": "AgentOps (Apache-2.0)",
        "domain": "parcels",
        "tools": TOOLS,
        "tasks": entries,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(workload(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
