"""Wrong programs of likelihood."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = []
