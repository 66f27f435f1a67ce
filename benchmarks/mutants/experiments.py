"""Wrong programs of experiments."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = []
