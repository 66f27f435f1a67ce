"""Bad configs: one line with the field, what it got and what it takes; and no workdir."""

import pytest
from ml_collections import ConfigDict

from experiments.config_schema.flags import load_experiment
from experiments.config_schema.resolve import default_config, resolve
from experiments.errors import UserError
from tests.experiments.conftest import DIGITS, TOY, refused


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--config.training.batchsize=3", ["batchsize", "training.batch_size"]),
        ("--config.trainin.num_steps=3", ["trainin", "training.num_steps"]),
        ("--config.training.batch_size=many", ["training.batch_size", "'many'", "an integer"]),
        ("--config.training.num_steps=0", ["training.num_steps", "got 0", "from 1 to"]),
        ("--config.training.learning_rate=0", ["training.learning_rate", "> 0"]),
        ("--config.training.t_min=1.5", ["training.t_min", "1.5", "≥ 0 and < 1"]),
        ("--config.training.beta1=1", ["training.beta1", "got 1.0", "≥ 0 and < 1"]),
        ("--config.training.ema_decay=1", ["training.ema_decay", "got 1.0", "≥ 0 and < 1"]),
        ("--config.training.learning_rate=inf", ["training.learning_rate", "inf", "finite"]),
        ("--config.training.num_steps=None", ["training.num_steps", "got None", "an integer"]),
        ("--config.model.hidden=(8,0)", ["model.hidden", "(8, 0)", "integers ≥ 1"]),
        ("--config.model.args.hidden=3", ["model.args.hidden", "got 3", "a tuple"]),
        ("--config.sampling.grid=edm:rho=abc", ["sampling.grid", "rho", "'abc'", "> 0"]),
        ("--config.sampling.grid=edm:rho=-7", ["sampling.grid", "rho", "-7", "> 0"]),
        ("--config.sampling.solver=adams:order=2.5", ["order", "2.5", "an integer from 1 to 6"]),
        ("--config.sampling.solver=churn:solver=ddim", ["solver", "'ddim'", "takes Solver"]),
        ("--config.sampling.corrector=langevin:snr=a", ["sampling.corrector", "snr", "'a'"]),
        ("--config.training.weighting=snr", ["training.weighting", "'snr'", "sigma2"]),
        ("--config.training.schedule=step", ["training.schedule", "'step'", "cosine"]),
        ("--config.training.times=normal", ["training.times", "'normal'", "uniform"]),
        ("--config.sampling.num_steps=0", ["sampling.num_steps", "got 0", "≥ 1"]),
        ("--config.sampling.solver=heum", ["sampling.solver", "'heum'", "Known"]),
        ("--config.sampling.corrector=langevn", ["sampling.corrector", "'langevin'"]),
        ("--config.sampling.grid=log", ["sampling.grid", "'log'", "uniform"]),
        ("--config.sampling.discretization=no", ["sampling.discretization", "published"]),
        ("--config.sampling.tableau=rk", ["sampling.tableau", "dopri5"]),
        ("--config.likelihood.divergence=hutch", ["likelihood.divergence", "exact"]),
        ("--config.likelihood.split=val", ["likelihood.split", "test"]),
        ("--config.likelihood.solver=adam", ["likelihood.solver", "adams"]),
        ("--config.likelihood.probes=0", ["likelihood.probes", "got 0", "1"]),
        ("--config.likelihood.probe_kind=sign", ["likelihood.probe_kind", "rademacher"]),
        ("--config.likelihood.dequantization=normal", ["truncated_normal"]),
        ("--config.likelihood.grading=1.0", ["likelihood.grading", "1.0", "< 1"]),
        ("--config.likelihood.num_times=10", ["likelihood.num_times", "10", "multiple of 4"]),
        ("--config.likelihood.num_times=7", ["likelihood.num_times", "got 7", "8"]),
        ("--config.sampling.log_prob=True", ["sampling.log_prob", "probability_flow"]),
        ("--config.sde.name=vpp", ["sde.name", "'vpp'", "subvp, ve, vp"]),
        ("--config.sde.name=nowhere:SDE", ["sde.name", "nowhere"]),
        ("--config.sde.beta_min=-1", ["sde.beta_min", "-1", "≥ 0"]),
        ("--config.sde.beta_max=0.05", ["sde.beta_max", "0.05", "> beta_min"]),
        ("--config.sde.args.k=3", ["sde.args.k", "beta_max"]),
        ("--config.model.name=unet", ["model.name", "'unet'", "ncsnpp"]),
        ("--config.model.parameterization=eps", ["model.parameterization", "'eps'", "noise"]),
        ("--config.model.parameterization=smld_score", ["model.parameterization", "'vp'"]),
        ("--config.model.conditioning=sigma", ["model.conditioning", "'sigma'", "log_sigma"]),
        ("--config.model.embedding=sine", ["embedding", "'sine'", "fourier"]),
        ("--config.data.source=npz:none.npz", ["none.npz"]),
        ("--config.data.source=digit", ["data.source", "digits"]),
        ("--config.data.source=digits", ["model.name", "'mlp'", "(8, 8, 1)", "digits"]),
        ("--config.model.dtype=float17", ["model.name", "float17"]),
        ("--config.model.num_classes=3", ["model.num_classes", "got 3", "takes 0"]),
        ("--learning-rate=3", ["--learning-rate"]),
        ("--noconfig.training.num_steps", ["training.num_steps: got '--no", "num_steps=VALUE"]),
        ("--noconfig.data.flip=3", ["data.flip: got '--noconfig.data.flip=3', takes --config."]),
        ("--fsdp=0", ["--fsdp: got 0, takes an integer ≥ 1"]),
        ("--config.sampling.grid=", ["sampling.grid: got '', takes text, or None"]),
        ("--config.training.evaluate_metrics=", ["training.evaluate_metrics: got ''"]),
        ("--config.sampling.solver=unipc:order=2,order=3", ["unipc:order=2,order=3: got order"]),
        ("--config.sampling.solver=unipc:2", ["'unipc:2': takes unipc, or unipc:field=value"]),
    ],
)
def test_config(override, words, tmp_path, capsys):
    arguments = ["train", *TOY, f"--workdir={tmp_path / 'run'}", override]
    line = refused(arguments, capsys)
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["--config.sde.sigma_min=60"], ["sde.sigma_max", "> sigma_min = 60"]),
        (["--config.model.parameterization=ddpm_noise"], ["model.parameterization", "'ve'"]),
        (["--config.sde.sigma_min=0"], ["sde.sigma_min", "> 0"]),
        (
            [
                "--config.sde.name=vp",
                "--config.training.t_min=0",
                "--config.model.conditioning=log_sigma",
            ],
            ["model.conditioning: got 'log_sigma'", "from 0 to 1; takes log_noise or time"],
        ),
        (
            ["--config.sampling.solver=none", "--config.sampling.corrector=none"],
            ["sampling.solver", "none"],
        ),
    ],
)
def test_values_that_do_not_fit_together(overrides, words, tmp_path, capsys):
    base = ["train", *TOY, f"--workdir={tmp_path / 'run'}", "--config.sde.name=ve"]
    line = refused([*base, *overrides], capsys)
    assert all(word in line for word in words), line


def test_attention_at_heights_that_never_occur(tmp_path, capsys):
    command = ["train", "--config=digits", *DIGITS, f"--workdir={tmp_path / 'run'}"]
    line = refused([*command, "--config.model.attn_resolutions=(8,4)"], capsys)
    assert "model.attn_resolutions: got 4, takes heights that 8-pixel images have" in line
    assert not (tmp_path / "run").exists()


def test_config_file(tmp_path, capsys):
    arguments = ["train", f"--workdir={tmp_path / 'run'}"]
    assert "'toy2d'" in refused([*arguments, "--config=toy2"], capsys)
    line = refused([*arguments, "--config=toy2d:deep"], capsys)
    assert "--config: got 'toy2d:deep', takes 'toy2d'" in line
    (tmp_path / "notes.txt").write_text("x = 1\n", encoding="utf-8")
    line = refused([*arguments, f"--config={tmp_path}/notes.txt"], capsys)
    assert "notes.txt, takes a Python file (.py) with get_config()" in line
    (tmp_path / "broken.py").write_text("def get_config():\n    return 1 / 0\n", encoding="utf-8")
    assert "ZeroDivisionError" in refused([*arguments, f"--config={tmp_path}/broken.py"], capsys)
    (tmp_path / "other.py").write_text("def get_config():\n    return 3\n", encoding="utf-8")
    assert "takes ConfigDict" in refused([*arguments, f"--config={tmp_path}/other.py"], capsys)


def test_none_is_what_the_sde_decides():
    """Whatever the field held before, and however often it is given."""
    given = [f"--config.{x}" for x in ("data.image_size=3", "data.image_size=None")]
    given += ["--config.model.parameterization=None", "--config.training.t_min=None"]
    experiment = load_experiment("toy2d", given)
    assert experiment.data.image_size is None
    assert experiment.model.parameterization == "noise"
    assert experiment.training.t_min == 1e-5


def test_config_from_a_file_is_checked_like_flags():
    config = default_config()
    with config.unlocked():
        config.training.extra = 1
    with pytest.raises(UserError, match=r"unknown config field 'training\.extra'"):
        resolve(config)
    config = ConfigDict({**default_config().to_dict(), "training": 3})
    with pytest.raises(UserError, match="training: got 3, takes a section"):
        resolve(config)
    config = ConfigDict({**default_config().to_dict(), "seed": "one"})
    with pytest.raises(UserError, match="seed: got 'one', takes an integer"):
        resolve(config)
    # A whole number stands for any.
    config = ConfigDict({**default_config().to_dict(), "training": {"learning_rate": 1}})
    assert repr(resolve(config).training.learning_rate) == "1.0"
