"""What ``run.py ops`` found, in blocks: the map of operation x arithmetic x N, its classes of N, and its scope."""

from collections.abc import Iterator

from isobatch.pipeline.tools.ops.measure import InArithmetic, OperationResult, OpsReport
from isobatch.reports import numbers, views
from isobatch.reports.blocks import STATE_SIGNS, Block, Bullets, Code, Column, Line, Paragraph, Table, Written, line

_EQUAL, _DIFFERS = STATE_SIGNS["yes"], STATE_SIGNS["no"]
_ROOM = 66  # columns of a terminal of 100 that the operations' names leave


def sections(report: OpsReport) -> tuple[Written, ...]:
    """The map, what it says in classes of N, and its scope."""
    return (
        Written("map", "Operation by arithmetic by N", "first", tuple(_map(report))),
        Written("classes", "Where rows differ: classes of N", "open", tuple(_classes(report))),
        Written("scope", "Scope", "open", tuple(_scope(report))),
    )


def _looked_into(report: OpsReport) -> list[InArithmetic]:
    return [result for result in report.results if result.status == "measured"]


def _map(report: OpsReport) -> Iterator[Block]:
    """As many tables as the signs, one for each N, need to stand side by side on a terminal."""
    results = _looked_into(report)
    parts: list[list[InArithmetic]] = []
    room = 0
    for arithmetic in results:
        width = max(len(arithmetic.arithmetic), len(report.batch_sizes)) + 1
        if not parts or width > room:
            parts.append([])
            room = _ROOM
        parts[-1].append(arithmetic)
        room -= width
    yield from (_table(report, part) for part in parts)
    for result in report.results:
        if result.status != "measured":
            remedy = f" ({result.remedy})" if result.remedy else ""
            yield Paragraph(line(Code(result.arithmetic), f" {result.status}: {result.reason}{remedy}."))
    if notes := [arithmetic.note for arithmetic in results if arithmetic.note]:
        yield Bullets(tuple(line(f"{note}.") for note in notes))


def _table(report: OpsReport, results: list[InArithmetic]) -> Table:
    names = list(dict.fromkeys(op.operation for arithmetic in results for op in arithmetic.operations))
    by_name = [{op.operation: op for op in arithmetic.operations} for arithmetic in results]
    sizes = ", ".join(map(str, report.batch_sizes))
    caption = (
        f"One sign for each N, in the order {sizes}: {_EQUAL} every row has, byte for byte, the bytes it has alone; "
        f"{_DIFFERS} some row has not. A dash: there is no such operation in that arithmetic."
    )
    columns = (Column("Operation", "name"), *(Column(arithmetic.arithmetic) for arithmetic in results))
    rows = ((name, *(_signs(operations.get(name)) for operations in by_name)) for name in names)
    return Table(caption, columns, tuple(rows))


def _signs(operation: OperationResult | None) -> str | None:
    if operation is None:
        return None
    return "".join(_DIFFERS if at.elements_differing else _EQUAL for at in operation.sizes)


def _classes(report: OpsReport) -> Iterator[Block]:
    """Operations of one arithmetic that fall into the same classes of N share a line."""
    alike = views.together(
        ((arithmetic.arithmetic, numbers.batch_classes(op.classes)), op.operation)
        for arithmetic in _looked_into(report)
        for op in arithmetic.operations
        if len(op.classes) > 1
    )
    if not alike:
        none = "No row of any operation depended on N." if _looked_into(report) else "No arithmetic could be measured."
        yield Paragraph(line(none))
        return
    caption = "Batch sizes within one pair of braces gave the same bytes. Every operation not named: one class."
    columns = (Column("Arithmetic", "name"), Column("Classes of N"), Column("Operations"))
    yield Table(caption, columns, tuple((*key, "; ".join(names)) for key, names in alike.items()))


def _scope(report: OpsReport) -> Iterator[Block]:
    results = _looked_into(report)
    yield Bullets(tuple(_trials(a) for a in results if a.operations))
    odd = [(a.arithmetic, op.operation) for a in results for op in a.operations if not op.repeatable]
    repeats = "Every operation gave the same bytes again after all other N had run."
    if odd:
        which = views.listing(f"{operation} in {arithmetic}" for arithmetic, operation in odd)
        repeats = f"Not repeatable, so that nothing can be said of N: {which}."
    if results:
        yield Paragraph(line(repeats))
    machine = report.environment
    yield Paragraph(
        line(
            f"{machine.cpu}, {machine.isa_hardware}, {numbers.counted(machine.threads, 'thread')}; "
            f"{', '.join(f'{name} {version}' for name, version in machine.packages.items())}. "
            f"Normal values from seed {report.seed} at the shapes of ResNet50 at 224 x 224. "
            "It holds for this machine, these versions and these values, and names no cause. Detection limit: a "
            "difference at least this frequent would have been seen in every operation with 95 % confidence, if "
            "elements were independent; they are not quite."
        ),
        small=True,
    )


def _trials(arithmetic: InArithmetic) -> Line:
    compared = [sum(at.elements for at in op.sizes) for op in arithmetic.operations]
    differing = [op for op in arithmetic.operations if len(op.classes) > 1]
    comparisons = sum(len(op.sizes) for op in arithmetic.operations)
    return line(
        Code(arithmetic.arithmetic),
        f": {numbers.out_of(len(differing), len(arithmetic.operations), 'operation', 'differ')}; "
        f"{numbers.counted(comparisons, 'comparison')} of {numbers.count(sum(compared))} elements; "
        f"detection limit 1 of {numbers.one_of(3 / min(compared))} elements",
    )
