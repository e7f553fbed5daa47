"""Sets that are made again at other sizes of the study, told by their names."""

from argparse import Namespace
from dataclasses import replace

import pytest

from isobatch.pipeline.config.config import read_config
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.prepare.inputs import of_other_size


@pytest.mark.parametrize(
    ("name", "other"), [("photos", False), ("photos-48px", True), ("photos-64x128px", True), ("photos-32px", False)]
)
def test_a_set_of_another_size_is_known_by_its_name(name: str, other: bool) -> None:
    plain = read_config(Namespace(**vars(study_parser().parse_args([]))))
    assert of_other_size(name, replace(plain, also_sizes=(48, (64, 128)))) is other
    assert of_other_size(name, plain) is False
