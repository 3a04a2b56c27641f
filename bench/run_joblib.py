"""run_joblib.py - the runner of joblib: speaks as runner.h says, by what run_mp.py has for that."""
import sys

import joblib

import run_mp


class Parallel:
    def __init__(self, batch):
        self.parallel = joblib.Parallel(n_jobs=2, batch_size=batch)
        self.parallel.__enter__()  # one pool for all calls
        self.parallel(joblib.delayed(run_mp.work)(0) for _ in range(2))

    def run(self, name, count, links, repeats):
        result = []

        def one_map():
            result[:] = self.parallel(joblib.delayed(run_mp.work)(links) for _ in range(count))
        took = run_mp.timed(repeats, one_map)
        right = run_mp.c_work(links)
        if len(result) != count or any(value != right for value in result):
            raise ValueError("wrong results")
        return took

    def close(self):
        self.parallel.__exit__(None, None, None)


if __name__ == "__main__":
    run_mp.CONTESTANTS.update({
        ("metg-map", "joblib"): lambda: Parallel("auto"),
        ("tasks-empty", "joblib"): lambda: Parallel("auto"),
    })
    sys.exit(run_mp.main())
