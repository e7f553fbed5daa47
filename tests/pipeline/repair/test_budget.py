from isobatch.pipeline.study.worth_repairing import Budget


def test_what_one_variant_does_not_use_of_the_time_is_the_others() -> None:
    budget = Budget(180.0, 3)
    assert budget.share_s() == 60
    budget.spend(10)
    assert budget.share_s() == 85
    budget.spend(200)
    assert budget.share_s() == 1, "the last one is given a moment, and says that there was no time"
    budget.spend(1)
    assert budget.share_s() == 1
