"""A fault while one variant is looked at is that variant's failure: it is told, and the others go on."""

import traceback
from collections.abc import Callable
from typing import TypeVar

from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes import stopping
from isobatch.pipeline.records.errors import EngineError, StoreError, UsageError, WorkerError
from isobatch.pipeline.records.study import VariantResult

T = TypeVar("T")

EVERYBODYS = (UsageError, StoreError, EngineError)
"""What ends a study whatever is being looked at: its input, its disk and its machines are shared by all variants."""

REMEDY = "run the study again with --debug and report what it prints; the other variants are not concerned"


def fault(doing: str, error: Exception) -> WorkerError:
    """What went wrong in this process while ``doing`` something for one variant, as what went wrong in a worker."""
    stopping.look(error)  # an import that a signal broke off is no fault
    if isinstance(error, WorkerError):
        return error
    text = " ".join(str(error).split())
    trace = "".join(traceback.format_exception(error))
    return WorkerError(f"{doing} failed: {type(error).__name__}: {text}", type(error).__name__, REMEDY, trace)


def compared_apart(stages: Stages, name: str, look: Callable[[str], T], failed: Callable[[str], T]) -> T:
    """``look(name)`` of a variant's outputs; where it raises, the variant has failed, and ``failed(name)``."""
    try:
        return look(name)
    except EVERYBODYS:
        raise
    except Exception as error:
        stages.fail(name, fault("comparing its outputs", error))
        return failed(name)


def decided(
    stages: Stages, results: list[VariantResult], doing: str, decide: Callable[[list[VariantResult]], T]
) -> tuple[T | None, list[VariantResult]]:
    """``decide(results)``, and the results that it was decided over.

    Where it raises, a variant for which it raises alone too has failed, and the others are decided over. Where it
    raises all the same there is no decision, and a warning says so.
    """
    try:
        return decide(results), results
    except Exception as error:
        stopping.look(error)
        results = [_alone(stages, result, doing, decide) for result in results]
    try:
        return decide(results), results
    except Exception as error:
        stages.warn("lost-part", f"{fault(doing, error)}; the variants' own results stand")
        return None, results


def _alone(
    stages: Stages, result: VariantResult, doing: str, decide: Callable[[list[VariantResult]], object]
) -> VariantResult:
    try:
        decide([result])
    except Exception as error:
        stages.fail(result.name, fault(doing, error))
        return without_results(stages, result)
    return result


def without_results(stages: Stages, result: VariantResult) -> VariantResult:
    """The record of a variant that has failed: what it is, and why there is no more."""
    kept = ("name", "runtime", "precision", "role", "device", "summary", "recipe", "notes", "not_run")
    return VariantResult(**{name: getattr(result, name) for name in kept} | vars(stages.failures[result.name]))
