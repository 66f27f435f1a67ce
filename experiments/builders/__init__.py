"""From the sections of a config to the objects that compute: SDE, network, solver, integrator."""
