"""The adapters, where their frameworks are installed: the same steps as the optimiser itself."""

import numpy as np
import pytest

from thermolinalg.curvature import DiagonalCurvature
from thermolinalg.optimizers import NGDT, SGD, TNGD, Adam

A = np.diag([1.0, 4.0, 9.0])


def steps_by_hand(optimizer, n=5, curvature=None):
    theta = np.ones(3)
    state = optimizer.init(theta)
    for _ in range(n):
        theta, state = optimizer.step(theta, A @ theta, curvature, state)
    return theta


class TestOptax:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("optax", reason="pip install '.[jax]'")

    @pytest.mark.parametrize("optimizer", [SGD(0.05, momentum=0.9), Adam(0.1)], ids=lambda o: type(o).__name__)
    def test_same_steps_on_a_pytree(self, optimizer):
        import optax

        from thermolinalg.adapters.optax import as_optax

        transformation = as_optax(optimizer)
        params = {"a": np.ones(1), "b": np.ones((2, 1))}
        state = transformation.init(params)
        for _ in range(5):
            gradients = {"a": params["a"], "b": A[1:, 1:] @ params["b"]}
            updates, state = transformation.update(gradients, state, params)
            params = optax.apply_updates(params, updates)
        ended = np.concatenate([np.ravel(params["a"]), np.ravel(params["b"])])
        np.testing.assert_allclose(ended, steps_by_hand(optimizer), rtol=1e-5)  # JAX's default floats are single
        assert state.report.step == 4

    def test_curvature_goes_through_and_chains_with_other_transformations(self):
        import optax

        from thermolinalg.adapters.optax import as_optax

        F = DiagonalCurvature(np.diag(A))
        chain = optax.chain(as_optax(NGDT(budget=1e-2)), optax.scale(0.5))
        theta = np.ones(3)
        updates, _ = chain.update(A @ theta, chain.init(theta), theta, curvature=F)
        np.testing.assert_allclose(updates, 0.5 * (steps_by_hand(NGDT(budget=1e-2), 1, F) - 1.0), rtol=1e-5)

    def test_the_state_is_a_pytree(self):
        import jax

        from thermolinalg.adapters.optax import as_optax

        state = as_optax(Adam(0.1)).init(np.ones(3))
        doubled = jax.tree.map(lambda leaf: 2 * leaf, state)
        assert set(doubled.arrays) == {"mean", "square"}

    def test_a_state_that_went_through_a_tree_function_goes_on(self):
        import jax
        import jax.numpy as jnp

        from thermolinalg.adapters.optax import as_optax

        theta, F = np.ones(3), DiagonalCurvature(np.diag(A))
        transformation = as_optax(TNGD(0.1, 0.1, start="gradient", beta=10.0, rng=0))
        state = transformation.update(A @ theta, transformation.init(theta), theta, curvature=F)[1]
        expected = transformation.update(A @ theta, state, theta, curvature=F)[0]
        updates, _ = transformation.update(A @ theta, jax.tree.map(jnp.asarray, state), theta, curvature=F)
        np.testing.assert_array_equal(updates, expected)

    def test_wrong_use_is_explained(self):
        import jax

        from thermolinalg.adapters.optax import as_optax

        transformation = as_optax(SGD(0.1))
        with pytest.raises(ValueError, match="update needs params"):
            transformation.update(np.ones(3), transformation.init(np.ones(3)))
        with pytest.raises(TypeError, match="outside jit"):
            jax.jit(lambda p: transformation.update(p, transformation.init(np.ones(3)), p))(np.ones(3))
        with pytest.raises(ValueError, match="optimizer must be an Optimizer"):
            as_optax(0.1)


@pytest.mark.long
class TestTorch:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("torch", reason="pip install '.[torch]'")

    @staticmethod
    def run(optimizer, n=5, rate=None):
        import torch

        from thermolinalg.adapters.torch import Torch

        params = [torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(2, 1))]
        matrix = torch.tensor(A, dtype=torch.float32)
        adapter = Torch(params, optimizer)
        if rate is not None:
            adapter.param_groups[0]["lr"] = rate

        def closure():
            adapter.zero_grad()
            x = torch.cat([p.reshape(-1) for p in params])
            loss = 0.5 * x @ matrix @ x
            loss.backward()
            return loss

        losses = [adapter.step(closure).item() for _ in range(n)]
        return np.concatenate([p.detach().numpy().ravel() for p in params]), losses, adapter

    @pytest.mark.parametrize("optimizer", [SGD(0.05, momentum=0.9), Adam(0.1)], ids=lambda o: type(o).__name__)
    def test_same_steps(self, optimizer):
        ended, losses, adapter = self.run(optimizer)
        np.testing.assert_allclose(ended, steps_by_hand(optimizer), rtol=1e-5)
        assert losses[-1] < losses[0]
        assert adapter.report.step == 4

    def test_the_rate_of_the_group_is_the_one_used(self):
        np.testing.assert_allclose(self.run(SGD(0.05), rate=0.02)[0], steps_by_hand(SGD(0.02)), rtol=1e-5)

    def test_a_state_dict_is_enough_to_go_on(self):
        _, _, adapter = self.run(Adam(0.1))
        other = self.run(Adam(0.1), n=1)[2]
        other.load_state_dict(adapter.state_dict())
        assert other._state.step == 5
        np.testing.assert_array_equal(other._state.arrays["mean"], adapter._state.arrays["mean"])

    def test_wrong_use_is_explained(self):
        import torch

        from thermolinalg.adapters.torch import Torch

        params = [torch.nn.Parameter(torch.ones(2))]
        with pytest.raises(ValueError, match="1 parameters have no gradient"):
            Torch(params, SGD(0.1)).step()
        with pytest.raises(ValueError, match="one parameter group"):
            Torch([{"params": params}, {"params": [torch.nn.Parameter(torch.ones(1))]}], SGD(0.1))
        with pytest.raises(ValueError, match="optimizer must be one of"):
            Torch(params, 0.1)
