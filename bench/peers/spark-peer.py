"""Owns Spark on no-op tasks: one job of many tasks, and jobs of one task.

Must not put several inputs into one task: a partition is a task.
"""

from pyspark.sql import SparkSession

from figures import SMOKE, figure, rate, round_trips

TASKS = 100 if SMOKE else 2_000
SINGLES = 10 if SMOKE else 200

session = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.ui.showConsoleProgress", "false")
    .getOrCreate()
)
context = session.sparkContext
context.setLogLevel("ERROR")


def job(tasks):
    """One job with one input per task, every answer checked."""
    answers = context.parallelize(range(tasks), tasks).map(lambda value: value).collect()
    assert answers == list(range(tasks))


job(TASKS // 10)
figure("tasks", "tasks/s", rate(TASKS, lambda: job(TASKS)))
round_trips(SINGLES, lambda: job(1))
session.stop()
