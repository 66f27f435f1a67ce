"""Wrong programs of solvers and correctors."""

from benchmarks.mutants import Mutant

_COMPOSITIONS = "tests/samplers/test_compositions.py"
_GOLDEN = "tests/samplers/solvers/test_golden_steps.py"
_LANGEVIN = "tests/samplers/solvers/test_langevin.py"
_LIMITS = "tests/samplers/solvers/test_solver_limits.py"
_ORDERS = "tests/samplers/solvers/test_solver_orders.py"
_WEAK = "tests/samplers/test_orders.py"

MUTANTS: list[Mutant] = [
    Mutant(
        "Langevin steps by the score's own norm alone",
        "samplers/solvers/langevin.py",
        "_UNITS = 128",
        "_UNITS = 1",
        (f"{_LANGEVIN}::test_corrections_find_the_law[langevin-8]",),
    ),
    Mutant(
        "Langevin steps against the score",
        "samplers/solvers/langevin.py",
        "mean = x + size * score",
        "mean = x - size * score",
        (f"{_LANGEVIN}::test_corrections_find_the_law[langevin-8]",),
    ),
    Mutant(
        "Langevin noise of half the variance",
        "samplers/solvers/langevin.py",
        "mean + jnp.sqrt(2 * size) * z",
        "mean + jnp.sqrt(size) * z",
        (f"{_LANGEVIN}::test_corrections_find_the_law[langevin-8]",),
    ),
    Mutant(
        "the corrector's scale not squared",
        "samplers/solvers/langevin.py",
        "Scales(step.alpha**2, sde.sigma(t))",
        "Scales(step.alpha, sde.sigma(t))",
        (f"{_LANGEVIN}::test_plan",),
    ),
    Mutant(
        "annealed Langevin steps by the published norm",
        "samplers/solvers/langevin.py",
        "return 2 * scales.scale * (self.snr * scales.sigma) ** 2\n",
        "return scales.scale * (self.snr * scales.sigma) ** 2\n",
        (f"{_GOLDEN}::test_corrector",),
    ),
    Mutant(
        "a multistep method that forgets a correction",
        "samplers/solvers/linear.py",
        "self._advance(draw, coefficients, (x, directions))",
        "self._advance(draw, coefficients, (state[0], directions))",
        (f"{_COMPOSITIONS}::test_corrections_are_carried_along[adams]",),
    ),
    Mutant(
        "a multistep method that mixes evaluations before and after a correction",
        "samplers/solvers/linear.py",
        "(new, *(d + (new - before) for d in older))",
        "(new, *older)",
        (f"{_COMPOSITIONS}::test_corrections_are_carried_along[ipndm]",),
    ),
    Mutant(
        "renoising by the variance instead of the deviation",
        "samplers/solvers/solver.py",
        "self.inflation * jnp.sqrt(kernel.variance)",
        "self.inflation * kernel.variance",
        ("tests/samplers/test_sampling.py::test_solver",),
    ),
    Mutant(
        "nodes that coincide are both counted",
        "samplers/coefficients/lagrange.py",
        "used = (number < count) & (first == number)",
        "used = number < count + 0 * first",
        (f"{_COMPOSITIONS}::test_a_step_of_no_length[exponential_adams-20]",),
    ),
    Mutant(
        "DPM-Solver++ 3M takes a slope over no distance",
        "samplers/solvers/dpm_solver.py",
        "jnp.where((history.length > 2) & apart, third, second)",
        "jnp.where(history.length > 2, third, second)",
        (f"{_COMPOSITIONS}::test_a_step_of_no_length[dpmpp_3m-0]",),
    ),
    Mutant(
        "DPM-Solver++ 3M with the whole parabola",
        "samplers/solvers/dpm_solver.py",
        "square / 2 * bend",
        "square * bend",
        (f"{_LIMITS}::test_published_formulas",),
    ),
    Mutant(
        "DPM-Solver++ 2M extrapolates the whole way",
        "samplers/solvers/dpm_solver.py",
        "half = history.h / before / 2",
        "half = history.h / before",
        (f"{_LIMITS}::test_published_formulas",),
    ),
    Mutant(
        "the noise of exponential integrators of half the variance",
        "samplers/solvers/data_exponential.py",
        "jnp.sqrt(-jnp.expm1(-2 * noisy))",
        "jnp.sqrt(-jnp.expm1(-noisy))",
        (f"{_ORDERS}::test_weak_order[sa_solver-vp]",),
    ),
    Mutant(
        "UniPC's half weights are whole",
        "samplers/solvers/unipc.py",
        "/ (2 * (node - history.start))",
        "/ (node - history.start)",
        (f"{_ORDERS}::test_order[unipc:order=2-mixture]",),
    ),
    Mutant(
        "SA-Solver's correction keeps what was predicted",
        "samplers/solvers/sa_solver.py",
        "jnp.where(history.finite, better - worse, 0.0)",
        "jnp.where(history.finite, better, 0.0)",
        (f"{_LIMITS}::test_sa_solver_without_noise_is_the_exponential_adams_method",),
    ),
    Mutant(
        "Adams–Moulton with as few values as Adams–Bashforth",
        "samplers/solvers/multistep.py",
        "count = jnp.minimum(history[1:], self.corrector)",
        "count = jnp.minimum(history[1:], self.order)",
        (f"{_ORDERS}::test_order[adams-mixture]",),
    ),
    Mutant(
        "iPNDM's nodes lie ahead",
        "samplers/solvers/multistep.py",
        "nodes = -jnp.arange(float(self.order))",
        "nodes = jnp.arange(float(self.order))",
        (f"{_ORDERS}::test_order[ipndm:order=2-mixture]",),
    ),
    Mutant(
        "DDIM without the data's part of the step",
        "samplers/solvers/linear.py",
        "data = sde.alpha(steps.end) - ratio * sde.alpha(steps.start)",
        "data = sde.alpha(steps.end) - sde.alpha(steps.start)",
        (f"{_LIMITS}::test_a_step_to_no_noise_is_denoising[ddim]",),
    ),
    Mutant(
        "the rectified velocity with the wrong sign",
        "samplers/coordinates/forms.py",
        "jnp.stack([-jnp.ones_like(t), self.s * jnp.ones_like(t)], axis=-1)",
        "jnp.stack([jnp.ones_like(t), -self.s * jnp.ones_like(t)], axis=-1)",
        (f"{_ORDERS}::test_order[midpoint-mixture]", f"{_ORDERS}::test_order[adams-mixture]"),
    ),
    Mutant(
        "the velocity without the data's scale",
        "samplers/coordinates/forms.py",
        "jnp.stack([-sigma / length / self.s, alpha / length], axis=-1)",
        "jnp.stack([-sigma / length, alpha / length], axis=-1)",
        (f"{_ORDERS}::test_order[midpoint-mixture]",),
    ),
    Mutant(
        "Euler–Maruyama's flow with the whole score",
        "samplers/solvers/predictors.py",
        "return _from_score(x, score / 2, jnp.zeros(()), sde.sigma(t))",
        "return _from_score(x, score, jnp.zeros(()), sde.sigma(t))",
        (f"{_WEAK}::test_deterministic_order_on_gaussian_data[EulerMaruyama-vp]",),
    ),
    Mutant(
        "Euler–Maruyama with the variance for the deviation",
        "samplers/solvers/predictors.py",
        "return _from_score(x, score, jnp.sqrt(score), sde.sigma(t))",
        "return _from_score(x, score, score, sde.sigma(t))",
        (f"{_WEAK}::test_weak_order[euler_maruyama-sde0]",),
    ),
    Mutant(
        "reverse diffusion with the forward scale inverted",
        "samplers/solvers/predictors.py",
        "return _from_score(2 - step.alpha, step.variance, ",
        "return _from_score(1 / step.alpha, step.variance, ",
        (f"{_GOLDEN}::test_predictor[vp-reverse_diffusion]",),
    ),
    Mutant(
        "ancestral noise that is taken from the predicted one whatever η",
        "samplers/solvers/predictors.py",
        "sigma * jnp.sqrt(1 - drawn), std)",
        "sigma * jnp.sqrt(1 - step.fraction), std)",
        (f"{_LIMITS}",),
    ),
    Mutant(
        "churn adds to n instead of multiplying it",
        "samplers/solvers/restart.py",
        "sde.time_of_noise_to_signal(n * (1 + gamma))",
        "sde.time_of_noise_to_signal(n + gamma)",
        (f"{_LIMITS}::test_churn_is_edms",),
    ),
    Mutant(
        "churn without its bound",
        "samplers/solvers/restart.py",
        "jnp.minimum(self.churn / len(start), 2**0.5 - 1)",
        "self.churn / len(start)",
        (f"{_LIMITS}::test_churn_is_edms",),
    ),
    Mutant(
        "a restart that is gone through once less",
        "samplers/solvers/restart.py",
        "inside = (again >= 0) & (again < self.repeats * self.num_steps)",
        "inside = (again >= 0) & (again < (self.repeats - 1) * self.num_steps)",
        (f"{_LIMITS}::test_restart_goes_up_and_down_again",),
    ),
]
