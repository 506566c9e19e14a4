"""Losses in configs of MMSegmentation: translated, or refused with the way out."""

import json

import numpy as np
import pytest

from mmseg.compat.openmmlab import adapt_component
from mmseg.errors import UserError


@pytest.mark.parametrize("name", ["weights.npy", "weights.json", "weights.yaml"])
def test_class_weights_may_lie_in_a_file(tmp_path, name):
    path, weights = tmp_path / name, [0.5, 2.0]
    if path.suffix == ".npy":
        np.save(path, weights)
    else:
        path.write_text(json.dumps(weights))  # which is YAML too
    for kind in ("CrossEntropyLoss", "LovaszLoss"):
        loss = {"type": kind, "class_weight": str(path)}
        assert adapt_component(loss, "x")["class_weight"] == weights


@pytest.mark.parametrize("name", ["weights.pkl", "absent.npy"])
def test_a_file_of_weights_that_is_not_there_or_may_run_code_is_refused(tmp_path, name):
    (tmp_path / "weights.pkl").write_bytes(b"")
    loss = {"type": "CrossEntropyLoss", "class_weight": str(tmp_path / name)}
    with pytest.raises(UserError, match=r"x\.class_weight=.*no such \.json, \.yaml or \.npy file"):
        adapt_component(loss, "x")


def test_lovasz_arguments_without_effect_go_and_others_are_refused():
    plain = {"type": "LovaszLoss", "loss_weight": 1.0}
    same = {"loss_type": "multi_class", "classes": "present", "reduction": "none"}
    assert adapt_component({**plain, **same}, "x") == plain
    each = adapt_component({**plain, "per_image": True, "reduction": "mean"}, "x")
    assert each == {**plain, "per_image": True}
    for wrong in (
        {"loss_type": "binary"},
        {"classes": "all"},
        {"per_image": True, "reduction": "none"},
    ):
        with pytest.raises(UserError, match="works here"):
            adapt_component({**plain, **wrong}, "x")
