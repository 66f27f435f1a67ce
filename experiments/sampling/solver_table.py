"""What there is to sample with, as a table."""

from experiments.builders.sampling import OWN_STEPS
from experiments.config_schema.choice import fields_of
from samplers import solvers


def table() -> str:
    """The solvers as text, a line each: order, evaluations a step, noise, fields, reference."""
    rows = [("name", "order", "calls", "draws", "fields", "reference")]
    for name in solvers:
        solver = solvers[name]()
        fields = ", ".join(field for field in fields_of(solvers[name]) if field != "s")
        weak = "weak " if solver.draws or solver.renoises else ""
        rows.append(
            (
                name,
                f"{weak}{solver.convergence_order}" if solver.evaluations else "–",
                str(solver.evaluations),
                "noise" if weak else "–",
                fields or "–",
                solver.reference,
            )
        )
    for name, method in OWN_STEPS.items():
        rows.append((name, "own steps", "own", *method.about, method.kind.reference))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )
