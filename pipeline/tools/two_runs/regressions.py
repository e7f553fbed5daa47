"""What changed from one run to another, and which changes are regressions: the rules of the gate."""

from collections.abc import Collection, Mapping

from isobatch.pipeline.decide.ranges import range_words
from isobatch.pipeline.decide.recommend import as_good
from isobatch.pipeline.decide.repaired_variants import native_name, with_repairs
from isobatch.pipeline.records.study import VERDICTS, Cost, DecidedBy, Interval, Policy, Study, VariantResult
from isobatch.pipeline.records.wording import (
    condition_words,
    counted,
    held,
    listed,
    number,
    percent,
    points,
    two_decimals,
)
from isobatch.pipeline.tools.two_runs.records import ChangeKind, RunChange, SetCompared

LEFT_OUT = "left out by --budget"


def run_changes(a: Study, b: Study) -> list[RunChange]:
    """Changes of the runs as wholes: whether the policy is met, what is recommended, the answer."""
    changes = []
    if a.answer and b.answer and a.answer.verdict != b.answer.verdict:
        changes.append(RunChange("other", "answer", a.answer.verdict or "none", b.answer.verdict or "none"))
    if a.recommendation is None or b.recommendation is None:
        return changes
    chosen = [study.recommendation.chosen if study.recommendation else None for study in (a, b)]
    if a.recommendation.policy != b.recommendation.policy:
        note = "the policies differ, so meeting them is not compared"
        if chosen[0] != chosen[1]:
            changes.append(RunChange("other", "recommended", chosen[0] or "nothing", chosen[1] or "nothing", note=note))
    elif (chosen[0] is None) != (chosen[1] is None):
        kind: ChangeKind = "regression" if chosen[1] is None else "improvement"
        was, now = (f"met by {name}" if name else "not met" for name in chosen)
        (lacking, by) = (b, chosen[0]) if chosen[1] is None else (a, chosen[1])
        note = ""
        if untried := _left_out(lacking, str(by)):
            run = "B" if lacking is b else "A"
            kind, note = "other", f"run {run} left out {listed(untried)}: --budget gave no time"
        changes.append(RunChange(kind, "policy", was, now, note=note))
    elif chosen[0] != chosen[1]:
        pairs = (("A", a.recommendation, chosen[1]), ("B", b.recommendation, chosen[0]))
        unsure = [f"run {run} calls {other} as good" for run, decided, other in pairs if as_good(decided) == other]
        changes.append(RunChange("other", "recommended", str(chosen[0]), str(chosen[1]), note="; ".join(unsure)))
    return changes


def _left_out(study: Study, chosen: str) -> list[str]:
    """What the study's budget left out of what choosing the other run's choice takes: it, its repair, its accuracy."""
    native, demanded = native_name(chosen), study.recommendation
    needed = {native: native}
    if chosen != native:
        needed["explanation"] = "origins and repairs"
    if demanded is not None and demanded.policy.max_accuracy_drop is not None:
        needed["accuracy"] = "accuracy"
    if demanded is not None and _limits_time(demanded.policy):
        needed["race"] = "the race"
    return [words for what, words in needed.items() if what in study.left_out]


def _limits_time(policy: Policy) -> bool:
    limits = (policy.max_latency_ms, policy.max_latency_p99_ms, policy.min_throughput_img_s)
    return any(limit is not None for limit in limits)


def variant_changes(
    a: VariantResult,
    b: VariantResult,
    inputs: Mapping[str, str],
    left_out: tuple[Collection[str], Collection[str]] = ((), ()),
) -> list[RunChange]:
    """Changes of a variant that are not bound to one input set: its status, accuracy, repairs and cost.

    ``inputs``: the shared sets, by their names in run ``a`` to those in run ``b``; accuracy and cost count only there.
    ``left_out``: for which the budgets of runs ``a`` and ``b`` left no time; that is neither better nor worse.
    """
    if a.status != b.status:
        kind: ChangeKind = "other"
        out = [one.name in names for one, names in zip((a, b), left_out, strict=True)]
        if "measured" in (a.status, b.status) and not any(out):
            kind = "regression" if a.status == "measured" else "improvement"
        was, now = (LEFT_OUT if left else one.status for one, left in zip((a, b), out, strict=True))
        note = (b.reason if b.status != "measured" else a.reason) or ""
        return [RunChange(kind, "status", was, now, a.name, note=note)]
    return [*_accuracy(a, b, inputs), *_ranges(a, b), *_repairs(a, b), *_cost(a, b, inputs)]


def set_changes(a: VariantResult, b: VariantResult, compared: SetCompared, inputs_b: str) -> list[RunChange]:
    """Whether the verdict on one shared set (``inputs_b`` in run ``b``) changed, with what decided the worse one.

    Where the scopes differ, the note says so; a worse verdict over a wider scope is a regression all the same.
    """
    before, after = compared.verdict_a, compared.verdict_b
    if before == after or before is None or b.status != a.status:
        return []
    worse = after is None or VERDICTS.index(after) > VERDICTS.index(before)
    side, inputs = (b, inputs_b) if worse else (a, compared.inputs)
    decided = next((verdict.decided_by for verdict in side.by_inputs if verdict.inputs == inputs), None)
    note = "; ".join([*([_why(decided)] if decided else []), *compared.only_in_one])
    kind: ChangeKind = "regression" if worse else "improvement"
    return [RunChange(kind, "verdict", before, after or "none", a.name, compared.inputs, note)]


def _why(decided: DecidedBy) -> str:
    where = [f"N = {decided.batch_size}"] if decided.batch_size else []
    where += [condition_words(decided.condition)] if decided.condition else []
    return f"{decided.why.rstrip('.')} ({', '.join(where)})" if where else decided.why


def _accuracy(a: VariantResult, b: VariantResult, inputs: Mapping[str, str]) -> list[RunChange]:
    if a.accuracy is None or b.accuracy is None or inputs.get(a.accuracy.inputs) != b.accuracy.inputs:
        return []
    texts = []
    if a.accuracy_drop and b.accuracy_drop and a.accuracy_drop.decided != b.accuracy_drop.decided:
        decided = a.accuracy_drop.decided or "no limit", b.accuracy_drop.decided or "no limit"
        kinds: dict[tuple[str, str], ChangeKind] = {("met", "not-met"): "regression", ("not-met", "met"): "improvement"}
        note = f"accuracy drop {points(a.accuracy_drop.value)} and {points(b.accuracy_drop.value)}"
        kind = kinds.get(decided, "other")
        texts.append(RunChange(kind, "accuracy drop", decided[0], decided[1], a.name, note=note))
    if a.accuracy.n == b.accuracy.n and a.accuracy.top1 != b.accuracy.top1:
        before, after = percent(a.accuracy.top1), percent(b.accuracy.top1)
        texts.append(RunChange("other", "top-1", before, after, a.name, note=counted(a.accuracy.n, "labelled image")))
    return texts


def _ranges(a: VariantResult, b: VariantResult) -> list[RunChange]:
    """Ranges, of a repaired self too, of which one holds where the other fails; what was not run says nothing."""
    theirs, changes = {variant.name: variant.range for variant in with_repairs([b])}, []
    for variant in with_repairs([a]):
        before, after = variant.range, theirs.get(variant.name)
        if before is None or after is None:
            continue
        lost = any(n <= before.to for n in after.failed_at)
        if lost or any(n <= after.to for n in before.failed_at):
            kind: ChangeKind = "regression" if lost else "improvement"
            values = f"up to N = {before.to}", f"up to N = {after.to}"
            changes.append(
                RunChange(kind, "verified", *values, variant.name, note=range_words(after if lost else before))
            )
    return changes


def _repairs(a: VariantResult, b: VariantResult) -> list[RunChange]:
    """Repairs that hold in one run and were tried without success in the other. They do not gate: the policy does."""
    theirs = {repair.name: repair for repair in b.repairs or []}
    return [
        RunChange("other", f"repair {repair.name}", held(repair), held(theirs[repair.name]), a.name)
        for repair in a.repairs or []
        if repair.name in theirs and theirs[repair.name].state != repair.state
    ]


def _cost(a: VariantResult, b: VariantResult, inputs: Mapping[str, str]) -> list[RunChange]:
    """Latency and throughput whose 95 % intervals do not meet. They do not gate: a limit in the policy does."""
    mine, theirs = a.cost, b.cost
    if mine is None or theirs is None or inputs.get(mine.inputs) != theirs.inputs:
        return []
    texts = []
    for what, interval, other, unit in _priced(mine, theirs):
        if _disjoint(interval, other):
            ratio = f"{two_decimals(other.median / interval.median)} x; " if interval.median else ""
            note = f"{ratio}the 95 % intervals do not meet"
            values = f"{number(interval.median)} {unit}", f"{number(other.median)} {unit}"
            texts.append(RunChange("other", what, *values, a.name, note=note))
    if mine.size_bytes != theirs.size_bytes:
        texts.append(RunChange("other", "size", f"{mine.size_bytes:,} bytes", f"{theirs.size_bytes:,} bytes", a.name))
    return texts


def _priced(a: Cost, b: Cost) -> list[tuple[str, Interval, Interval, str]]:
    pairs: list[tuple[str, Interval, Interval, str]] = []
    if a.latency_ms and b.latency_ms:
        pairs.append(("latency at N = 1", a.latency_ms, b.latency_ms, "ms"))
    shared = [n for n in a.throughput_img_s if n in b.throughput_img_s and n != "1"]
    if shared:
        n = max(shared, key=int)
        pairs.append((f"throughput at N = {n}", a.throughput_img_s[n], b.throughput_img_s[n], "img/s"))
    return pairs


def _disjoint(a: Interval, b: Interval) -> bool:
    if a.low95 is None or a.high95 is None or b.low95 is None or b.high95 is None:
        return False  # timed once: nothing can be said
    return a.high95 < b.low95 or b.high95 < a.low95
