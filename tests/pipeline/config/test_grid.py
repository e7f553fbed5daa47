import json
from pathlib import Path

import pytest

from isobatch.models.registry import find_variant
from isobatch.models.spec.plain import to_plain
from isobatch.models.spec.words import CudaOptions, RunnerSettings
from isobatch.pipeline.config.conditions import GridPoint, base, device_of, grid_points
from isobatch.pipeline.config.config import Config, read_config
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.records.errors import Exit, UsageError
from isobatch.pipeline.records.study import Condition
from isobatch.pipeline.study.exit_code import exit_code
from tests.reports import studies


def config(*argv: str) -> Config:
    return read_config(study_parser().parse_args(argv))


def test_the_default_grid_is_one_native_setting() -> None:
    configuration = config()
    assert grid_points(configuration) == [base(configuration)]
    assert (configuration.isa, configuration.memory_format, configuration.position, configuration.neighbours) == (
        ("native",),
        ("contiguous",),
        (1,),
        ("outlier",),
    )
    assert (configuration.image_size, configuration.also_sizes) == (None, ())  # that of the weights


def test_an_explicit_flag_replaces_one_axis_of_a_grid() -> None:
    configuration = config("--grid", "wide", "--isa", "sse4", "--image-size", "64")
    assert configuration.isa == ("sse4",)
    assert (configuration.image_size, configuration.also_sizes, configuration.isa_named) == (64, (), True)
    assert configuration.memory_format == ("contiguous", "channels_last")  # the grid's own
    assert configuration.neighbours == ("outlier", "zeros", "constant", "random", "worst")


def test_what_a_preset_wishes_for_was_not_named(tmp_path: Path) -> None:
    wide = config("--grid", "wide")
    assert (wide.isa, wide.isa_named) == (("native", "avx2", "avx512"), False)
    assert (wide.image_size, wide.also_sizes) == (None, (192,))
    file = tmp_path / "mine.toml"
    file.write_text('isa = "avx512"\n')
    assert config("--grid", str(file)).isa_named and config("--isa", "native").isa_named


@pytest.mark.parametrize(("named", "code"), [(True, Exit.PARTIAL), (False, Exit.DONE)])
def test_only_a_cap_that_was_named_is_missed(named: bool, code: Exit) -> None:
    study = studies.unasked()
    complete = [v for v in study.variants if v.status == "measured"]
    wide = {**study.config, "isa": ["native", "avx512"], "isa_named": named}
    assert exit_code(study.model_copy(update={"variants": complete, "config": wide})) == code


def test_a_grid_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('threads = [1, 2]\nbatch-sizes = "2-4"\nisa = ["native", "avx2"]\nimage_size = 96\n')
    configuration = config("--grid", str(file), "--threads", "1")
    assert (configuration.threads, configuration.batch_sizes, configuration.isa, configuration.image_size) == (
        (1,),
        (2, 3, 4),
        ("native", "avx2"),
        96,
    )
    assert config("--grid", str(file)).threads == (1, 2)


def test_settings_are_the_product_of_the_axes_and_the_base_has_the_most_threads() -> None:
    configuration = config("--threads", "1,2", "--isa", "native,sse4", "--memory-format", "contiguous,channels_last")
    assert len(grid_points(configuration)) == len(set(grid_points(configuration))) == 8
    assert base(configuration) == GridPoint(2, "native", "contiguous")
    assert base(configuration) in grid_points(configuration)


def test_a_cap_is_part_of_the_environment_its_launcher_starts_with() -> None:
    capped, plain = GridPoint(1, "avx2").environment, GridPoint(1).environment
    assert {name: value for name, value in capped.items() if plain.get(name) != value} == {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2",
    }


def test_a_device_adds_its_own_settings_to_those_of_the_cpu() -> None:
    configuration = config("--device", "cuda", "--threads", "1,2", "--isa", "native,avx2")
    assert configuration.cuda == (CudaOptions(),)
    on_cpu = grid_points(config("--threads", "1,2", "--isa", "native,avx2"))
    assert grid_points(configuration) == [
        *on_cpu,
        GridPoint(2, cuda=CudaOptions()),
    ]  # neither threads nor caps act there
    assert base(configuration, "cuda") in grid_points(configuration) and base(configuration) in grid_points(
        configuration
    )
    assert {
        name: device_of(configuration, find_variant(name)) for name in ("fp64", "fp32", "int8-x86", "ort-fp32")
    } == {
        "fp64": "cpu",  # one reference for every device
        "fp32": "cuda",
        "int8-x86": "cpu",
        "ort-fp32": "cpu",
    }
    assert device_of(config(), find_variant("fp32")) == "cpu"


def test_a_grid_names_the_axes_that_only_a_device_has(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('tf32 = ["off", "on"]\ndeterministic = ["off", "on"]\ncublas-workspace = ["default", ":4096:8"]\n')
    configuration = config("--device", "cuda", "--grid", str(file))
    assert len(configuration.cuda) == len(set(configuration.cuda)) == 6  # deterministic cuBLAS needs a workspace
    assert all(options.cublas_workspace == ":4096:8" for options in configuration.cuda if options.deterministic == "on")
    assert len(grid_points(config("--device", "cuda", "--grid", "wide"))) > len(grid_points(config("--grid", "wide")))
    with pytest.raises(UsageError, match="tf32 is an axis of --device cuda only"):
        config("--grid", str(file))


def test_a_setting_of_a_device_reaches_its_launcher_its_runner_and_its_condition() -> None:
    options = CudaOptions(tf32="on", cublas_workspace=":16:8")
    point = GridPoint(2, memory_format="channels_last", cuda=options)
    assert point.environment.items() >= {"CUBLAS_WORKSPACE_CONFIG": ":16:8", "OMP_NUM_THREADS": "2"}.items()
    assert "CUBLAS_WORKSPACE_CONFIG" not in GridPoint(2, cuda=CudaOptions()).environment
    assert GridPoint(2).environment.keys() & {"CUBLAS_WORKSPACE_CONFIG", "PYTORCH_NVML_BASED_CUDA_CHECK"} == set()
    opened = RunnerSettings.of(json.loads(json.dumps(to_plain(point.runner))))
    assert opened == RunnerSettings(2, "channels_last", "cuda", options)
    assert GridPoint(1).runner == RunnerSettings(1)
    condition = Condition.model_validate_json(point.at(64).model_dump_json())
    assert (condition.device, condition.cuda) == ("cuda", options) and GridPoint.of(condition) == point
    assert point.words == "2 threads, channels_last, cuda, tf32 on, cublas workspace :16:8"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("threads = [", "is not TOML"),
        ("thread = 1", "did you mean 'threads'"),
        ("threads = 1.5", "must be a number, a word or a list"),
        ("threads = []", "must be a number, a word or a list"),
        ("threads = true", "must be a number, a word or a list"),
        ('isa = "avx3"', "did you mean 'avx2'"),
    ],
)
def test_a_bad_grid_is_one_clear_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=complaint) as raised:
        config("--grid", str(file))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--grid", "wider"], "there are default, wide"),
        (["--grid", "absent.toml"], "no file absent.toml"),
        (["--isa", "avx"], "did you mean 'avx2'"),
        (["--isa", ","], "There are native"),
        (["--memory-format", "channels-last"], "did you mean 'channels_last'"),
        (["--neighbours", "zero"], "did you mean 'zeros'"),
        (["--position", "0"], "must lie in 1 to"),
        (["--device", "gpu"], "did you mean '[a-z]+'. Studies run on cpu and cuda"),
        (["--image-size", "224,12"], "at least 32"),
        (["--threads", ""], "is not a number"),
    ],
)
def test_bad_axes_are_one_clear_line(argv: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        config(*argv)
