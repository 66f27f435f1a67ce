"""Wrong programs of models."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = []
