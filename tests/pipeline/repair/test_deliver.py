"""The files of what a repair hands over."""

import pytest

from isobatch.pipeline.deploy.record import StoredInputs
from isobatch.pipeline.repair import deliver


@pytest.mark.parametrize("name", ["digits", "my.data", "a" * 80, "one, two", "\N{SNOWMAN}"])
def test_images_of_any_name_lie_in_a_file_that_a_record_takes(name: str) -> None:
    file = deliver._file_name(name, 2)
    assert StoredInputs(name=name, file=file, sha256="0" * 64, n=1).file == file
    assert file == "images-digits.npy" or file.startswith("images-2-")
