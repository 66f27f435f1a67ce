"""Statistics in files: published ones, ADM's batches, and those of one's own."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.features import Extracted
from experiments.evaluation.reference import check_new, read_reference, write_reference
from experiments.evaluation.sets import Moments


class Channels:
    """The mean of each channel."""

    dim, num_classes = 3, 0

    def __init__(self, resize="clean"):
        self.protocol = {"name": "channels", "resize": resize, "sizes": (4, 4)}

    def __call__(self, values):
        return Extracted(values.mean(axis=(1, 2)).astype(np.float32))


IMAGES = np.random.default_rng(0).integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)
MOMENTS = Moments.of(Channels()(IMAGES).features)


def same(found, num):
    assert found.num == num
    np.testing.assert_allclose(found.mean, MOMENTS.mean, rtol=1e-14)
    np.testing.assert_allclose(found.covariance, MOMENTS.covariance, rtol=1e-12)


def test_one_s_own(tmp_path):
    """As written; of the same features alone; never over another file."""
    path = tmp_path / "new" / "own.npz"
    write_reference(path, MOMENTS, features=Channels().protocol, data={"source": "digits"})
    same(read_reference(path, Channels()), 300)
    with pytest.raises(UserError, match="got features with resize = 'clean', takes 'tf1' as of"):
        read_reference(path, Channels("tf1"))
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"--make_reference: .*own.npz exists, takes a new name"):
        write_reference(path, MOMENTS, features={}, data={})
    assert path.read_bytes() == before
    with pytest.raises(UserError, match=r"takes a name that ends in \.npz"):
        check_new(tmp_path / "own.pkl")


def test_published(tmp_path):
    """`mu` and `sigma` alone do not say of how many; beside images, their number does."""
    published = {"mu": MOMENTS.mean, "sigma": MOMENTS.covariance}
    batch = {"arr_0": IMAGES, "mu_s": np.zeros(5), "sigma_s": np.zeros((5, 5))}
    for arrays, num in [(published, None), (batch | published, 300), (batch, 300)]:
        np.savez(tmp_path / "file.npz", **arrays)
        same(read_reference(tmp_path / "file.npz", Channels()), num)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (
            {"mu": np.zeros(2), "sigma": np.eye(2)},
            r"got mu \(2,\) and sigma \(2, 2\), takes \(3,\)",
        ),
        ({"mu": np.zeros(3)}, "has mu, takes mu and sigma, or arr_0"),
        ({"mu": np.zeros(3), "sigma": np.full((3, 3), np.nan)}, "not finite"),
        ({"mu": np.zeros(3), "sigma": np.tri(3)}, "not symmetric"),
        ({"arr_0": np.zeros((9, 4, 4, 3))}, "arr_0: got float64 of shape"),
        ({"mu": np.array([{}]), "sigma": np.eye(3)}, "not of plain arrays"),
    ],
)
def test_files_of_something_else(tmp_path, arrays, says):
    np.savez(tmp_path / "file.npz", **arrays)
    with pytest.raises(UserError, match=says) as error:
        read_reference(tmp_path / "file.npz", Channels())
    assert "\n" not in str(error.value)


def test_no_such_file(tmp_path):
    (tmp_path / "stats.pkl").write_bytes(b"pickled")
    for name, says in [("none.npz", "no file"), ("stats.pkl", "is no .npz file")]:
        with pytest.raises(UserError, match=says):
            read_reference(tmp_path / name, Channels())
