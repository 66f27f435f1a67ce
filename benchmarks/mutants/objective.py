"""Wrong programs of objective."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = []
