"""Every number of the reproduction of Donatella et al. (2025), and where it comes from.

From the paper, as far as it is known to us (abstract, overview figure, and what others report of the rest)
    The factors of each layer are formed digitally and sent to a thermodynamic solver, which inverts them (method 1) or
    solves with them (method 2). Input and output of the update are quantised. The time of an update is broken down for
    a perceptron and a GPT transformer. Cost of a layer n^2 kappa^2, of digital K-FAC n^3. Vision and graph workloads.
    None of its settings or numbers is known: all below are ours.

From elsewhere
    Device: R = 1 kOhm, C = 1 nF, 16-bit words over a 50 Gb/s link (Donatella et al., arXiv:2405.13817, App. C).
    K-FAC reaches the first-order target in 50 to 75 % of the steps on the same two workloads (Eschenhagen et al.,
    arXiv:2311.00636, abstract).

Chosen here
    Training: the 1797 digits of 8 x 8 pixels in batches of 16, 120 steps, a dense and a convolutional network, tuned
    settings (`paper_repro.tuning`, 200 steps; those of T-KFAC at 8 bits are used at every word length). One word length
    for factors, right-hand sides and read-outs. Each answer is integrated over 1 RC after the burn-in and converted
    once. Mitigation: an ensemble of 4 factors, rounded stochastically, which share that time. Refinement: to 1 %, with
    factors as they are rounded and rounds of their own length. Both, and stochastic rounding, where rounding is coarse:
    at the fewest bits with which plain runs got to their end in a first look, and at the word length below; "paper" has
    them at every word length.
    Gain of a method: by how much its loss is below Adam's, run by run with the same seeds and batches. Two losses: the
    mean over all steps of the loss of the batch ("area") and the mean test loss of the last quarter of the
    evaluations ("late", which is what the settings were tuned for). Share kept: gain over the mean gain of K-FAC.
    Other architectures: `paper_repro.tuning.SMALL_TASKS`, 60 steps in batches of 32, six settings tried a method. The
    factors are from one label drawn a prediction; the device is not rounded.
    Breakdown: labels drawn from the model once a batch (one more backward pass); float64 on this CPU.
    Digital times: medians of repeats on one BLAS thread, which is steady; all cores of a processor would make large
    factorisations and products quicker, at most by their number. The passes of the network run in JAX, which
    chooses its own threads.
    Widths: factors whose eigenvalues are evenly spaced in the logarithm, from 1 down to 1/kappa, programmed with their
    largest entry as full scale; every solution or inverse to a root mean square error of 10 %.

Scales: "smoke" is for tests (seconds), "default" for the gallery (minutes), "paper" for a night.
"""

from dataclasses import dataclass, field

from .workloads import WORKLOADS, Hardware


@dataclass(frozen=True, kw_only=True)
class QuantisedTraining:
    """Loss against steps with factors, right-hand sides and solutions of few bits."""

    tasks: tuple[str, ...] = ("digits_mlp", "digits_conv")
    bits: tuple[int, ...] = (4, 5, 6, 7, 8, 16)
    remedied_bits: tuple[tuple[str, tuple[int, ...]], ...] = (("digits_mlp", (4, 5)), ("digits_conv", (6, 7)))
    beta: float = 1e6
    members: int = 4
    rtol: float = 1e-2
    duration: float = 1.0  # [RC] of the integrator, whose answer is converted once
    steps: int = 120
    batch_size: int = 16
    every: int = 10
    seeds: int = 3


@dataclass(frozen=True, kw_only=True)
class Architectures:
    """T-KFAC without rounding on the kinds of network of the paper's workloads."""

    tasks: tuple[str, ...] = ("digits_vision", "molecules_graph")
    methods: tuple[str, ...] = ("Adam", "K-FAC", "T-KFAC")
    steps: int = 60
    every: int = 5
    seeds: int = 3


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Where the time of a K-FAC update goes, against width."""

    mlp_widths: tuple[int, ...] = (64, 128, 256, 512)
    mlp_depth: int = 3  # dense layers
    transformer_widths: tuple[int, ...] = (32, 64, 128, 256)
    heads: int = 4
    blocks: int = 1
    context: int = 32
    vocabulary: int = 64
    batch_size: int = 64  # of the perceptron
    texts: int = 8  # of the transformer
    damping: float = 0.1
    intervals: tuple[int, ...] = (1, 10)  # steps between inversions
    repeats: int = 3


@dataclass(frozen=True, kw_only=True)
class WidthScaling:
    """Cost of the update of one n x n layer on the device and here."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    condition_numbers: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
    width: int = 256  # against kappa
    condition_number: float = 100.0  # against n
    rtol: float = 0.1
    beta: float = 1e6
    intervals: tuple[int, ...] = (1, 10)
    columns: int = 8  # of the gradient, by which the time of all of them is judged
    repeats: int = 3


@dataclass(frozen=True, kw_only=True)
class UpdateError:
    """Error of the update of one layer against device time, burn-in, temperature and damping."""

    task: str = "digits_mlp"
    layer: int = 0
    warm_steps: int = 50
    batch_size: int = 256
    damping: float = 0.01
    dampings: tuple[float, ...] = (1.0, 0.1, 0.01, 1e-3, 1e-4)
    times: tuple[float, ...] = (300.0, 1e3, 3e3, 1e4, 3e4)  # [RC], of the whole layer
    time: float = 3e3  # of the other sweeps
    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)  # of a run that is burn-in
    share: float = 0.4
    betas: tuple[float, ...] = (1.0, 1e2, 1e4, 1e6)
    repeats: int = 5


@dataclass(frozen=True, kw_only=True)
class SpeedupModel:
    """Seconds of a step on large workloads, by a model: nothing in it is measured."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    hardware: Hardware = field(default_factory=Hardware)
    condition_numbers: tuple[float, ...] = (10.0, 100.0, 1000.0)
    time_units: tuple[float, ...] = (1e-6, 1e-9)  # RC [s]
    parallel: tuple[bool, ...] = (False, True)  # one device, or one for each factor
    intervals: tuple[int, ...] = (1, 10)


_WORDS = (4, 5, 6, 7, 8, 10, 12, 16)
SCALES = {
    "smoke": {
        "tkfac_quantised_training": QuantisedTraining(
            tasks=("digits_mlp",), bits=(4, 8), remedied_bits=(("digits_mlp", (4,)),), steps=20, every=5, seeds=2,
            members=2,
        ),
        "tkfac_architectures": Architectures(tasks=("molecules_graph",), steps=10, seeds=2),
        "tkfac_breakdown": Breakdown(
            mlp_widths=(16,), transformer_widths=(8,), heads=2, context=8, vocabulary=16, batch_size=16, texts=2,
            repeats=3,
        ),
        "tkfac_width_scaling": WidthScaling(widths=(32, 64, 128), condition_numbers=(10.0, 100.0), width=64),
        "tkfac_update_error": UpdateError(
            warm_steps=10, batch_size=64, dampings=(0.1, 0.01), times=(300.0, 1e3), time=1e3, shares=(0.05, 0.4),
            betas=(1.0, 1e4), repeats=3,
        ),
        "tkfac_speedup_model": SpeedupModel(),
    },
    "default": {
        "tkfac_quantised_training": QuantisedTraining(),
        "tkfac_architectures": Architectures(),
        "tkfac_breakdown": Breakdown(),
        "tkfac_width_scaling": WidthScaling(),
        "tkfac_update_error": UpdateError(),
        "tkfac_speedup_model": SpeedupModel(),
    },
    "paper": {
        "tkfac_quantised_training": QuantisedTraining(
            bits=_WORDS, remedied_bits=(("digits_mlp", _WORDS), ("digits_conv", _WORDS)), members=8, steps=200, seeds=10
        ),
        "tkfac_architectures": Architectures(steps=200, every=10, seeds=10),
        "tkfac_breakdown": Breakdown(
            mlp_widths=(64, 128, 256, 512, 1024, 2048), transformer_widths=(64, 128, 256, 512), blocks=4, context=128,
            repeats=9,
        ),
        "tkfac_width_scaling": WidthScaling(widths=(128, 256, 512, 1024, 2048, 4096), repeats=7),
        "tkfac_update_error": UpdateError(times=(300.0, 1e3, 3e3, 1e4, 3e4, 1e5), repeats=20),
        "tkfac_speedup_model": SpeedupModel(),
    },
}  # fmt: skip
