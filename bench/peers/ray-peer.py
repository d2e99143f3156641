"""Owns Ray on no-op tasks: many in waves, and one after the other.

Must not use actors: the bars are about tasks.
"""

import ray

from figures import SMOKE, figure, rate, round_trips

WAVE = 1_000
TASKS = 1_000 if SMOKE else 20_000
SINGLES = 20 if SMOKE else 1_000


@ray.remote
def noop(value):
    """Nothing, and back."""
    return value


def waves():
    """TASKS tasks, WAVE at a time, every answer checked."""
    for first in range(0, TASKS, WAVE):
        answers = ray.get([noop.remote(first + index) for index in range(WAVE)])
        assert answers == list(range(first, first + WAVE))


ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
waves()
figure("tasks", "tasks/s", rate(TASKS, waves))
round_trips(SINGLES, lambda: ray.get(noop.remote(1)))
ray.shutdown()
