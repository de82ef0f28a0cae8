"""Experiment files: what is read, what `--set` changes, and what is refused before anything runs."""

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from memtrain.data import Retrieval
from memtrain.experiment import plan, submit_experiment, tuning
from memtrain.experiment.data import check_data, prepare_data
from memtrain.experiment.modules import check_modules
from memtrain.experiment.options import Options
from memtrain.experiment.plan import StagePlan, plan_runs, plan_stages
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runs import Run, list_runs
from memtrain.experiment.specification import Experiment

FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"


def test_a_file_is_read_with_typed_entries() -> None:
    experiment = read_experiment(FILE)
    assert experiment.difficulties == [8]
    assert experiment.methods == {"smt_dmt": ["smt", "dmt"], "bptt": ["bptt"]}
    assert experiment.stages["smt"].share == 3.0
    assert experiment.budget.steps == 8


def test_set_changes_entries_at_any_depth() -> None:
    changes = [
        "budget.steps=null",
        "budget.seconds=1e2",
        "stages.bptt.model.init_args.learning_rate=1e-4",
        "seeds=[5, 6]",
    ]
    experiment = read_experiment(FILE, changes)
    assert experiment.budget.seconds == 100.0
    assert experiment.seeds == [5, 6]
    configuration = plan_stages(experiment, Run("bptt", 8, 5), {})[0].configuration
    assert configuration["model"]["init_args"]["learning_rate"] == 1e-4


@pytest.mark.parametrize("entry", ["trainer", "stages.smt.trainer", "stages.smt.data", "stages.smt.model.init_args"])
def test_a_mapping_whose_lines_are_commented_out_is_empty(entry: str) -> None:
    experiment, emptied = read_experiment(FILE, [f"{entry}={{}}"]), read_experiment(FILE, [f"{entry}=null"])
    assert emptied == experiment
    assert plan_stages(emptied, list_runs(emptied)[0], {})


def test_a_change_at_one_place_is_none_at_another_that_is_its_alias(tmp_path: Path) -> None:
    content = yaml.safe_load(FILE.read_text())
    content["stages"]["again"] = content["stages"]["bptt"]  # dumped as an anchor and its alias
    file = tmp_path / "aliases.yaml"
    file.write_text(yaml.safe_dump(content))
    assert "*id" in file.read_text()
    experiment = read_experiment(file, ["stages.again.share=5"])
    assert (experiment.stages["again"].share, experiment.stages["bptt"].share) == (5.0, 1.0)


@pytest.mark.parametrize("change", ["seeds=[7]", "budget.steps=3", "data={class_path: memtrain.data.Stack}"])
def test_what_a_measurement_would_ignore_is_refused(change: str) -> None:
    file = Path("experiments", "newton_iterations", "experiment.yaml")
    with pytest.raises(ValueError, match="is given, but newton_iterations is one measurement"):
        read_experiment(file, [change])


def test_methods_that_are_left_out_are_not_tuned() -> None:
    own = '{"*.model.learning_rate": [1e-3, 3e-3]}'
    grid = f"grid={{options: {{smt_dmt: {own}, bptt: {own}}}, seeds: [9]}}"
    experiment = read_experiment(FILE, [grid], methods=["bptt"])
    assert {run.method for run in list_runs(experiment)} == {"bptt"}


def test_pairs_of_methods_that_are_left_out_are_not_declared() -> None:
    family = "family=[[smt_dmt, bptt]]"
    assert read_experiment(FILE, [family]).family == [["smt_dmt", "bptt"]]
    assert read_experiment(FILE, [family], methods=["bptt"]).family == []
    assert read_experiment(FILE).family is None


def test_methods_and_seeds_can_be_picked() -> None:
    experiment = read_experiment(FILE, methods=["bptt"], seeds=[3, 4])
    assert [str(run) for run in list_runs(experiment)] == ["bptt 8 seed 3", "bptt 8 seed 4"]


def test_a_difficulty_has_one_name_however_it_is_written() -> None:
    changes = ["difficulty.values=[8.0]", "evaluation.difficulties=[12.0]"]
    grid = "grid={options: {bptt: {data.batch_size: [4]}}, unequal: true, seeds: [9], difficulty: 8.0}"
    experiment = read_experiment(FILE, [*changes, grid])
    assert {
        str(run.folder.parts[run.folder.parts.index("bptt") + 1])
        for run in list_runs(experiment)
        if run.method == "bptt"
    } == {"8"}
    assert str(experiment.evaluation.difficulties) == "[12]"


def test_a_difficulty_to_tune_at_needs_an_experiment_with_difficulties() -> None:
    changes = ["difficulty=null", "evaluation.difficulties=[]", "data.init_args.length=8"]
    grid = "grid={options: {bptt: {data.batch_size: [4]}}, unequal: true, seeds: [9], difficulty: 99}"
    with pytest.raises(ValueError, match=r"grid\.difficulty is 99, but the experiment has no difficulty"):
        read_experiment(FILE, [*changes, grid])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("budget.minutes=3", "minutes"),
        ("budget.steps=many", "budget.steps"),
        ("budget.steps=0", "budget.steps is 0, but must be more than 0"),
        ("budget.seconds=3", "budget has seconds 3 and steps"),
        ("budget={seconds: null}", "budget has neither seconds nor steps"),
        ("budgets.steps=3", "budgets"),
        ("stages.smt.share=0", "stages.smt.share is 0"),
        ("stages.smt.shares=1", "shares"),
        ("methods.bptt=[bpttt]", "methods.bptt names bpttt"),
        ("family=[[smt_dmt, btpp]]", "family[0] is [smt_dmt, btpp], but methods has smt_dmt, bptt, and no btpp"),
        ("family=[[smt_dmt]]", "family[0] is [smt_dmt], but must be two methods, for example [smt_dmt, bptt]"),
        ("family=[[bptt, bptt]]", "family[0] is [bptt, bptt], but must be two methods"),
        ("family=[[smt_dmt, bptt], [bptt, smt_dmt]]", "family[1] is [bptt, smt_dmt], a pair that family has twice"),
        ("family=[smt_dmt, bptt]", "family"),
        ("solved_at=95", "solved_at is 95, but must be an accuracy above 0 and at most 1; choose for example 0.95"),
        ("solved_at=0", "solved_at is 0, but must be"),
        ("solved_at=.nan", "solved_at is nan, but must be"),
        ("methods.tuning=[bptt]", "tuning"),
        (
            "stages.dmt.model.init_args.init_from=other.ckpt",
            "init_from is given, but methods.smt_dmt has it",
        ),
        ("seeds=[]", "seeds is empty"),
        ("grid.options.bptt={data.batch_size: [4]}", "grid"),
        (
            "grid={options: {bptt: {smt.model.learning_rate: [1e-3]}}, seeds: [9]}",
            "grid.options.bptt has smt.model.learning_rate, but an option is STAGE.model.NAME",
        ),
        ("grid={options: {bptt: {learning_rate: [1e-3]}}, seeds: [9]}", "write for example *.model.learning_rate"),
        ("grid={options: {bptt: {data: [1]}}, seeds: [9]}", "which names no option; write for example data.batch_size"),
        ("grid={options: {bptt: {data.length: [8]}}, seeds: [9]}", "data.length, which is the same for all methods"),
        (
            "grid={options: {bptt: {data.batch_size: [2, 4]}}, seeds: [9]}",
            "grid.options gives bptt 2 trials and smt_dmt 0, but methods that are compared need as many",
        ),
        ("grid={options: {bptt: {}}, seeds: [9]}", "grid.options.bptt is empty"),
        ("grid={options: {bptt: {data.batch_size: [4]}}, unequal: true, seeds: [0]}", "grid.seeds has 0"),
        ("budget", "has no value"),
        ("grid={a: [1", "--set grid={a: [1 has a value that is no YAML"),
        ("seeds=[0, 1, 0]", "seeds has 0 twice"),
        ("methods.bptt=[bptt, bptt]", "methods.bptt has bptt twice"),
        ("difficulty.values=[8, 9, 8]", "difficulty.values has 8 twice"),
        ("difficulty.values=[]", "difficulty.values is empty"),
        ("evaluation.difficulties=[12, 12]", "evaluation.difficulties has 12 twice"),
        (
            "grid={options: {bptt: {data.batch_size: [4, 4]}}, seeds: [9]}",
            "grid.options.bptt.data.batch_size has 4 twice",
        ),
        (
            "grid={options: {bptt: {data.batch_size: []}}, unequal: true, seeds: [9]}",
            "grid.options.bptt.data.batch_size is",
        ),
        ("grid={options: {bptt: {data.batch_size: [4]}}, unequal: true, seeds: []}", "grid.seeds is empty"),
        (
            "grid={options: {btpt: {data.batch_size: [4]}}, seeds: [9]}",
            "grid.options names btpt, but methods has smt_dmt",
        ),
        ("measurement={class_path: a.b}", "data is given, but tiny is one measurement"),
        ("grid={options: {bptt: {data.batch_size: [4]}}, unequal: true, seeds: [9, 9]}", "grid.seeds has 9 twice"),
        (
            "equal_sequential_flops={reference: smt, methods: [bptt]}",
            "equal_sequential_flops.reference names smt, but methods has smt_dmt, bptt",
        ),
        ("equal_sequential_flops={reference: bptt, methods: [bptt]}", "names bptt, which is the reference"),
        ("name=../elsewhere", "name has '../elsewhere', but names a folder"),
        ("methods={a/b: [bptt]}", "methods has 'a/b', but names a folder"),
        ("data.init_args.length=8", "data.init_args.length is what difficulty varies; set difficulty.values"),
        ("data.init_args.evaluation_samples=8", "set evaluation.samples instead"),
        ("stages.smt.data={evaluation_samples: 8}", "stages.smt.data.evaluation_samples is set by the runner"),
        ("trainer.max_steps=8", "trainer.max_steps is set by the runner; give --set budget="),
        ("stages.dmt.trainer.max_steps=8", "stages.dmt.trainer.max_steps is set by the runner"),
        ("trainer.default_root_dir=x", "trainer.default_root_dir is set by the runner; give --output"),
        ("stages.dmt.trainer.enable_checkpointing=false", "stages.dmt.trainer.enable_checkpointing is false"),
        ("trainer.fast_dev_run=true", "trainer.fast_dev_run keeps no checkpoint"),
        ("data=null", "data is empty, but an experiment needs it"),
        ("name.first=x", "name is 'tiny'"),
        ("methods={1: [bptt]}", "methods has the entry 1, which is no word; quote it"),
        ("trainer.max_time=2020-01-01", "trainer.max_time is 2020-01-01, which YAML takes for a date; quote it"),
        ("data.init_args=[3]", "data.init_args is [3], but must be options and their values"),
        ("seeds=[-1]", "seeds has -1, but a seed must be in 0..4294967295"),
        (
            "grid={options: {bptt: {data.batch_size: [4]}}, unequal: true, seeds: [5_000_000_000]}",
            "grid.seeds has 5000000000",
        ),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_in_one_sentence(change: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        read_experiment(FILE, [change])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("stages.smt.model.init_args.learning_rat=1", "stages.smt: model: Option 'learning_rat'"),
        ("stages.bptt.model.init_args.learning_rate=fast", "stages.bptt: model: learning_rate"),
        ("stages.smt.trainer.max_stepz=1", "stages.smt: "),
        ("network.widht=3", "widht"),
        ("trainer.acelerator=cpu", "acelerator"),
        ("stages.smt.model.class_path=memtrain.training.Smt", "Smt"),
    ],
)
def test_an_unknown_option_of_a_stage_is_refused_before_anything_runs(change: str, sentence: str) -> None:
    experiment = read_experiment(FILE, [change])
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        _ = [plan_stages(experiment, run, {}) for run in list_runs(experiment)]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("data.init_args.color=red", "color"),
        ("data.init_args.batch_size=0", "data.batch_size is 0"),
        ("difficulty.values=[2]", "data.length is 2"),
        ("data={class_path: memtrain.data.ModularArithmetic}", "length"),
    ],
)
def test_data_that_cannot_be_built_are_refused(change: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        check_data(read_experiment(FILE, [change]))
    assert "\n" not in str(refused.value)


def test_evaluation_where_there_are_other_tokens_is_refused() -> None:
    changes = ["data={class_path: memtrain.data.ModularArithmetic}", "difficulty={key: modulus, values: [8]}"]
    with pytest.raises(
        ValueError,
        match=r"evaluation.difficulties has 12, where the data have 12 tokens in, 12 classes out, but training at 8",
    ):
        check_data(read_experiment(FILE, changes))


def test_the_cell_of_the_file_is_that_of_every_first_stage_and_later_stages_inherit_it() -> None:
    experiment = read_experiment(FILE)
    smt, dmt = plan_stages(experiment, Run("smt_dmt", 8, 0), {})
    (bptt,) = plan_stages(experiment, Run("bptt", 8, 0), {})
    networks = [plan.configuration["model"]["init_args"]["network"] for plan in (smt, dmt, bptt)]
    assert networks[0] == networks[2]
    assert networks[0]["width"] == 16
    assert networks[1] is None


def test_shares_of_a_method_add_up_to_its_budget() -> None:
    smt, dmt = plan_stages(read_experiment(FILE), Run("smt_dmt", 8, 0), {})
    assert (smt.share, dmt.share) == (0.75, 0.25)


def test_the_fingerprint_of_a_stage_covers_the_stages_before_it() -> None:
    experiment, run = read_experiment(FILE), Run("smt_dmt", 8, 0)
    plain = [plan.fingerprint for plan in plan_stages(experiment, run, {})]
    assert plain == [plan.fingerprint for plan in plan_stages(experiment, run, {})]
    changed = [plan.fingerprint for plan in plan_stages(experiment, run, {"smt.model.learning_rate": 3e-4})]
    assert changed[0] != plain[0]
    assert changed[1] != plain[1]
    later = [plan.fingerprint for plan in plan_stages(experiment, run, {"dmt.model.learning_rate": 3e-4})]
    assert later[0] == plain[0]
    assert later[1] != plain[1]


def test_a_grid_puts_all_combinations_of_a_method_before_the_runs() -> None:
    smt_dmt = "{smt.model.learning_rate: [1e-3, 3e-3], data.batch_size: [2, 4]}"
    grid = f"grid={{options: {{smt_dmt: {smt_dmt}, bptt: {{network.width: [16]}}}}, seeds: [9], unequal: true}}"
    runs = list_runs(read_experiment(FILE, [grid]))
    assert [dict(run.options) for run in runs] == [
        {"smt.model.learning_rate": 1e-3, "data.batch_size": 2},
        {"smt.model.learning_rate": 1e-3, "data.batch_size": 4},
        {"smt.model.learning_rate": 3e-3, "data.batch_size": 2},
        {"smt.model.learning_rate": 3e-3, "data.batch_size": 4},
        {"network.width": 16},
        {},
        {},
    ]
    assert {run.seed for run in runs[:5]} == {9}
    assert runs[1].folder == Path("tuning/smt_dmt/8/9/smt.model.learning_rate=0.001,data.batch_size=4")


def test_a_grid_takes_any_option_of_model_network_and_data() -> None:
    experiment, run = read_experiment(FILE), Run("smt_dmt", 8, 0)
    options = {
        "*.model.learning_rate": 0.5,
        "*.model.dynamics_weight": 2.0,  # which SMT alone has
        "dmt.model.windows.starts": 3,
        "network.width": 32,
        "network.cell.init_args.layers": 2,
        "data.batch_size": 7,
    }
    smt, dmt = (plan.configuration for plan in plan_stages(experiment, run, options))
    models = [configuration["model"]["init_args"] for configuration in (smt, dmt)]
    assert [model["learning_rate"] for model in models] == [0.5, 0.5]
    assert models[0]["dynamics_weight"] == 2.0
    assert models[1]["windows"]["starts"] == 3
    assert (models[0]["network"]["width"], models[0]["network"]["cell"]["init_args"]["layers"]) == (32, 2)
    assert (models[0]["network"]["heads"], models[1]["network"]) == (2, None)
    assert [configuration["data"]["init_args"]["batch_size"] for configuration in (smt, dmt)] == [7, 7]
    assert experiment == read_experiment(FILE)  # and nothing of it has been changed


def test_the_options_of_the_file_give_the_same_stages_as_a_trial_of_them() -> None:
    experiment, run = read_experiment(FILE), Run("bptt", 8, 0)
    (plain,), (tried,) = (plan_stages(experiment, run, o) for o in ({}, {"bptt.model.learning_rate": 3e-3}))
    assert plain == tried


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("*.model.dynamics_weight", "grid.options.bptt has *.model.dynamics_weight, but no stage of the method (bptt)"),
        ("bptt.model.dynamics", "stages.bptt: model: Option 'dynamics'"),
        ("data.size", "stages.bptt: data: Option 'size'"),
    ],
)
def test_an_option_to_choose_that_there_is_not_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        plan_stages(read_experiment(FILE), Run("bptt", 8, 0), {name: 1})


def test_trials_whose_values_are_no_words_have_folders_of_their_own() -> None:
    folders = [
        Run("bptt", 8, 9, (("bptt.model.windows.length", value),)).folder.name for value in ([4, 8], [4, 16], "4 8")
    ]
    assert len(set(folders)) == 3
    assert all(re.fullmatch(r"[\w.=,+-]+", folder) for folder in folders)


def test_the_resolved_experiment_can_be_read_again(tmp_path: Path) -> None:
    experiment = read_experiment(FILE, ["grid={options: {bptt: {data.batch_size: [4]}}, unequal: true, seeds: [9]}"])
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(asdict(experiment)))
    assert read_experiment(tmp_path / "again.yaml") == experiment


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("methods={late: [dmt]}", "methods.late begins with dmt, which needs a trained teacher and rnn; put a stage"),
        (
            "stages.smt.model.init_args.freeze_teacher=true",
            "methods.smt_dmt begins with smt, which needs a trained teac",
        ),
        (
            "stages.bptt.model.init_args.windows.starts=2",
            "methods.bptt begins with bptt, which needs a trained teacher",
        ),
        (
            "stages.dmt.model.init_args.micro_batches=3",
            "stages.dmt: model.micro_batches is 3, but data.batch_size is 4",
        ),
    ],
)
def test_a_stage_that_cannot_work_is_refused_before_anything_runs(change: str, sentence: str) -> None:
    plans = plan_runs(read_experiment(FILE, [change]))
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check_modules(plans)


def test_a_method_may_begin_from_a_checkpoint() -> None:
    changes = ["methods={late: [dmt]}", "stages.dmt.model.init_args.init_from=before.ckpt"]
    check_modules(plan_runs(read_experiment(FILE, changes)))


def test_an_experiment_is_planned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[str] = []

    def count(experiment: Experiment, run: Run, options: Options) -> list[StagePlan]:
        planned.append(str(run))
        return plan_stages(experiment, run, options)

    monkeypatch.setattr(plan, "plan_stages", count)
    monkeypatch.setattr(tuning, "plan_stages", count)
    experiment = read_experiment(FILE, ["seeds=[0, 1]"])
    assert submit_experiment(experiment, tmp_path, dry_run=True)
    assert sorted(planned) == sorted(map(str, list_runs(experiment)))


@pytest.mark.slow
def test_a_file_is_read_as_utf8_whatever_the_locale(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    text = FILE.read_text(encoding="utf-8").replace("A tiny experiment", "A µ-experiment")
    file.write_text(text, encoding="utf-8")
    code = "import sys, pathlib, memtrain.experiment as m; e = m.read_experiment(pathlib.Path(sys.argv[1]))"
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(ascii(e.claim))", file],
        env=ascii_only,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(r"'A \xb5-experiment"), done.stderr


def test_data_are_prepared_once_for_every_difficulty(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[int] = []
    monkeypatch.setattr(Retrieval, "prepare_data", lambda data: prepared.append(data.length), raising=False)
    prepare_data(read_experiment(FILE, ["difficulty.values=[8, 16]", "evaluation.difficulties=[8, 12]"]))
    assert prepared == [8, 16, 12]
