"""Whatever the evidence and the policy: what is chosen keeps the policy, and no sentence contradicts another fact."""

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from isobatch.pipeline.decide.choice import dominates
from isobatch.pipeline.decide.contenders import failing, standings
from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.records.study import Policy, Race, VariantResult
from tests.pipeline.decide.test_ranges import verified
from tests.pipeline.results import agreed, race, repair, result

SPEEDS = (40.0, 98.0, 100.0, 101.0, 190.0)


def made(at: int, row: tuple[Any, ...]) -> VariantResult:
    verdict, speed, size, same, drop, tested, mended = row
    more: dict[str, Any] = {"agreement": agreed(same, 16), "range": tested}
    repairs = [repair(ratio=mended), repair("one-thread", ratio=0.5)] if mended else []
    return result(f"v{at}", verdict, per_second=speed, size_mb=size, discordant=drop, top1=0.9, repairs=repairs, **more)


rows = st.tuples(
    st.sampled_from(["batch-invariant", "batch-invariant", "top1-stable", "batch-variant", "invalid"]),
    st.sampled_from(SPEEDS),
    st.sampled_from([25.0, 25.5, 100.0]),
    st.sampled_from([3, 15, 16]),
    st.sampled_from([None, (0, 0, 400), (8, 0, 400), (40, 0, 400)]),
    st.sampled_from([None, None, verified(), verified(11, (12, "batch", 1)), verified(4, (5, "copies", 0))]),
    st.sampled_from([None, None, 0.97]),
)
studies = st.lists(rows, min_size=1, max_size=5).map(lambda every: [made(at, row) for at, row in enumerate(every)])
policies = st.builds(
    Policy,
    stability=st.sampled_from(["batch-invariant", "top1-stable", "none"]),
    max_accuracy_drop=st.sampled_from([None, 2.0]),
    min_agreement=st.sampled_from([0.0, 90.0, 100.0]),
    max_latency_ms=st.sampled_from([None, 25.0, 81.0]),
    min_throughput_img_s=st.sampled_from([None, 60.0, 99.0]),
    max_size_mb=st.sampled_from([None, 30.0]),
    objective=st.sampled_from(["throughput", "latency", "size"]),
)


@st.composite
def raced(draw: st.DrawFn, variants: list[VariantResult]) -> Race | None:
    """A race of some of them at other speeds than the passes had; or none."""
    names = [name for v in variants for name in (v.name, *(f"{v.name}__{r.name}" for r in v.repairs or ()))]
    speeds = draw(st.dictionaries(st.sampled_from(names), st.sampled_from(SPEEDS), max_size=4))
    return race(draw(st.sampled_from([6, 12])), **speeds) if speeds else None


@settings(max_examples=80)
@given(st.data(), studies, policies)
def test_the_choice_keeps_the_policy_and_its_sentences_agree(
    data: st.DataObject, variants: list[VariantResult], policy: Policy
) -> None:
    run = data.draw(raced(variants))
    decided, stands = recommend(variants, policy, run), standings(variants, policy, run)
    why = {rejected.variant: rejected.why for rejected in decided.rejected}
    assert sorted([*why, *([decided.chosen] if decided.chosen else [])]) == sorted(v.name for v in stands.every)
    assert {name for name, text in why.items() if text.startswith("meets the policy")} == {
        contender.name for contender in stands.contenders if contender.name != decided.chosen
    }
    told = "\n".join([*decided.because, *decided.warnings, *decided.ties, *decided.would_change, *why.values()])
    assert not re.search(r"\b(None|nan|inf)\b", told)
    if decided.chosen is None:
        assert not stands.contenders
        return
    n, work = decided.batch_size, decided.at_work
    assert not failing(stands.find(decided.chosen), policy, stands.raced.get(decided.chosen))
    assert n is not None and {int(at) for at in re.findall(r"img/s at N = (\d+)", " ".join(decided.because))} <= {n}
    assert (decided.decided_by == "only-candidate") == (len(stands.contenders) == 1)
    if work is not None:
        slowest = work.call_ms.median.upper95
        assert work.batch_size == n and slowest is not None
        assert policy.max_latency_ms is None or slowest <= policy.max_latency_ms
        assert policy.min_throughput_img_s is None or 1e3 * n / slowest >= policy.min_throughput_img_s
    chosen = next(contender for contender in stands.contenders if contender.name == decided.chosen)
    fast = {
        name for name, is_ in (decided.race.standings if decided.race else {}).items() if is_ in ("leader", "as-fast")
    }
    assert chosen.name in fast or not fast
    rivals = [other for other in stands.contenders if other.name in fast and other is not chosen]
    assert not any(dominates(rival, chosen, policy.cost_margin / 100) for rival in rivals)
    for text in (text for text in decided.warnings if text.startswith("No candidate when")):
        assert run is not None
        assert not {contestant.variant for contestant in run.contestants} & set(re.findall(r"v\d[+\w-]*", text))
