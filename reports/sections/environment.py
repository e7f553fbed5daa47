"""The machine and its libraries: part of every verdict's scope."""

from isobatch.pipeline.records.study import Study
from isobatch.reports import numbers
from isobatch.reports.blocks import Block, Code, Column, Definitions, Details, Line, Paragraph, Table, line
from isobatch.reports.facts_in_words import in_words
from isobatch.reports.sections import Section


def _pairs(caption: str, title: str, facts: dict[str, str]) -> list[Block]:
    columns = (Column(title, "name"), Column("Value"))
    return [Table(caption, columns, tuple(sorted(facts.items())))] if facts else []


def blocks(study: Study) -> list[Block]:
    """The machine, the instruction sets in effect, the libraries, the settings and the configuration."""
    machine = study.environment
    facts: tuple[tuple[str, Line], ...] = (
        ("Processor", line(f"{machine.cpu}, {numbers.counted(machine.cores, 'core')}, {machine.isa_hardware}")),
        ("Memory", line(numbers.size(machine.memory_bytes))),
        *((name[0].upper() + name[1:], line(value)) for name, value in machine.device.items()),
        ("System", line(f"{machine.os}, Python {machine.python}")),
        ("Threads", line(numbers.count(machine.threads))),
        ("Program", line(f"{study.tool.name} {study.tool.version}, run ", Code(study.run_id))),
    )
    scope = (
        "A verdict holds for these weights, images, batch sizes and conditions, on this machine with these libraries. "
        "It is evidence, not proof: another processor or library version may run other kernels."
    )
    tables = [
        *_pairs("Instruction sets in effect, as the libraries report them.", "Library", machine.isa_effective),
        *_pairs("Versions.", "Package", machine.packages),
        *_pairs("Environment variables of the workers.", "Variable", machine.settings),
        *_pairs(
            "The configuration of the study.", "Key", {key: in_words(value) for key, value in study.config.items()}
        ),
    ]
    page: list[Block] = [Paragraph(line(scope)), Definitions(facts)]
    return [*page, Details("Instruction sets, versions, settings, configuration", tuple(tables))] if tables else page


SECTION = Section(order=130, title="Environment and scope", show="folded", write=blocks)
