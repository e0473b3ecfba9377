"""Every number of the reproduction of Donatella et al., and where it comes from.

From the paper (v1)
    A convolution and two dense layers; damping 0.01; TNGD with learning rate 0.01, t = 50 RC, no delay, no momentum of
    its own; Adam with 1e-3, 0.9, 0.999: Fig. 3 and its table. t = 5, 10, 20, 50 RC (Fig. 4a); t = 5 RC with delays
    0, 0.2 and 1 RC (Fig. 4b); noise variances kappa0 = 0.1, 0.01, 0.001 at t = 1 RC (Fig. 7); 5 seeds.
    Fine-tuning of a language model: low-rank factors on the q, k, v and output projections with scale 32; TNGD with
    learning rate 0.01, t = 0.4 RC, damping 1, TNGD-Adam with 1e-3, both betas 0, t = 0.1, 0.2, 0.4 RC (Fig. 5).
    TNGD takes twice the time of Adam per step on their GPU (Fig. 3). 500 Euler steps of 0.1 RC for t = 50 RC.
    Run times per step: b = 32, 200 iterations of conjugate gradients, 20 outputs, N by the hidden width (Fig. 2).
    Device: R = 1 kOhm, C = 1 nF, 16-bit words over a 50 Gb/s link, b dz (b dz + 2 N) programmed numbers (App. C).

Left open there, and chosen here
    Data: the 1797 digits of 8 x 8 pixels (the paper: 20,000 of MNIST) in batches of 16 (the paper: 64, as at scale
    "paper"), 200 steps for the comparison of optimisers and 100 for the sweeps. Sizes of the networks:
    `paper_repro.tuning.TASKS`.
    Tuned settings: the same budget for every method, see `paper_repro.tuning`; "(paper)" after a name marks the
    paper's own learning rate and damping instead.
    Noise outside the noise sweep: one read, kappa0 = 1e-6 where the settings are the tuned ones, none in the sweeps.
    The first voltages are the first gradient; afterwards they are carried from step to step (Alg. 1); the delay is a
    relaxation under the old curvature and gradient before the next upload. Curvature and gradient are those of the
    step itself (Alg. 1); "stale" takes them from the step before (Eqs. 15 to 17).
    Fine-tuning: next characters of Python's help topics (the paper: answers in SQuAD, 800 texts, 5 epochs). A small
    transformer is pre-trained on the topics about the language and adapted to 256 texts of those about the types, in
    batches of 16, six epochs. Rank 8 (the paper: 2, in a network a thousand times as large). No dropout. The exact
    Fisher information has 96 rows for each of 256 predictions of a batch; ours is an unbiased estimate of it from 4
    labels drawn a prediction. Tuned settings: six a method, by the training loss, which is what the paper shows; see
    `finetuning_grid`. t is tuned among 0.4 and 50 RC, the damping is the paper's.
    Time: digital parts are measured where this runs, on one BLAS thread, each method in its quickest form (exact
    natural gradient by Woodbury's identity); device parts are modelled. What the simulation of the device costs is
    not in it.

Scales: "smoke" is for tests (seconds), "default" for the gallery (minutes), "paper" has the paper's batches.
"""

from dataclasses import dataclass

import thermolinalg as tl

DEVICE = tl.Device.tngd()
LEARNING_RATE, DAMPING = 0.01, 0.01  # of TNGD in Figs. 3 and 4
GPU_RATIO = 2.0  # time of a step of TNGD over that of Adam, Fig. 3

PAPER_OPTIONS = {
    "Adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999},
    "TNGD": {"learning_rate": LEARNING_RATE, "damping": DAMPING},
}
FINETUNING_DAMPING = 1.0
FINETUNING_RATES = {"Adam": 1e-3, "TNGD": 0.01, "TNGD-Adam": 1e-3}  # Fig. 5


@dataclass(frozen=True, kw_only=True)
class Optimizers:
    """Loss and accuracy of all methods with tuned settings (Fig. 3)."""

    tasks: tuple[str, ...] = ("digits_mlp", "digits_conv")
    methods: tuple[str, ...] = (
        "SGD", "Adam", "signSGD", "Adam(0,0)", "NGD", "NGD-CG", "K-FAC", "TNGD", "TNGD-Adam", "Adam (paper)",
        "TNGD (paper)",
    )  # fmt: skip
    batch_size: int = 16
    steps: int = 200
    every: int = 10  # steps between points of a curve, each the mean of the batches since the last
    seeds: int = 5
    timing_repeats: int = 9
    timing_steps: int = 15  # of a run that only the time of a step is taken from


@dataclass(frozen=True, kw_only=True)
class CarriedState:
    """Relaxation time, delay and start of the voltages, compared with natural gradient with momentum (Fig. 4)."""

    task: str = "digits_conv"
    times: tuple[float, ...] = (5.0, 10.0, 20.0, 50.0)  # [RC]
    delays: tuple[float, ...] = (0.2, 1.0)  # [RC], at the first of the times
    learning_rate: float = LEARNING_RATE
    damping: float = DAMPING
    batch_size: int = 16
    steps: int = 100
    every: int = 5
    late: int = 25  # steps at the end, whose mean loss is the number a run is judged by
    seeds: int = 5


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Thermal noise (Fig. 7), with voltages carried and started anew."""

    task: str = "digits_conv"
    kappas: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
    starts: tuple[str, ...] = ("carry", "gradient")
    run_time: float = 1.0  # [RC]
    learning_rate: float = LEARNING_RATE
    damping: float = DAMPING
    batch_size: int = 16
    steps: int = 100
    every: int = 5
    late: int = 25
    seeds: int = 3


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Low-rank factors of a language model (Fig. 5)."""

    width: int = 32
    heads: int = 2
    depth: int = 2
    context: int = 16  # characters
    pretrain_steps: int = 600
    pretrain_batch: int = 32
    pretrain_rate: float = 5e-3  # of Adam
    rank: int = 8
    scale: float = 32.0
    n_train: int = 256  # texts to fine-tune on
    n_test: int = 256
    draws: int = 4  # labels drawn a prediction for the Fisher information
    methods: tuple[str, ...] = ("SGD", "Adam", "Adam(0,0)", "signSGD", "TNGD", "TNGD-Adam")  # tuned
    times: tuple[float, ...] = (0.1, 0.2, 0.4)  # [RC], the last that of Fig. 5a
    controls: tuple[float, ...] = (
        0.1,
        0.4,
    )  # [RC]: voltages started at the gradient, signs with momentum
    batch_size: int = 16
    steps: int = 100
    every: int = 5
    late: int = 25
    seeds: int = 3


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Seconds of a step by its parts, and against N and dz (Fig. 2)."""

    task: str = "digits_conv"
    run_time: float = 50.0  # [RC]
    euler_step: float = 0.1  # [RC]
    sweep: tuple[float, ...] = (5.0, 10.0, 20.0, 50.0)  # [RC], with one factorisation
    damping: float = DAMPING
    batch_size: int = 16
    widths: tuple[int, ...] = (4, 8, 16, 32, 64, 128)
    classes: int = 20
    outputs: tuple[int, ...] = (5, 10, 20, 40)
    width: int = 32  # against dz
    iterations: int = 200  # of conjugate gradients
    densest: int = 3000  # largest N for which an N x N matrix is solved with
    repeats: int = 5


_SMOKE_OPTIMIZERS = Optimizers(tasks=("digits_mlp",), steps=10, every=5, seeds=2, timing_repeats=3, timing_steps=3)
SCALES = {
    "smoke": {
        "tngd_optimizers": _SMOKE_OPTIMIZERS,
        "tngd_optimizers_in_time": _SMOKE_OPTIMIZERS,
        "tngd_carried_state": CarriedState(
            task="digits_mlp", times=(5.0, 50.0), delays=(1.0,), steps=12, every=4, late=8, seeds=2
        ),
        "tngd_noise": Noise(task="digits_mlp", kappas=(0.0, 1e-3, 1e-2, 1e-1), steps=20, late=10, seeds=2),
        "tngd_finetuning": FineTuning(
            width=8, depth=1, context=8, pretrain_steps=20, pretrain_batch=8, rank=2, n_train=32, n_test=16, draws=2,
            times=(0.1, 0.4), batch_size=8, steps=8, every=4, late=4, seeds=2,
        ),
        "tngd_step_cost": StepCost(
            sweep=(5.0, 50.0), widths=(4, 16), classes=10, outputs=(10,), width=4, batch_size=8,
            iterations=20, repeats=3,
        ),
    },
    "default": {
        "tngd_optimizers": Optimizers(),
        "tngd_optimizers_in_time": Optimizers(),
        "tngd_carried_state": CarriedState(),
        "tngd_noise": Noise(),
        "tngd_finetuning": FineTuning(),
        "tngd_step_cost": StepCost(),
    },
    "paper": {
        "tngd_optimizers": Optimizers(batch_size=64, steps=1000),
        "tngd_optimizers_in_time": Optimizers(batch_size=64, steps=1000),
        "tngd_carried_state": CarriedState(batch_size=64, steps=200),
        "tngd_noise": Noise(batch_size=64, steps=1000, every=20, late=100, seeds=5),
        "tngd_finetuning": FineTuning(
            width=64, heads=4, depth=4, context=64, pretrain_steps=3000, rank=2, n_train=800, batch_size=32, steps=125,
            seeds=5,
        ),
        "tngd_step_cost": StepCost(
            batch_size=32, widths=(4, 16, 64, 256, 680), outputs=(5, 10, 20, 40, 80), densest=10_000, repeats=9
        ),
    },
}  # fmt: skip
