"""The oracle and the product agree on random histories, and on those where they once did not."""

import multiprocessing
from collections import Counter
from pathlib import Path

import pytest
from oracle.agreement import difference, disagreements, restored

from consentry.terms import Reason

SETTLED = sorted(Path(__file__).with_name("settled").glob("*.json"))
FAST, SLOW, DEEP = 300, 5_000, 100_000
PROCESSES = 2
CHUNK = 250
SHOWN = 5


def _compare(seeds: range) -> tuple[list[str], Counter[str]]:
    counts: Counter[str] = Counter()
    found = [str(one) for seed in seeds for one in disagreements(seed, counts)]
    return found, counts


def _chunks(first: int, count: int) -> list[range]:
    return [range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]


def _agree_on(first: int, count: int) -> Counter[str]:
    """Compare in several processes, and say how far they are."""
    counts: Counter[str] = Counter()
    differing: list[str] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES) as pool:
        for done, (found, answered) in enumerate(pool.imap(_compare, _chunks(first, count)), start=1):
            differing += found
            counts += answered
            if done % 20 == 0:
                print(f"{done * CHUNK} of {count} histories, {len(differing)} disagreements", flush=True)
    print(f"{count} histories, {counts.total()} questions, {len(differing)} disagreements")
    for reason, times in counts.most_common():
        print(f"  {reason:<28} {times:>8}")
    assert not differing, "\n\n".join([f"{len(differing)} disagreements", *differing[:SHOWN]])
    return counts


def test_oracle_and_product_agree_on_three_hundred_histories() -> None:
    differing, _ = _compare(range(FAST))
    assert not differing, "\n\n".join(differing[:SHOWN])


@pytest.mark.slow
def test_oracle_and_product_agree_on_five_thousand_histories_that_reach_every_reason() -> None:
    counts = _agree_on(0, SLOW)
    assert set(counts) == {reason.value for reason in Reason}


@pytest.mark.deep
def test_oracle_and_product_agree_on_a_hundred_thousand_histories() -> None:
    _agree_on(SLOW, DEEP)


@pytest.mark.parametrize("case", SETTLED, ids=[case.stem for case in SETTLED])
def test_what_they_once_differed_on_is_settled(case: Path) -> None:
    found = restored(case.read_bytes())
    assert difference(found.events, found.policies, found.question) is None, str(found)
