"""Two devices give the amplitudes, energy and gradient of one; an SR step and all kinds of samplers run on them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import json, jax, jax.numpy as jnp, netket as nk, numpy as np, optax
from dysonnet import DysonNet, GradientComposite, LongRangeIsing, MidpointComposite, ScreenedTypewriter

hilbert = nk.hilbert.Spin(0.5, 32)
model = DysonNet(features=4, blocks=2, token_size=2, kernel_size=2, state_size=4, hidden_units=2, dtype=float)
sampler = MidpointComposite(hilbert, n_chains=8, chunk_size=2)
vstate = nk.vqs.MCState(sampler, model, n_samples=16, seed=0, sampler_seed=0, n_discard_per_chain=1)
two = jax.device_count() == 2  # other tests have samplers and steps on one device
drawn = np.asarray(vstate.sample()) if two else np.zeros(0)
σ = np.random.default_rng(0).choice([-1, 1], (8, 2, 32)).astype(np.int8)
vstate._samples = jax.device_put(σ, vstate.samples.sharding if two else jax.devices()[0])
hamiltonian = LongRangeIsing(hilbert, J=-2.0, alpha=2.5)
energy, gradient = vstate.expect_and_grad(hamiltonian)
log_psi = np.asarray(vstate.log_value(vstate.samples))
if two:
    settings = {"diag_shift": 1e-2, "use_ntk": False, "on_the_fly": False}
    driver = nk.driver.VMC_SR(hamiltonian, optax.sgd(0.01), variational_state=vstate, **settings)
    driver.run(1, show_progress=False)
    for kind, more in ((GradientComposite, {"chunk_size": 2}), (ScreenedTypewriter, {"spacing": 8, "order": 2})):
        settings = {"variables": vstate.variables, "sampler_seed": 0, "n_discard_per_chain": 1}
        chains = nk.vqs.MCState(kind(hilbert, n_chains=8, **more), model, n_samples=8, **settings)
        chains.sample()
        state = chains.sampler_state
        assert np.allclose(state.log_prob, 2 * chains.log_value(state.σ).real, rtol=1e-10) and 0 < state.acceptance <= 1
size = lambda tree: float(sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)))
print(json.dumps({
    "devices": jax.device_count(), "log_psi": log_psi.ravel().tolist(), "energy": float(energy.mean.real),
    "gradient": size(gradient), "spins": sorted(set(drawn.ravel().tolist())), "shape": drawn.shape,
    "finite": bool(np.isfinite(size(vstate.parameters))),
    "acceptance": float(vstate.sampler_state.acceptance) if two else None,
}))
"""


def run(devices):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_give_what_one_gives():
    one, two = run(1), run(2)
    assert (one["devices"], two["devices"]) == (1, 2)
    for name in ("log_psi", "energy", "gradient"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-10)
    assert two["shape"] == [8, 2, 32] and two["spins"] == [-1, 1] and two["finite"] and 0 < two["acceptance"] <= 1
