"""Owns Dask distributed on no-op tasks: one map of many, and one after the other.

Must not let it keep results: each call is a task of its own.
"""

from dask.distributed import Client, LocalCluster

from figures import SMOKE, figure, rate, round_trips

TASKS = 500 if SMOKE else 6_000
SINGLES = 20 if SMOKE else 500


def noop(value):
    """Nothing, and back."""
    return value


def main():
    """Two single-threaded worker processes and this client."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:

        def mapped():
            answers = client.gather(client.map(noop, range(TASKS), pure=False))
            assert answers == list(range(TASKS))

        mapped()
        figure("tasks", "tasks/s", rate(TASKS, mapped))
        round_trips(SINGLES, lambda: client.submit(noop, 1, pure=False).result())


if __name__ == "__main__":
    main()
