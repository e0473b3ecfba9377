"""Public names of thermolinalg, each stated once: `__init__.py` reads this file and imports a name at first use."""

from . import circuits as circuits
from . import curvature as curvature
from . import errors as errors
from . import hardware as hardware
from . import laws as laws
from . import optimizers as optimizers
from . import problems as problems
from . import processes as processes
from . import results as results
from . import stats as stats
from .hardware.device import Device as Device
from .measurement.dynamics import Inertia as Inertia
from .measurement.euler import euler_maruyama as euler_maruyama
from .numerics.random import fast_rng as fast_rng
from .operators import Dense as Dense
from .operators import Diagonal as Diagonal
from .operators import Kronecker as Kronecker
from .operators import Krylov as Krylov
from .operators import LowRank as LowRank
from .operators import as_operator as as_operator
from .primitives.expm import expm as expm
from .primitives.expm import expm_action as expm_action
from .primitives.expm import negexpm as negexpm
from .primitives.inv import inv as inv
from .primitives.logdet import det as det
from .primitives.logdet import logdet as logdet
from .primitives.lyapunov import lyapunov as lyapunov
from .primitives.mitigation import expected_bias as expected_bias
from .primitives.mitigation import mitigate as mitigate
from .primitives.mitigation import rounding_ensemble as rounding_ensemble
from .primitives.refinement import as_preconditioner as as_preconditioner
from .primitives.solve import solve as solve
from .primitives.warm_start import warm_start as warm_start
from .processes.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from .results import Estimate as Estimate

__version__: str
__all__: list[str]
