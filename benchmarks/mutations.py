"""Wrong programs that the tests must fail.

    python -m benchmarks.mutations [--room=ROOM] [--only=TEXT] [--new] [--workers=2]

Each mutant of benchmarks/mutants changes one piece of mathematics in a copy of the checkout and
names the tests that must notice. It is killed if they pass on the unchanged copy and one of them
fails on the changed one; a copy that cannot be imported or collected does not count. The verdicts
go to benchmarks/results/mutations.json, beside those on mutants that were not asked for.
"""

import argparse
import importlib
import os
import pathlib
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import mutants
from benchmarks.mutants import Mutant
from benchmarks.report import ROOT, into_pages, read, save

ROOMS = tuple(module.name for module in pkgutil.iter_modules(mutants.__path__))
_COPIED = ("sde_lib", "samplers", "models", "experiments", "tests", "benchmarks", "docs")


def main() -> None:
    """Judge the mutants that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--room", choices=ROOMS, help="mutants of one room alone")
    parser.add_argument("--only", default="", help="mutants with this text in their name alone")
    parser.add_argument("--new", action="store_true", help="those without a verdict alone")
    parser.add_argument("--workers", type=int, default=2, help="how many are judged at once")
    options = parser.parse_args()
    every, verdicts = listed(), dict(read("mutations").get("verdicts", {}))
    asked = {
        name: mutant
        for name, mutant in every.items()
        if options.room in (None, name.partition(": ")[0])
        and options.only in mutant.name
        and not (options.new and name in verdicts)
    }
    if not asked:  # pytest without a test's name would run them all
        print("0 of 0 killed")
        return
    with tempfile.TemporaryDirectory() as folder:
        copies = [_copy(pathlib.Path(folder, str(k))) for k in range(options.workers)]
        right = sorted({test for mutant in asked.values() for test in mutant.tests})
        failed = _pytest(copies[0], ["-n", str(options.workers), *right])
        if failed.returncode:
            sys.exit(f"{failed.stdout}\nThe tests do not pass on the unchanged program.")

        def judge(name: str) -> None:
            copy = copies.pop()
            start = time.perf_counter()
            verdicts[name] = _judge(copy, asked[name])
            copies.append(copy)
            print(f"{verdicts[name]:9} {time.perf_counter() - start:5.0f} s  {name}", flush=True)
            keep(verdicts, list(every))

        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(judge, asked))
    survived = [name for name in asked if verdicts[name] != "killed"]
    print(f"{len(asked) - len(survived)} of {len(asked)} killed")
    if survived:
        sys.exit(1)


def listed() -> dict[str, Mutant]:
    """All mutants by "ROOM: NAME"."""
    return {
        f"{room}: {mutant.name}": mutant
        for room in ROOMS
        for mutant in importlib.import_module(f"benchmarks.mutants.{room}").MUTANTS
    }


def keep(verdicts: dict[str, str], every: list[str]) -> None:
    """Write the verdicts on mutants that there are, those of other runs among them."""
    kept = {name: verdicts[name] for name in every if name in verdicts}
    killed = sum(verdict == "killed" for verdict in kept.values())
    result = {"mutants": len(every), "judged": len(kept), "killed": killed, "verdicts": kept}
    save("mutations", result)
    into_pages("mutations", words(result))


def words(result: dict[str, Any]) -> str:
    """The docs' words."""
    rest = result["mutants"] - result["judged"]
    return f"{result['killed']} of {result['judged']}" + f", {rest} not judged yet" * (rest > 0)


def _copy(copy: pathlib.Path) -> pathlib.Path:
    """A copy of what the tests need."""
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for name in _COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("README.md", "setup.cfg", "pyproject.toml", "scoresde.py"):
        shutil.copy(ROOT / name, copy)
    return copy


def _judge(copy: pathlib.Path, mutant: Mutant) -> str:
    """ "killed", "survived", or why it is no mutant. The copy is left as it was."""
    path = copy / mutant.file
    right = path.read_text(encoding="utf-8")
    if right.count(mutant.old) != 1:
        return f"not found once: {right.count(mutant.old)} times"
    path.write_text(right.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        code = _pytest(copy, mutant.tests).returncode
    finally:
        path.write_text(right, encoding="utf-8")
    return {0: "survived", 1: "killed"}.get(code, f"broken: pytest exits with {code}")


def _pytest(copy: pathlib.Path, arguments: Sequence[str]) -> subprocess.CompletedProcess:
    """The tests that are named, run in a copy of the checkout until the first fails."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=copy,
        # Each copy keeps compiled programs of its own: JAX does not write them atomically.
        env=os.environ | {"PYTHONPATH": str(copy), "PYTEST_XDIST_WORKER": f"mutant{copy.name}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


if __name__ == "__main__":
    main()
