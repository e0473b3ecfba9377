"""``python -m figures [PAPER or FIGURE ...]``: compute, draw and write figures, all of them by default.

What was computed before is taken from the results cache; see docs/figures.md.
"""

import argparse
import contextlib
import shlex
import sys
import traceback
from pathlib import Path

import joblib
import threadpoolctl
from tqdm import tqdm

from analysis.clusters import scheduler
from analysis.machine import timing_name
from analysis.results_cache import VARIABLE, Cache, default_folder, using
from paper_repro.claims import as_lines, ledger
from paper_repro.command import add_shared_options

from .catalogue import PAPERS, all_figures, select
from .gallery_index import write_pages
from .produce import Job, git_state, produce

HERE = Path(__file__).parent


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(prog="python -m figures", description="Compute and draw the figures.")
    result.add_argument("names", nargs="*", metavar="PAPER or FIGURE", help="default: all; see --list")
    add_shared_options(result)
    result.add_argument("--out", type=Path, help="folder (default: figures/gallery; at other scales figures/SCALE)")
    result.add_argument("--cache", type=Path, help=f"folder of kept results (default: {VARIABLE}, or figures/.cache)")
    result.add_argument("--force", action="store_true", help="compute anew what is in the cache")
    result.add_argument(
        "--jobs", type=int, default=joblib.cpu_count(), metavar="N",
        help="untimed figures at a time, one BLAS thread each (default: the usable cores, here %(default)s)",
    )  # fmt: skip
    result.add_argument(
        "--dask", metavar="ADDRESS",
        help="send the tasks of untimed figures, one figure after the other, to this dask scheduler, which takes as "
        "many at a time as it has workers: --jobs is ignored then (joblib#1013)",
    )  # fmt: skip
    return result


def attempt(identifier: str, job: Job, cache: Cache) -> tuple[str, str, str]:
    """Make one figure; its id, what was done, and the traceback, empty if all went well.

    On one BLAS thread, so that its bytes depend on no option; a figure that measures time has all of them.
    """
    try:
        spec = all_figures()[identifier]
        with using(cache), threadpoolctl.threadpool_limits(None if spec.timed else 1):
            return identifier, produce(spec, job), ""
    except Exception:  # one figure that fails must not stop the rest
        return identifier, "failed", traceback.format_exc()


def outcomes(specs, job: Job, cache: Cache, jobs: int, client=None):
    """Make the figures: first those that can share the machine, then those that measure time, alone and here."""
    untimed = [spec.id for spec in specs if not spec.timed]
    if client is not None:
        with joblib.parallel_config(backend="dask", client=client):
            yield from (attempt(name, job, cache) for name in untimed)
    else:
        workers = max(1, min(joblib.effective_n_jobs(jobs), len(untimed)))
        tasks = (joblib.delayed(attempt)(name, job, cache) for name in untimed)
        yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)(tasks)
    alone = Cache(cache.folder, session=cache.session, fresh=cache.fresh, timed=timing_name())
    for spec in specs:
        if spec.timed:
            yield attempt(spec.id, job, alone)


def main(argv=None) -> int:
    """Run the command; 0 if every figure was made, else 1."""
    options = parser().parse_args(argv)
    try:
        specs = select(options.names)
    except ValueError as error:
        parser().error(str(error))
    if options.jobs == 0:
        parser().error("--jobs must not be 0; 1 makes one figure after the other")
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
    cache = Cache(options.cache.resolve() if options.cache else default_folder(), fresh=options.force)
    print(f"{len(specs)} figures, scale {options.scale}, seed {options.seed}; results are kept in {cache.folder}")
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(scheduler(options.dask))
        except ValueError as error:
            parser().error(str(error))
        failed = show(outcomes(specs, job, cache, options.jobs, client), len(specs), out)
    claims = ledger(out, PAPERS, options.scale)
    write_pages(all_figures().values(), claims, out, options.scale)
    print(as_lines(claims, options.scale))
    print(f"{out / 'README.md'} shows all figures, {out / 'claims.md'} all claims")
    if failed:
        print(f"{failed} of {len(specs)} figures failed")
    return int(failed > 0)


def show(made, total: int, out: Path) -> int:
    """Tell what was done as it is done; how many failed."""
    failed = 0
    for identifier, done, trouble in tqdm(made, total=total, unit="figure", disable=None):
        failed += bool(trouble)
        tqdm.write(f"{identifier} failed\n{trouble}" if trouble else f"{out / identifier}.png .pdf .csv .json: {done}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
