"""``python -m figures [PAPER or FIGURE ...]``: compute, draw and write figures, all of them by default."""

import argparse
import shlex
import sys
import traceback
from pathlib import Path

import joblib
import threadpoolctl
from tqdm import tqdm

from paper_repro.command import add_shared_options

from .catalogue import all_figures, select
from .produce import Job, git_state, produce, write_index

HERE = Path(__file__).parent


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(prog="python -m figures", description="Compute and draw the figures.")
    result.add_argument("names", nargs="*", metavar="PAPER or FIGURE", help="default: all; see --list")
    add_shared_options(result)
    result.add_argument("--out", type=Path, help="folder (default: figures/gallery; at other scales figures/SCALE)")
    result.add_argument("--jobs", type=int, default=1, help="figures at a time (default: %(default)s)")
    return result


def attempt(identifier: str, job: Job) -> tuple[str, str]:
    """Make one figure; its id and the traceback, empty if all went well.

    On one BLAS thread, so that its bytes depend on no option; a figure that measures time has all of them.
    """
    try:
        spec = all_figures()[identifier]
        with threadpoolctl.threadpool_limits(None if spec.timed else 1):
            produce(spec, job)
    except Exception:  # one figure that fails must not stop the rest
        return identifier, traceback.format_exc()
    return identifier, ""


def outcomes(specs, job: Job, jobs: int):
    """Make the figures: first those that can share the machine, then those that measure time, alone."""
    tasks = (joblib.delayed(attempt)(spec.id, job) for spec in specs if not spec.timed)
    yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
    for spec in specs:
        if spec.timed:
            yield attempt(spec.id, job)


def main(argv=None) -> int:
    """Run the command; 0 if every figure was made, else 1."""
    options = parser().parse_args(argv)
    try:
        specs = select(options.names)
    except ValueError as error:
        parser().error(str(error))
    if options.list:
        for spec in specs:
            print(f"{spec.paper}  {spec.id}: {spec.look}")
        return 0
    arguments = sys.argv[1:] if argv is None else argv
    out = options.out or HERE / ("gallery" if options.scale == "default" else options.scale)
    job = Job(
        command=shlex.join(["python", "-m", "figures", *arguments]), scale=options.scale, seed=options.seed,
        out=out, commit=git_state(HERE),
    )  # fmt: skip
    print(f"{len(specs)} figures, scale {options.scale}, seed {options.seed}")
    failed = 0
    for identifier, trouble in tqdm(outcomes(specs, job, options.jobs), total=len(specs), unit="figure", disable=None):
        failed += bool(trouble)
        tqdm.write(f"{identifier} failed\n{trouble}" if trouble else f"{out / identifier}.png .pdf .csv .json")
    write_index(all_figures().values(), out)
    print(f"{out / 'README.md'} shows them all" + (f"; {failed} failed" if failed else ""))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
