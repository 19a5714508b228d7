"""Timings in alternation, and their ratio in words."""

import statistics
import time
from collections.abc import Callable


def alternate(rounds: int, **work: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each piece of work, taken in turns so that all meet the same machine."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
    return {name: seconds[1:] for name, seconds in taken.items()}  # the first round warms up


def ratio(seconds: dict[str, list[float]], of: str, to: str) -> str:
    """The median of the rounds' ratios, with their range, and both medians."""
    ratios = [a / b for a, b in zip(seconds[of], seconds[to], strict=True)]
    middle = {name: 1e3 * statistics.median(seconds[name]) for name in (of, to)}
    return (
        f"{of} / {to} = {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}); "
        f"{middle[of]:.1f} ms against {middle[to]:.1f} ms"
    )
