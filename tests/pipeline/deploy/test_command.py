from pathlib import Path

import numpy as np

from isobatch.pipeline.deploy.command import _ALL_IMAGES
from isobatch.pipeline.deploy.folder import store_images


def test_the_file_of_all_images_has_a_name_that_a_record_takes(tmp_path: Path) -> None:
    images = np.zeros((2, 3, 4, 4), np.float32)
    stored = store_images(images, "digits", tmp_path / _ALL_IMAGES)
    assert (stored.file, stored.n) == (_ALL_IMAGES, 2)
