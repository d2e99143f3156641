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
session.sparkContext.setLogLevel("ERROR")


def job(tasks):
    """One job with one row per task, made and read in the JVM: Python workers would only slow it down."""
    rows = session.range(0, tasks, 1, tasks).collect()
    assert [row.id for row in rows] == list(range(tasks))


job(TASKS // 10)
figure("tasks", "tasks/s", rate(TASKS, lambda: job(TASKS)))
round_trips(SINGLES, lambda: job(1))
session.stop()
