"""The style rules, executable. A rule that must bend names the place where it bends, and why."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from control_plane.database import statements

ROOT = Path(__file__).parents[1]
PROGRAMS = ("control_plane", "agent", "frontends", "ops")
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_MEDIAN = 12
FILE_LINES_MAX = 400
DULL_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "service", "misc", "base"}
LEFT_OPEN = re.compile("|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bX" + r"XX\b", "NotImplemented" + "Error")))
MOCKS = re.compile(r"unittest\.mock|Magic" + r"Mock|monkey" + r"patch\.setattr")
STATEMENT = re.compile(
    r"^\s*(select|insert\s+into|update\s+\w+\s+set|delete\s+from|with\s+\w+\s+as|create|alter|drop|truncate|grant)\b",
    re.IGNORECASE,
)

TALKS_TO_A_PERSON = (
    *("control_plane/cli/", "agent/cli", "agent/models/cli/", "frontends/command_line/", "ops/"),
    *("frontends/bots/cli.py", "frontends/bots/setup/"),
)
READS_THE_ENVIRONMENT = (
    "control_plane/settings.py",
    "control_plane/cli/",
    "agent/cli",
    "agent/__main__.py",
    "frontends/bots/cli.py",
    "agent/engine/choice.py",  # hands it on to ComfyUI, less what is ours
    "ops/",
)
READS_THE_CLOCK = (
    "control_plane/cli/doctor.py",  # compares it with the database's
    "control_plane/authority.py",  # certificates are good from one wall clock to another
    "control_plane/store/folder.py",  # ages of files, which only the file system's clock knows
    "control_plane/store/objects.py",  # likewise of objects: hours matter there, not seconds
)
SPEAKS_SQL = (
    "control_plane/migrate.py",  # makes the table that remembers the migrations
    "control_plane/embedded.py",  # makes roles and the database
)
STARTS_TASKS = {"tasks", "labour", "background", "group", "nursery"}
"""Names of task groups; anything else, asyncio itself above all, would start a task that nobody owns."""


def sources(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts
    )


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Place and length of each function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{place(path)}:{node.lineno} {node.name}", length(node)


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, its docstring not counted."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    said = node.body[0]
    return lines - ((said.end_lineno or 0) - said.lineno + 1 if ast.get_docstring(node) else 0)


def found(rule: Callable[[ast.AST], bool], folders: tuple[str, ...] = PROGRAMS, but: tuple[str, ...] = ()) -> list[str]:
    """Every place where a node breaks the rule."""
    return [
        f"{place(path)}:{getattr(node, 'lineno', 0)}"
        for path in sources(*folders)
        if not place(path).startswith(but)
        for node in ast.walk(tree(path))
        if rule(node)
    ]


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an expression, as far as it is one."""
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def test_the_rules_look_at_something() -> None:
    assert len(sources(*PROGRAMS)) > 60
    assert len(statements()) > 30


def test_a_function_can_be_read_at_once() -> None:
    long = [
        f"{name} ({lines})"
        for path in sources(*PROGRAMS)
        for name, lines in functions(path)
        if lines > FUNCTION_LINES_MAX
    ]
    assert long == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_most_functions_are_short(program: str) -> None:
    assert median(lines for path in sources(program) for _, lines in functions(path)) < FUNCTION_LINES_MEDIAN


def test_a_file_has_one_subject() -> None:
    lines = {place(path): len(path.read_text().splitlines()) for path in sources(*PROGRAMS, "tests")}
    assert {name: count for name, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_every_module_begins_with_what_it_is_about() -> None:
    assert [
        place(path) for path in sources(*PROGRAMS) if path.stat().st_size and not ast.get_docstring(tree(path))
    ] == []


def test_no_module_is_named_after_nothing() -> None:
    assert [place(path) for path in sources(*PROGRAMS) if path.stem in DULL_NAMES] == []


def test_only_command_lines_print() -> None:
    assert found(lambda node: isinstance(node, ast.Call) and dotted(node.func) == "print", but=TALKS_TO_A_PERSON) == []


def test_the_environment_is_read_in_one_place_of_a_program() -> None:
    assert found(lambda node: dotted(node) in {"os.environ", "os.getenv"}, but=READS_THE_ENVIRONMENT) == []


def test_the_clock_of_the_database_is_the_only_wall_clock() -> None:
    clocks = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
    broken = found(
        lambda node: isinstance(node, ast.Call) and dotted(node.func).removeprefix("datetime.datetime.") in clocks,
        ("control_plane",),
        but=READS_THE_CLOCK,
    )
    assert broken == []


def test_sql_lives_in_sql_files() -> None:
    broken = found(
        lambda node: (
            isinstance(node, ast.Call)
            and any(
                isinstance(argument, ast.Constant)
                and isinstance(argument.value, str)
                and STATEMENT.match(argument.value)
                for argument in node.args[:2]
                if dotted(node.func).endswith((".execute", ".SQL", ".executemany"))
            )
        ),
        ("control_plane", "agent", "frontends"),
        but=SPEAKS_SQL,
    )
    assert broken == []


def test_every_task_has_an_owner() -> None:
    def orphan(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            return False
        owner, _, verb = dotted(node.func).rpartition(".")
        if verb in {"run_coroutine_threadsafe", "gather"}:
            return True
        return verb == "create_task" and owner.rpartition(".")[2].lstrip("_") not in STARTS_TASKS

    assert found(orphan) == []


def test_every_query_says_what_it_does_and_is_used() -> None:
    code = "\n".join(path.read_text() for path in sources("control_plane"))
    silent = [name for name, (_, text) in statements().items() if not re.match(r"-- \w", text)]
    unused = [name for name in statements() if f'"{name}"' not in code]
    assert (silent, unused) == ([], [])


def test_nothing_is_left_open() -> None:
    files = [*sources(*PROGRAMS, "tests"), *(ROOT / "sql").rglob("*.sql")]
    assert [place(path) for path in files if LEFT_OPEN.search(path.read_text())] == []


def test_tests_talk_to_real_things() -> None:
    assert [place(path) for path in sources("tests") if MOCKS.search(path.read_text())] == []
