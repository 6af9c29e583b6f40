"""What depends on the device."""

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables

from dysonnet import DysonNet


def products(jaxpr):
    """The precisions of all matrix products in a jaxpr, in its inner ones too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.mark.parametrize("method", ["__call__", "all_log_ratios", "init_cache", "head_inputs"])
def test_products_are_in_full_precision_unless_jax_is_told_otherwise(method):
    model = DysonNet(features=4, blocks=2, token_size=2, kernel_size=2, state_size=2, hidden_units=2, dtype=np.float32)
    σ = np.ones((2, 32), np.int8)
    given = {"all_log_ratios": (σ, np.arange(32)[:, None]), "init_cache": (σ[0],)}.get(method, (σ,))
    variables = random_variables(model, σ)

    def found(context):
        with context:
            traced = jax.make_jaxpr(lambda v: jax.tree.leaves(model.apply(v, *given, method=method)))(variables)
        return set(products(traced.jaxpr))

    exact = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
    assert found(jax.default_matmul_precision(None)) == {exact}
    assert exact not in found(jax.default_matmul_precision("tensorfloat32"))


def test_the_gradient_is_in_full_precision_too():
    model = DysonNet(features=4, blocks=2, token_size=2, kernel_size=2, state_size=2, hidden_units=2, dtype=np.float32)
    variables = random_variables(model, np.ones((2, 32), np.int8))
    gradient = jax.make_jaxpr(jax.grad(lambda v: jnp.sum(model.apply(v, np.ones((2, 32), np.int8)))))(variables)
    exact = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
    assert set(products(gradient.jaxpr)) == {exact}
