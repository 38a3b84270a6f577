"""A bound on a figure, or on its ratio to another one."""

from benchmarks.targets import TARGETS, Figure, Target


def answers(**rates):
    return {
        "drain": {
            name.replace("_", "-"): {"rows": [{"kind": "default", "per_second": rate}]} for name, rate in rates.items()
        }
    }


BESIDE_AWA = Target("", Figure("drain", "ours", "default"), at_least=2, beside=Figure("drain", "awa", "default"))


def test_a_ratio_is_to_the_best_of_its_set_ups():
    measured = answers(ours=300.0, awa_2=10.0, awa_64=100.0)
    assert BESIDE_AWA.measured(measured) == (300, 100, 3)
    assert BESIDE_AWA.reached(measured) is True
    assert BESIDE_AWA.reached(answers(ours=199.0, awa_64=100.0)) is False


def test_ours_is_not_that_on_another_database():
    assert BESIDE_AWA.measured(answers(ours_sqlite=900.0, ours=300.0, awa_2=100.0))[0] == 300


def test_what_was_not_measured_is_neither_reached_nor_missed():
    assert BESIDE_AWA.reached(answers(ours=300.0)) is None
    assert all(target.reached({}) is None for target in TARGETS)


def test_a_bound_from_above_of_nothing_is_reached_by_nothing_only():
    lost = Target("", Figure("drain", "ours", "default"), at_most=0)
    assert lost.reached(answers(ours=0)) is True
    assert lost.reached(answers(ours=1)) is False
