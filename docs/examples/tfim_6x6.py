"""The transverse-field Ising model on a 6 × 6 torus at h = 3, beside a public row: `python docs/examples/tfim_6x6.py`.

An ordinary NetKet script, six minutes of one core. Exact energy and the rows to compare with: the collection varbench,
TFIsing/square_36_P_3.md at commit 390a21eab7.
"""

import time

import jax.numpy as jnp
import netket as nk
import optax

from dysonnet import DysonNet, Ising
from dysonnet.samplers import Metropolis

L, STEPS, EXACT = 6, 400, -115.232707303718485
N = L * L
hilbert = nk.hilbert.Spin(0.5, N)
H = Ising(hilbert, nk.graph.Square(L), h=3.0, J=-1.0)
network = DysonNet(
    features=8,
    blocks=2,
    token_size=1,
    kernel_size=2,
    state_size=8,
    hidden_units=4,
    shape=(L, L),
    dtype="float32",
)
sampler = Metropolis(hilbert, nk.sampler.rules.LocalRule(), n_chains=512)
state = nk.vqs.MCState(sampler, network, n_samples=1024, n_discard_per_chain=1, seed=0, sampler_seed=1)

warm_up = optax.linear_schedule(0.01, 0.5, 40)
driver = nk.driver.VMC_SR(
    H,
    optax.sgd(lambda step: warm_up(step) * 0.995 ** jnp.maximum(0, step - 40) / N),
    diag_shift=lambda step: jnp.maximum(1e-2 * 0.985**step, 1e-3),
    variational_state=state,
    use_ntk=True,
    on_the_fly=False,
)
start = time.process_time()
driver.run(STEPS)

state.n_discard_per_chain, state.n_samples = 20, 65536  # fresh samples
energy = state.expect(H)
mean, bar, variance = float(energy.mean.real), float(energy.error_of_mean), float(energy.variance)
print(f"{state.n_parameters} parameters, {time.process_time() - start:.0f} seconds of one core")
print(f"E = {mean:.5f} ± {bar:.5f}, relative error {(mean - EXACT) / abs(EXACT):.1e} ± {bar / abs(EXACT):.0e}")
print(f"V-score {N * variance / EXACT**2:.1e}")
