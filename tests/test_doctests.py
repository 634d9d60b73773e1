"""Examples in docstrings are run, so that none teaches what is no longer so.

They are read from the source: what is compiled keeps no docstrings.
"""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TAUGHT = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for package in ("keepwell", "services", "models", "training")
    for path in (ROOT / package).rglob("*.py")
    if "\n    >>> " in path.read_text(encoding="utf-8")
)


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Names and docstrings of a module, its classes and its functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            told = ast.get_docstring(node)
            if told is not None:
                yield getattr(node, "name", path.stem), told


@pytest.mark.parametrize("module", TAUGHT)
def test_the_examples_of_a_module_hold(module: str) -> None:
    path = ROOT / f"{module.replace('.', '/')}.py"
    known = vars(import_module(module))
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name, told in docstrings(path):
        runner.run(parser.get_doctest(told, dict(known), name, str(path), 0))
    assert runner.tries and not runner.failures
