import json
from pathlib import Path

import numpy as np
import pytest

from isobatch.pipeline.inputs import InputError
from isobatch.pipeline.inputs.labels import class_index
from isobatch.pipeline.inputs.labels_file import array_labels, labels_by_name, labels_in_order, read_classes

from .helpers import only_set, pictures

FLOATS = np.random.default_rng(0).standard_normal((9, 3, 6, 7)).astype(np.float32)


def written(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "cat\n\ndog\n"),
        ("classes.json", '["cat", "dog"]'),
        ("classes.json", '{"1": "dog", "0": "cat"}'),
        ("classes.json", '{"dog": 1, "cat": 0}'),
    ],
)
def test_names_of_classes_in_their_order(name: str, text: str, tmp_path: Path) -> None:
    assert read_classes(written(tmp_path, name, text), 2) == ("cat", "dog")


def test_imagenets_own_lists_name_a_class_in_each_way(tmp_path: Path) -> None:
    index = json.dumps({"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]})
    for name, text in (("index.json", index), ("words.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish")):
        names = read_classes(written(tmp_path, name, text), 2)
        assert [class_index(folder, names, 2) for folder in ("n01440764", "Tench", "n01443537")] == [0, 0, 1]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("c.txt", "cat\n", "names 1 classes, and the network has 2"),
        ("c.json", "{", "is not JSON such as"),
        ("c.json", '{"0": "cat", "7": "dog"}', "has not every index from 0 to 1 once"),
    ],
)
def test_what_names_no_classes(name: str, text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=complaint) as refusal:
        read_classes(written(tmp_path, name, text), 2)
    assert refusal.value.code == "classes-file"


@pytest.mark.parametrize("text", ["0\n2\n1\n", "label\n0\n2\n1\n", "a.png,0\nb.png,2\nc.png,1\n", "cat\nfox\ndog\n"])
def test_labels_in_the_order_of_an_array(text: str, tmp_path: Path) -> None:
    labels = labels_in_order(written(tmp_path, "l.csv", text), 3, ("cat", "dog", "fox"), 3)
    assert (labels.classes, labels.how) == ((0, 2, 1), "from l.csv")


def test_labels_by_the_name_of_their_file(tmp_path: Path) -> None:
    file = written(tmp_path, "l.csv", "file,label\na.png,1\nsub/b.png,0\n")
    assert labels_by_name(file, ["a.png", "sub/b.png", "other/a.png"], None, 2).classes == (1, 0, 1)
    with pytest.raises(InputError, match=r"has no row for c\.png"):
        labels_by_name(file, ["c.png"], None, 2)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (np.zeros(2, int), r"are int64 \[2\]: integers \[3\] are needed"),
        (np.zeros(3), "are float64"),
        (np.array([0, 1, 5]), "run from 0 to 5: the classes are 0 to 4"),
        (np.array([0, 1, -1]), "run from -1"),
    ],
)
def test_arrays_that_are_no_labels(labels: np.ndarray, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        array_labels(labels, 3, 5, "l.npy")


@pytest.mark.parametrize("name", ["labels", "y", "targets"])
def test_labels_beside_the_images_in_one_file(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=FLOATS, **{name: np.arange(9)})
    prepared_set = only_set(tmp_path, tmp_path / "mine.npz", num_classes=9)
    assert (prepared_set.record.name, prepared_set.record.labelled) == ("mine", True)
    assert prepared_set.record.note.endswith("labels: from mine.npz")
    images = prepared_set.evaluation
    assert images.labels is not None
    assert all(np.array_equal(images.read(i, i + 1)[0], FLOATS[label]) for i, label in enumerate(images.labels))
    assert prepared_set.labelled is not None
    larger = prepared_set.labelled().images
    assert larger.labels is not None and len(larger) == len(larger.labels) == 6


def test_an_npz_without_images_says_how_to_name_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", a=FLOATS, b=FLOATS)
    with pytest.raises(InputError, match="holds a, b: call the images 'images'"):
        only_set(tmp_path, tmp_path / "mine.npz")
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04junk")
    with pytest.raises(InputError, match="holds no readable"):
        only_set(tmp_path, tmp_path / "junk.npz")


def test_a_labels_file_for_an_array_and_for_a_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", FLOATS)
    prepared_set = only_set(tmp_path, tmp_path / "mine.npy", labels_file=str(written(tmp_path, "l.csv", "1\n" * 9)))
    assert prepared_set.evaluation.labels == (1,) * 6
    folder = pictures(tmp_path / "pictures", "a.png", "b.png")
    file = written(tmp_path, "l.csv", "a.png,3\nb.png,4\n")
    assert only_set(tmp_path, folder, labels_file=str(file)).evaluation.labels == (3, 4)
