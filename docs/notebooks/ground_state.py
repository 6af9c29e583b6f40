# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The ground state of 128 spins, with constant-time updates
#
# A long-range Ising ring next to its ferromagnetic transition, by an ordinary NetKet script. The operator and the network come from
# `dysonnet`; NetKet then asks the network for changes of log ψ in place of new evaluations.

# %%
import time

import jax
import matplotlib.pyplot as plt
import netket as nk
import numpy as np
import optax

from dysonnet import DysonNet, LongRangeIsing, MidpointComposite, estimator

N = 128
hilbert = nk.hilbert.Spin(0.5, N)
H = LongRangeIsing(hilbert, J=-2.084, alpha=2.5, h=1.0, dtype="float32")
network = DysonNet(features=8, blocks=2, token_size=2, kernel_size=2, state_size=8, hidden_units=2, dtype="float32")
sampler = MidpointComposite(hilbert, n_chains=64, dtype="int8")
state = nk.vqs.MCState(sampler, network, n_samples=256, n_discard_per_chain=1, seed=0, sampler_seed=1)
print(f"{state.n_parameters} parameters; local updates from here on: {estimator.pays(network, N)}")

# %% [markdown]
# ## What a local energy costs
#
# Each needs log ψ of the 128 configurations that differ by one spin. Once by ABACUS, once by evaluating the network 129 times, as NetKet
# does for any other network: the same numbers, to the rounding of float32.

# %%
σ = state.samples.reshape(-1, N)


@jax.jit
def full(variables, σ):
    """Local energies by evaluating all connected configurations."""
    connected, mels = H.get_conn_padded(σ)
    log_ψ = network.apply(variables, connected.reshape(-1, N)).reshape(mels.shape)
    return (mels * jax.numpy.exp(log_ψ - network.apply(variables, σ)[:, None])).sum(-1)


def seconds(function):
    """Best of three, compiled before."""
    found = jax.block_until_ready(function())
    times = []
    for _ in range(3):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return min(times), found


plain, exact = seconds(lambda: full(state.variables, σ))
abacus, local = seconds(lambda: state.local_estimators(H).data)
print(f"evaluations in full {1e3 * plain:.0f} ms, ABACUS {1e3 * abacus:.0f} ms: {plain / abacus:.0f} times faster here")
assert np.allclose(local.ravel(), exact, rtol=1e-3)

# %% [markdown]
# ## Training
#
# NetKet's driver with a short warm-up. NetKet minimises the total energy, so the rate is a step of imaginary time: the same
# for every N. Divided by N it would be too short for the slow modes of a long ring.

# %%
STEPS = 80
rate = optax.linear_schedule(0.005, 0.05, 30)
driver = nk.driver.VMC_SR(
    H,
    optax.sgd(rate),
    diag_shift=optax.exponential_decay(1e-2, STEPS, 0.1),
    variational_state=state,
    use_ntk=True,
    on_the_fly=False,
)
log = nk.logging.RuntimeLog()
driver.run(STEPS, out=log, show_progress=False)
energy = np.array(log.data["Energy"]["Mean"].real) / N
variance = np.array(log.data["Energy"]["Variance"])
print(
    f"E/N = {energy[-1]:.4f}, V-score {N * variance[-1] / (N * energy[-1]) ** 2:.0e}; Monte Carlo without bias finds -1.1124(1)"
)
assert energy[-1] < -1.11

# %%
figure, axis = plt.subplots(figsize=(5, 3))
axis.plot(energy)
axis.axhline(-1.1124, color="0.5", lw=0.8)
axis.set(xlabel="step", ylabel="energy per site")
plt.show()

# %% [markdown]
# ## A larger ring from this one
#
# No parameter knows N. The same parameters on 256 sites are a start for training there that is well below a new network's, all spins along
# the field with E/N = -1.

# %%
large = nk.hilbert.Spin(0.5, 2 * N)
grown = nk.vqs.MCState(
    MidpointComposite(large, n_chains=32, dtype="int8"),
    network,
    n_samples=64,
    n_discard_per_chain=20,
    variables=state.variables,
)
at_256 = grown.expect(LongRangeIsing(large, J=-2.084, alpha=2.5, h=1.0, dtype="float32"))
print(f"E/N at {2 * N} sites: {at_256.mean.real / (2 * N):.4f} ± {at_256.error_of_mean / (2 * N):.4f}")
assert at_256.mean.real / (2 * N) < -1.04
