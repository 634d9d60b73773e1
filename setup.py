"""Compiles the core with mypyc, from the same source that runs as Python where it is not compiled.

`make install` does so where a C compiler is, and so does building a wheel; an editable install by itself does not. Without a
compiler, or with `COMPILE_CORE=0`, everything runs from source: the same bytes, only slower.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

HERE = Path(__file__).parent
CORE = ("care/*.py", "scoring/*.py", "scoring/features/*.py", "alerting/*.py", "alerting/kinds/*.py", "contract/say.py")
"""What is compiled, below `keepwell`, but for `__init__` files, and files whose annotations msgspec reads as they run."""


def core() -> list[str]:
    """The files that are compiled, relative to here."""
    found = sorted(path for pattern in CORE for path in (HERE / "keepwell").glob(pattern))
    plain = [path for path in found if path.name != "__init__.py" and "msgspec.Struct" not in path.read_text("utf-8")]
    return [str(path.relative_to(HERE)) for path in plain]


def extensions() -> list[Extension]:
    """The compiled modules."""
    from mypyc.build import mypycify

    into = HERE / "build" / "core"
    for old in (
        "keepwell",
        ".mypy_cache",
    ):  # mypyc can fail on what it kept of the time before (`value is not in list`)
        shutil.rmtree(into / old, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(HERE / "keepwell", into / "keepwell", ignore=ignored)
    for path in core():  # a compiled class has slots without being asked, and mypyc does not know the wish
        source = (HERE / path).read_text("utf-8")
        (into / path).write_text(source.replace("@dataclass(slots=True)", "@dataclass"), "utf-8")
    os.chdir(into)
    try:
        found = mypycify(["--config-file=", "--strict", *core()], opt_level="2", debug_level="0", separate=True)
    finally:
        os.chdir(HERE)
    for one in found:
        one.sources = [str(into / source) for source in one.sources]
        one.depends = [str(into / header) for header in one.depends]
        one.include_dirs = [str(into / folder) for folder in one.include_dirs]
    return list(found)


class BuildCore(build_ext):
    """All of the core or nothing: a part that is missing could not be imported by the others."""

    def run(self) -> None:
        self.parallel = self.parallel or os.cpu_count()
        try:
            super().run()
        except (CCompilerError, ExecError, PlatformError, OSError) as error:
            for name in self.get_outputs():
                Path(name).unlink(missing_ok=True)
            self.extensions = []
            self.warn(f"the core is not compiled and runs as Python: {error}")


def asked() -> bool:
    """Whether this call is to build."""
    return os.environ.get("COMPILE_CORE") != "0" and bool({"build_ext", "bdist_wheel"} & set(sys.argv))


if __name__ == "__main__":
    setup(ext_modules=extensions() if asked() else [], cmdclass={"build_ext": BuildCore})
