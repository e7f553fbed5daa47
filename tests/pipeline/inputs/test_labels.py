import pytest

from isobatch.pipeline.inputs.labels import class_index

NAMES = ("tench", "golden retriever", "crane", "T-shirt", "crane")


@pytest.mark.parametrize(
    ("folder", "index"),
    [("0", 0), ("004", 4), ("tench", 0), ("Golden_Retriever", 1), ("golden-retriever", 1), ("t shirt", 3)],
)
def test_an_index_or_a_name(folder: str, index: int) -> None:
    assert class_index(folder, NAMES, None) == index


@pytest.mark.parametrize(
    ("folder", "names", "classes", "why"),
    [
        ("5", NAMES, None, "outside 0 to 4"),
        ("1000", None, 1000, "outside 0 to 999"),
        ("holiday", NAMES, None, "neither a class index nor a class name"),
        ("holiday", None, 1000, "name no classes"),
        ("-1", None, 1000, "no class index"),
        ("²", NAMES, None, "neither"),
        ("crane", NAMES, None, r"\[2, 4\]"),
    ],
)
def test_what_names_no_class(folder: str, names: tuple[str, ...] | None, classes: int | None, why: str) -> None:
    with pytest.raises(LookupError, match=why):
        class_index(folder, names, classes)


def test_any_index_where_the_number_of_classes_is_unknown() -> None:
    assert class_index("123456", None, None) == 123456
