from pathlib import Path

import pytest

from pipeline.conditions import Setting, base, settings
from pipeline.config import Config, read_config, study_parser
from pipeline.errors import Exit, UsageError
from pipeline.study import exit_code
from tests.reports import studies


def config(*argv: str) -> Config:
    return read_config(study_parser().parse_args(argv))


def test_the_default_grid_is_one_native_setting() -> None:
    found = config()
    assert settings(found) == [base(found)]
    assert (found.isa, found.memory_format, found.position, found.neighbours) == (
        ("native",),
        ("contiguous",),
        (1,),
        ("outlier",),
    )
    assert (found.image_size, found.also_sizes) == (None, ())  # that of the weights


def test_an_explicit_flag_replaces_one_axis_of_a_grid() -> None:
    found = config("--grid", "wide", "--isa", "sse4", "--image-size", "64")
    assert found.isa == ("sse4",)
    assert (found.image_size, found.also_sizes, found.isa_named) == (64, (), True)
    assert found.memory_format == ("contiguous", "channels_last")  # the grid's own
    assert found.neighbours == ("outlier", "zeros", "constant", "random", "worst")


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
    found = config("--grid", str(file), "--threads", "1")
    assert (found.threads, found.batch_sizes, found.isa, found.image_size) == ((1,), (2, 3, 4), ("native", "avx2"), 96)
    assert config("--grid", str(file)).threads == (1, 2)


def test_settings_are_the_product_of_the_axes_and_the_base_has_the_most_threads() -> None:
    found = config("--threads", "1,2", "--isa", "native,sse4", "--memory-format", "contiguous,channels_last")
    assert len(settings(found)) == len(set(settings(found))) == 8
    assert base(found) == Setting(2, "native", "contiguous")
    assert base(found) in settings(found)


def test_a_cap_is_part_of_the_environment_its_launcher_starts_with() -> None:
    capped, plain = Setting(1, "avx2").environment, Setting(1).environment
    assert {name: value for name, value in capped.items() if plain.get(name) != value} == {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("threads = [", "is not TOML"),
        ("thread = 1", "did you mean threads"),
        ("threads = 1.5", "must be a number, a word or a list"),
        ("threads = []", "must be a number, a word or a list"),
        ("threads = true", "must be a number, a word or a list"),
        ('isa = "avx3"', "did you mean 'avx2'"),
    ],
)
def test_a_bad_grid_is_one_clear_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=complaint) as found:
        config("--grid", str(file))
    assert "\n" not in str(found.value)


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
        (["--image-size", "224,12"], "at least 32"),
        (["--threads", ""], "is not a number"),
    ],
)
def test_bad_axes_are_one_clear_line(argv: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        config(*argv)
