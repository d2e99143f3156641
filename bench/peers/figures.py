"""Owns how the Python peers print their figures, and how often they measure.

Must not know any peer.
"""

import json
import sys
import time

SMOKE = len(sys.argv) > 1 and sys.argv[1] == "smoke"
REPEATS = 1 if SMOKE else 3


def figure(what, unit, values):
    """One figure as a line of JSON, as bench/bar.ts declares it."""
    print(json.dumps({"what": what, "unit": unit, "values": values}), flush=True)


def rate(count, work):
    """How many per second, over REPEATS runs of work that does count of them."""
    values = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        values.append(count / (time.perf_counter() - started))
    return values


def round_trips(count, call):
    """Median and 99th percentile of single calls, in milliseconds."""
    medians, tails = [], []
    for _ in range(REPEATS):
        took = []
        for _ in range(count):
            started = time.perf_counter()
            call()
            took.append((time.perf_counter() - started) * 1000)
        took.sort()
        medians.append(took[len(took) // 2])
        tails.append(took[min(len(took) - 1, len(took) * 99 // 100)])
    figure("round trip p50", "ms", medians)
    figure("round trip p99", "ms", tails)
