"""What was fed in: weights, input sets, and the files that were left out."""

from isobatch.pipeline.records.study import InputSet, Study, Weights
from isobatch.reports import numbers
from isobatch.reports.blocks import Block, Code, Column, Definitions, Details, Line, Row, Table, line, table_of
from isobatch.reports.inputs_in_words import of_pictures
from isobatch.reports.sections import Section


def _row(inputs: InputSet) -> Row:
    return {
        Column("Input set"): inputs.name,
        Column("Source"): inputs.source,
        Column("Images", "number"): numbers.count(inputs.n),
        Column("Files", "number"): numbers.count(inputs.n_files) if inputs.n_files else None,
        Column("Shape"): " x ".join(map(str, inputs.shape)),
        Column("Labelled"): "yes" if inputs.labelled else "no",
        Column("Left out", "number"): numbers.count(len(inputs.skipped)),
        Column("SHA-256"): inputs.sha256[:12],
        Column("Note"): inputs.note or None,
    }


def _skipped(study: Study) -> list[Block]:
    rows = tuple(
        (inputs.name, left_out.get("file"), left_out.get("why"))
        for inputs in study.inputs
        for left_out in inputs.skipped
    )
    if not rows:
        return []
    columns = (Column("Input set"), Column("File"), Column("Why it was left out"))
    table = Table("Files that were left out.", columns, rows)
    return [Details(f"{numbers.counted(len(rows), 'file')} left out", (table,))]


def _preprocessing(weights: Weights) -> str:
    seen = weights.preprocessing
    return f"{seen.text} ({seen.source})" if seen else "not recorded"


def blocks(study: Study) -> list[Block]:
    """The weights, the table of input sets, the files left out."""
    weights = study.weights
    classes = (
        numbers.counted(weights.num_classes, "class", "classes") if weights.num_classes else "any number of classes"
    )
    known: tuple[tuple[str, Line], ...] = (
        ("Network", line(f"{weights.model}, {classes}")),
        ("Weights", line(weights.source, f": {weights.note}" if weights.note else "")),
        *((("Preprocessing of pictures", line(_preprocessing(weights))),) if of_pictures(study) else ()),
        ("SHA-256", line(Code(weights.sha256))),
    )

    caption = "Images: distinct by content. SHA-256: the first 12 digits, of the images as fed to the network."
    page: list[Block] = [Definitions(known)]
    if study.inputs:
        page.append(table_of(caption, map(_row, study.inputs)))
    return page + _skipped(study)


SECTION = Section(order=110, title="Weights and inputs", show="folded", write=blocks)
