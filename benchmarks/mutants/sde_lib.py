"""Wrong programs of sde_lib."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = []
