"""What tests run on: the CPU as eight virtual devices; float32 unless a test asks for more.

`SCORESDE_TEST_DEVICES=1` and the like run them on as many.
"""

import gc
import getpass
import os
import pathlib
import tempfile
from collections.abc import Iterator

import jax
import jaxtyping
import numpy as np
import pytest

from tests.shapes import checked

_ROOT = pathlib.Path(__file__).parents[1]
# The shapes that annotations say are checked, in tests alone, where modules have such.
_SHAPED = [
    ".".join(path.relative_to(_ROOT).with_suffix("").parts)
    for package in ("sde_lib", "samplers", "models")
    for path in (_ROOT / package).rglob("*.py")
    if "jaxtyping" in path.read_text(encoding="utf-8")
]
jaxtyping.install_import_hook(_SHAPED, f"{checked.__module__}.checked")

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", int(os.environ.get("SCORESDE_TEST_DEVICES", "8")))
# Programs here run once or twice on a few numbers: compiling them well costs more than it gains.
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # in the processes that tests start, too
if jax.__version_info__ < (0, 11):
    # A third of the time of compiling; XLA stops at flags that it does not know, so for a known
    # version. One piece of a program for LLVM costs less than several in threads.
    flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
# Tracing makes objects by the million that live on: looking for garbage among them as often as
# Python does takes a tenth of the time.
gc.set_threshold(50_000, 20, 20)

# Compiled programs are kept between runs. JAX does not write them atomically, so each worker of
# pytest-xdist has a folder of its own, and a broken entry only warns.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_KEPT = pathlib.Path(tempfile.gettempdir(), f"scoresde-tests-{getpass.getuser()}")
_CACHE = _KEPT / _WORKER
jax.config.update("jax_compilation_cache_dir", str(_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_raise_persistent_cache_errors", False)
# So is the bytecode of the modules, for the workers and for the processes that tests start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(_KEPT / "bytecode")

_GOLDEN = pathlib.Path(__file__).parent / "golden"
_MAPS, _MAX_MAPS = pathlib.Path("/proc/self/maps"), 32_000
_SLOW = set(pathlib.Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").split("\n"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `quick` the first case of every test that slow.txt does not list.

    The pages of the documentation take longest, and come first: else one worker ends with them.
    """
    items.sort(key=lambda item: item.path.name != "test_docs.py")
    gc.freeze()  # what is imported lives on, too
    seen = set(_SLOW)
    for item in items:
        test = item.nodeid.partition("[")[0]
        if test not in seen:
            item.add_marker("quick")
        seen.add(test)


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    """Forget compiled programs between modules where they have mapped half of what Linux allows.

    XLA maps some seven pieces of memory a program, of which a process may have 65,530 in all
    (vm.max_map_count); what compiles the next one aborts.
    """
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MAX_MAPS:
        jax.clear_caches()


@pytest.fixture
def float64() -> Iterator[None]:
    """float64 throughout the test, to compare with values that have sixteen digits."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def shapes_unchecked() -> Iterator[None]:
    """No annotation is checked, as in a user's program."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def golden():
    """golden("sde") → the arrays of golden/sde.npz by key; golden/README.md says what they are."""
    loaded: dict[str, dict[str, np.ndarray]] = {}

    def load(name: str) -> dict[str, np.ndarray]:
        if name not in loaded:
            with np.load(_GOLDEN / f"{name}.npz") as file:
                loaded[name] = dict(file)
        return loaded[name]

    return load
