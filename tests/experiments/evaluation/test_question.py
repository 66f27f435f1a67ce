"""What is measured: defaults that follow the data, and what features and labels must allow."""

import numpy as np
import pytest

from experiments.data import Split, load
from experiments.errors import UserError
from experiments.evaluation.question import Question, default_features, default_metrics


def test_defaults_follow_the_data():
    points, digits = load("toy:moons", "train"), load("digits", "train")
    assert (default_features(points), default_features(digits)) == ("pixels", "classifier")
    plain, labelled = {"labelled": False, "examples": True}, {"labelled": True, "examples": True}
    photographs = Split.of(np.zeros((4, 64, 64, 3), np.uint8), levels=256)
    assert default_features(photographs) == "pca"
    assert default_metrics(points, 0, **plain) == "sw2,mmd,c2st"
    assert default_metrics(digits, 0, **plain) == "fd,kd,prdc"
    assert default_metrics(digits, 10, **plain) == "fd,kd,prdc,is"
    assert default_metrics(digits, 10, **labelled) == "fd,kd,prdc,is,accuracy"
    assert default_metrics(digits, 1000, **labelled) == "fd,kd,prdc,is"
    assert default_metrics(digits, 10, labelled=True, examples=False) == "fd"


def test_more_features_than_a_covariance_fits_memory_are_refused():
    with pytest.raises(UserError, match=r"--features: got 16385 features, takes at most 16384"):
        Question.of("kd,fd").check_dim(16385)
    Question.of("kd,prdc").check_dim(10**6)


def test_labels_are_compared_with_classes_of_the_data_alone():
    Question.of("fd,is").check_classes(1000, 10)
    Question.of("accuracy").check_classes(10, 10)
    with pytest.raises(UserError, match="--features: got 1000 classes, takes the data's 10 with"):
        Question.of("fd,accuracy").check_classes(1000, 10)


def test_a_metric_of_ones_own_is_another_once_it_is_edited(tmp_path, monkeypatch):
    file = tmp_path / "edited_metric.py"
    file.write_text(
        "import dataclasses\n"
        "from experiments.evaluation.metrics import Metric\n\n"
        "@dataclasses.dataclass(frozen=True, kw_only=True)\n"
        "class Zero(Metric):\n"
        "    def compute(self, *sets): ...\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    before, again = (Question.of("edited_metric:Zero").protocol for _ in range(2))
    file.write_text(file.read_text(encoding="utf-8") + "#", encoding="utf-8")
    assert before == again != Question.of("edited_metric:Zero").protocol
