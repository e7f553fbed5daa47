from pathlib import Path

import pytest

from isobatch.models.registry import all_variants, installed
from isobatch.pipeline.config.config import Config, explains, read_config
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.config.policy_flags import read_policy
from isobatch.pipeline.records.errors import Exit, UsageError, worst
from isobatch.reports.commands import find_command


def config(*argv: str) -> Config:
    return read_config(study_parser().parse_args(argv))


def test_all_is_every_variant_not_marked_optional_whose_extra_is_installed() -> None:
    rows = [row for row in all_variants() if not row.optional]
    assert config().variants == tuple(row.name for row in rows if not row.extra or installed(row))
    assert {row.name for row in rows if not row.extra} <= set(config().variants)


def test_named_variants_keep_their_order_once() -> None:
    assert config("--variants", "ort-int8,fp32,ort-int8").variants == ("ort-int8", "fp32")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("2,4,8", (2, 4, 8)), ("8,2", (2, 8)), ("1-4", (2, 3, 4)), ("1", ()), ("2-3,3-4", (2, 3, 4))],
)
def test_batch_sizes(asked: str, expected: tuple[int, ...]) -> None:
    assert config("--batch-sizes", asked).batch_sizes == expected


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--variants", "ort-int9"], "did you mean 'ort-int8'"),
        (["--variants", ","], "no variant is named"),
        (["--batch-sizes", "0"], "must lie in 1 to"),
        (["--batch-sizes", "four"], "'four' is not a number"),
        (["--batch-sizes", "4-2"], "rising"),
        (["--batch-sizes", "1-999999999"], "must lie in 1 to"),
        (["--threads", "4096"], "must lie in 1 to 1024"),
        (["--images", "0"], "at least 1"),
        (["--images", "1.5"], "not a whole number"),
        (["--max-accuracy-drop", "nan"], "not a number of at least 0"),
        (["--max-latency-ms", "-1"], "not a number of at least 0"),
        (["--budget", "-5s"], "--budget '-5s' is no time above 0"),
        (["--race-seconds", "-5s"], "--race-seconds '-5s' is not a number of at least 0"),
        (["--cost-margin", "-.5"], "--cost-margin '-.5' is not a number of at least 0"),
        (["--cost-margin", "-inf"], "--cost-margin '-inf' is not a number of at least 0"),
        (["--certify", "-1,8"], "--certify '-1,8': '-1' is not a number or range"),
        (["--policy", "perfect"], "invalid choice"),
        (["--nonsense"], "unrecognized arguments"),
        (["--varaints", "fp32"], r"unrecognized arguments: --varaints fp32: did you mean --variants\?"),
    ],
)
def test_bad_flags_are_one_clear_line(argv: list[str], text: str) -> None:
    with pytest.raises(UsageError, match=text) as raised:
        config(*argv)
    assert "\n" not in str(raised.value)


def test_the_digest_stands_for_the_evidence_not_for_how_it_is_shown() -> None:
    assert config().digest == config("--quiet", "--out", "elsewhere", "--max-accuracy-drop", "1").digest
    assert config().digest != config("--quick").digest
    assert config().digest != config("--batch-sizes", "2").digest


def test_policy_flags() -> None:
    flags = read_policy(
        find_command("recommend").parser().parse_args(["run", "--policy", "none", "--max-size-mb", "50"])
    )
    assert (flags.stability, flags.max_size_mb, flags.max_accuracy_drop) == ("none", 50.0, None)


def test_a_policy_file_says_what_no_flag_does(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('stability = "top1-stable"\nmax_size_mb = 50\nobjective = "latency"\n')
    flags = config("--policy-file", str(file), "--max-size-mb", "20").policy
    assert (flags.stability, flags.max_size_mb, flags.objective) == ("top1-stable", 20.0, "latency")
    assert config("--policy-file", str(file), "--objective", "throughput").policy.objective == "throughput"


def test_a_policy_file_has_the_names_of_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('policy = "none"\nmax-size-mb = 50\nmin-throughput = 7\n')
    flags = config("--policy-file", str(file)).policy
    assert (flags.stability, flags.max_size_mb, flags.min_throughput_img_s) == ("none", 50.0, 7.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("stability = 'perfect'", "stability is 'perfect', and can be batch-invariant, top1-stable, none"),
        ("max_size = 3", "has 'max_size'; a policy has policy, min-throughput, max-accuracy-drop, "),
        ("max_size_mb = true", "must be a number"),
        ("max_size_mb = nan", "not a number of at least 0"),
        ("max_size_mb =", "is not TOML"),
        (None, "no file .*: give a TOML file"),
    ],
)
def test_a_bad_policy_file_is_one_clear_line(tmp_path: Path, text: str | None, complaint: str) -> None:
    file = tmp_path / "policy.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        config("--policy-file", str(file))


def test_precedence_of_exit_codes() -> None:
    assert worst(Exit.DONE, Exit.PARTIAL, Exit.NOT_MET) == Exit.NOT_MET
    assert worst(Exit.NOT_MET, Exit.TOOL) == Exit.TOOL
    assert worst(Exit.USAGE, Exit.TOOL) == Exit.USAGE
    assert worst() == Exit.DONE


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "default"),
        (["--explain", "full"], "full"),
        (["--no-explain"], "none"),
        (["--explain", "full", "--no-explain"], "none"),
    ],
)
def test_how_far_origins_are_sought_is_one_setting(argv: list[str], expected: str) -> None:
    assert config(*argv).explain == expected
    assert explains(config(*argv).decisive()) is (expected != "none")


@pytest.mark.parametrize(("flags", "expected"), [([], (True, True)), (["--no-repair"], (True, False))])
def test_repairs_are_skipped_on_request(flags: list[str], expected: tuple[bool, bool]) -> None:
    configuration = read_config(study_parser().parse_args(["--variants", "fp32", *flags]))
    assert (explains(configuration.decisive()), configuration.repair) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], 60.0), (["--quick"], 20.0), (["--quick", "--race-seconds", "5"], 5.0), (["--race-seconds", "0"], 0.0)],
)
def test_the_race_has_a_minute_unless_told_otherwise(flags: list[str], expected: float) -> None:
    assert config("--variants", "fp32", *flags).race_s == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], (*range(2, 33),)), (["--quick"], (*range(2, 17),)), (["--certify", "1-3,8"], (2, 3, 8))],
)
def test_the_choice_is_verified_at_every_n_unless_told_otherwise(flags: list[str], expected: tuple[int, ...]) -> None:
    assert config(*flags).certify == expected
    assert config(*flags, "--certify", "off").certify == ()
    with pytest.raises(UsageError, match="--certify names only 1"):
        config(*flags, "--certify", "1")


def test_margins_and_limits_of_cost_are_part_of_the_policy() -> None:
    policy = config("--cost-margin", "3", "--max-latency-p99-ms", "20").policy
    assert (policy.cost_margin, policy.max_latency_p99_ms) == (3.0, 20.0)
    assert config().policy.cost_margin is None  # the policy's own default
