from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.http import a_client


@pytest.fixture(scope="module")
def schema() -> Any:
    GENERATOR_STATS.reset()
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


def test_the_description_is_valid_and_made_without_a_warning(schema: Any) -> None:
    validate_schema(schema)  # type: ignore[no-untyped-call]

    assert schema["openapi"] == "3.1.1"
    assert not GENERATOR_STATS


def test_every_operation_describes_its_answers_and_problems(schema: Any) -> None:
    for path, methods in schema["paths"].items():
        if path.startswith("/api/v1/health"):
            continue
        for method, operation in methods.items():
            good = [status for status in operation["responses"] if status.startswith("2")]
            assert good, (method, path)
            for status in ("401", "404", "503", *(("409", "422") if method == "post" else ())):
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"], (method, path, status)
            assert operation["security"] == [{"apiKey": []}]


ASKING = {"/api/v1/policies/explain"}
"""What is asked by POST and changes nothing."""


def test_every_post_asks_for_an_idempotency_key(schema: Any) -> None:
    for path, methods in schema["paths"].items():
        if "post" in methods:
            given = methods["post"].get("parameters", [])
            needed = {p["name"] for p in given if p.get("required")}
            assert ("Idempotency-Key" in needed) is (path not in ASKING), path


def test_schema_and_docs_are_served_from_here() -> None:
    assert a_client().get("/api/schema").status_code == 200
    page = a_client().get("/api/docs")
    assert page.status_code == 200
    assert b"https://" not in page.content.replace(b"https://swagger.io", b"")
