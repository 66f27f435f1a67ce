"""Wrong programs of samplers."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = []
