"""The guides that are made from the schema and from the API say what these say now."""

from __future__ import annotations

import re

import pytest

from ops import api_guide, database_guide
from tests.fixtures.guides import anchors

PAGES = {"database": database_guide, "api": api_guide}


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_guide_is_what_it_is_made_from(name: str) -> None:
    guide = PAGES[name]
    assert guide.PAGE.read_text(encoding="utf-8") == guide.page(), f"Run: python -m ops.{name}_guide"


def test_every_table_and_view_says_what_it_is_for() -> None:
    schema = database_guide.SCHEMA.read_text(encoding="utf-8")
    made = set(re.findall(r"^CREATE (?:UNLOGGED )?(?:TABLE|VIEW) public\.(\w+)", schema, re.MULTILINE))
    assert len(made) > 60
    sections = re.findall(r"^## (\w+)\n\n(.+)$", database_guide.page(), re.MULTILINE)
    assert {name for name in made if not name.endswith("_default")} == {name for name, _ in sections}
    assert [name for name, said in sections if len(said) < 20] == []


def test_every_law_of_the_database_stands_in_its_guide() -> None:
    schema, page = database_guide.SCHEMA.read_text(encoding="utf-8"), database_guide.page()
    named = set(re.findall(r"^    CONSTRAINT (\w+) CHECK", schema, re.MULTILINE))
    assert len(named) > 100
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_every_operation_and_every_type_that_is_named_has_a_section() -> None:
    page = api_guide.page()
    assert len(re.findall(r"^### (?:GET|POST|PUT|PATCH|DELETE|HEAD) /", page, re.MULTILINE)) > 100
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors(page)
