"""Studies, with stand-ins for the tools that train and test, and for Slurm."""

import os
import subprocess
from pathlib import Path

import pytest
from kept_runs import keep_run, random_matrices
from run_tool import run
from tiny_project import ROOT

from mmseg.errors import UserError
from mmseg.results.study import Study

STUDY = """
variants = {
    "small": dict(config="base.py", options={"model.width": 8}, x=1),
    "wide": dict(config="base.py", options={"model.width": 32}, x=2),
}
seeds = [0, 1]
"""
# The stand-in writes the width and the seed of the config that it gets, as a training would.
TRAIN = """
import sys
from pathlib import Path
from mmengine.config import Config
config = Config.fromfile(sys.argv[1])
folder = Path(sys.argv[sys.argv.index("--work-dir") + 1])
calls = folder / "calls"
calls.write_text(calls.read_text() + "train\\n" if calls.exists() else "train\\n")
if config.get("code") and len(calls.read_text().split()) < 2:
    sys.exit(config.code)
(folder / "latest.pth").write_text(f"{config.model.width} {config.randomness.seed}")
"""
TEST = """
import sys
from pathlib import Path
checkpoint = Path(sys.argv[2])
(checkpoint.parent / "eval_x.json").write_text(checkpoint.read_text())
"""


@pytest.fixture
def tools(tmp_path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    (folder / "test.py").write_text(TEST)
    (tmp_path / "base.py").write_text("model = dict(width=1)\n")
    (tmp_path / "study.py").write_text(STUDY)
    return folder


def results(study: Study) -> list[str]:
    return [(task.folder / "eval_x.json").read_text() for task in study.tasks]


def test_every_variant_is_trained_with_every_seed_and_not_twice(tmp_path, tools):
    study = Study(str(tmp_path / "study.py"), tmp_path / "out")
    study.prepare()
    for task in study.tasks:
        task.run(tools)
    assert results(study) == ["8 0", "8 1", "32 0", "32 1"]
    assert all(task.is_done for task in study.tasks)
    assert [t.seed for t in Study(str(tmp_path / "study.py"), tmp_path, seeds=[5]).tasks] == [5, 5]


def test_a_failed_training_names_its_log_and_an_interrupted_one_goes_on(tmp_path, tools):
    (tmp_path / "base.py").write_text("model = dict(width=1)\ncode = 3\n")
    study = Study(str(tmp_path / "study.py"), tmp_path / "failed", seeds=[0])
    study.prepare()
    with pytest.raises(UserError, match=r"train\.py failed; see .*log\.txt"):
        study.tasks[0].run(tools)
    (tmp_path / "base.py").write_text("model = dict(width=1)\ncode = 75\n")
    study = Study(str(tmp_path / "study.py"), tmp_path / "stopped", seeds=[0])
    study.prepare()
    with pytest.raises(KeyboardInterrupt):
        study.tasks[0].run(tools)
    study.tasks[0].run(tools)
    assert study.tasks[0].is_done


def test_a_study_that_changed_does_not_mix_with_its_old_runs(tmp_path, tools):
    study = Study(str(tmp_path / "study.py"), tmp_path / "out")
    study.prepare()
    study.prepare()
    (tmp_path / "base.py").write_text("model = dict(width=1, depth=2)\n")
    with pytest.raises(UserError, match="the study has changed since"):
        study.prepare()


def test_the_array_job_runs_every_task_and_asks_for_an_interrupted_one_again(tmp_path, tools):
    (tmp_path / "base.py").write_text("model = dict(width=1)\ncode = 75\n")
    study = Study(str(tmp_path / "study.py"), tmp_path / "out")
    study.prepare()
    script = study.write_slurm(tools)
    slurm = tmp_path / "bin"
    slurm.mkdir()
    for name, text in {"srun": 'exec "$@"', "scontrol": f'echo "$@" >> {tmp_path}/asked'}.items():
        (slurm / name).write_text(f"#!/bin/bash\n{text}\n")
        (slurm / name).chmod(0o755)
    variables = os.environ | {"PATH": f"{slurm}:{os.environ['PATH']}", "SLURM_ARRAY_JOB_ID": "7"}

    def run(task: int) -> int:
        task_id = {"SLURM_ARRAY_TASK_ID": str(task)}
        return subprocess.run(["bash", script], env=variables | task_id, check=False).returncode

    assert run(3) == 75
    assert (tmp_path / "asked").read_text() == "requeue 7_3\n"
    assert run(3) == 0
    assert (study.tasks[3].folder / "eval_x.json").read_text() == "32 1"
    assert not study.tasks[0].is_done
    assert "#SBATCH --array=0-3\n" in script.read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "local_configs/studies").glob("*.py")))
def test_shipped_studies_name_configs_that_exist(path, tmp_path):
    study = Study(str(path), tmp_path)
    assert len(study.tasks) == 3 * len(study.variants)
    assert all(Path(variant["config"]).is_file() for variant in study.variants.values())


def test_a_study_or_a_config_that_cannot_be_read_is_one_line(tmp_path, tools):
    with pytest.raises(UserError, match=r"gone\.py: no such config"):
        Study(str(tmp_path / "gone.py"), tmp_path)
    (tmp_path / "base.py").write_text("model = (")
    with pytest.raises(UserError, match=r"base\.py: cannot be read as a config"):
        Study(str(tmp_path / "study.py"), tmp_path / "out").prepare()


def test_a_variant_without_its_config_is_refused(tmp_path, tools):
    (tmp_path / "study.py").write_text("variants = dict(a=dict(config='gone.py'))\n")
    with pytest.raises(UserError, match=r"variants\.a\.config: there is no .*gone\.py"):
        Study(str(tmp_path / "study.py"), tmp_path)
    (tmp_path / "study.py").write_text("variants = dict(a=dict(option={}))\n")
    with pytest.raises(UserError, match=r"variants\.a has option; it may have config, options, x"):
        Study(str(tmp_path / "study.py"), tmp_path)


@pytest.mark.parametrize("places", [STUDY, STUDY.replace(", x=1", "").replace(", x=2", "")])
def test_a_study_ends_in_a_page_with_its_table_its_plot_and_its_runs(tmp_path, tools, places):
    (tmp_path / "study.py").write_text(places)
    study = Study(str(tmp_path / "study.py"), tmp_path / "out")
    for i, task in enumerate(study.tasks):
        keep_run(task.folder, random_matrices(8, 0.7 + i / 20, i), task.variant, task.seed)
    printed = run(tmp_path, "study.py", "study.py", "--out", "out")
    assert "\nout/index.html\n" in printed
    page = (tmp_path / "out/index.html").read_text()
    rows = (tmp_path / "out/runs.csv").read_text().splitlines()
    assert rows[0] == "variant,seed,mIoU,file" and len(rows) == 5
    assert all(row.split(",")[2] in page for row in rows)
    means = next(line for line in printed.splitlines() if "mIoU" in line and "n=" not in line)
    assert means.split("|")[2].strip() in page
    assert "<svg" in page and "small (n=2)" in page and "src=" not in page
