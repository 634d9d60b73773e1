"""Writes the pages of docs/examples from the scripts in examples/gallery: their text, their code, and what they print.

`python docs/gallery.py` runs every script and writes its page; tests/test_gallery.py runs them again and compares. A
script is plain Python in cells, as in scikit-learn's gallery: a docstring with the title, then `# %%`, text in comments,
and code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
SCRIPTS: Final = sorted((ROOT / "examples" / "gallery").glob("plot_*.py"))
PAGES: Final = ROOT / "docs" / "examples"
CELL: Final = "# %%"


class Cell(NamedTuple):
    """Text in Markdown, the code under it, and the line at which the code begins."""

    text: str
    code: str
    line: int


def page(script: Path) -> str:
    """Runs a script and gives its page. Raises what the script raises."""
    name = script.relative_to(ROOT).as_posix()
    title, *rest = (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").splitlines()
    parts = [f"# {title}", f"<!-- Written by docs/gallery.py; change {name} instead. -->"]
    parts.append("\n".join(line for line in rest if line.strip("=")))
    known: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells(script):
        told = StringIO()
        with redirect_stdout(told):
            exec(compile("\n" * (cell.line - 1) + cell.code, script, "exec"), known)
        parts += [cell.text, f"```python\n{cell.code}\n```"]
        if told.getvalue():
            parts.append(f"```text\n{told.getvalue().rstrip()}\n```")
    parts.append(f"The script is `{name}`; `python {name}` runs it.\n")
    return "\n\n".join(part for part in parts if part)


def cells(script: Path) -> Iterator[Cell]:
    """The cells of a script, without its docstring."""
    lines = script.read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line == CELL]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        code = next(number for number in range(start + 1, end) if not lines[number].startswith("#"))
        text = [line.removeprefix("#").removeprefix(" ") for line in lines[start + 1 : code]]
        yield Cell("\n".join(text), "\n".join(lines[code:end]).strip(), code + 1 + (not lines[code]))


def file_of(script: Path) -> Path:
    """Where the page of a script is kept."""
    return PAGES / f"{script.stem.removeprefix('plot_')}.md"


def main() -> int:
    """Writes every page."""
    for script in SCRIPTS:
        file = file_of(script)
        file.write_text(page(script), encoding="utf-8")
        sys.stdout.write(f"wrote {file.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
