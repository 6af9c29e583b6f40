# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A quench
#
# The class of networks suits time evolution too: a complex head gives phases, and NetKet's time-dependent variational principle needs
# nothing else. A long-range Ising ring of 12 sites is put into the ground state of one coupling and evolves under another; sums over all
# configurations in place of samples, beside the exact evolution.

# %%
from functools import partial

import matplotlib.pyplot as plt
import netket as nk
import netket.experimental as nkx
import numpy as np
import optax
from scipy.sparse.linalg import expm_multiply

from dysonnet import DysonNet, LongRangeIsing, TransverseMagnetisation

N = 12
hilbert = nk.hilbert.Spin(0.5, N)
before, after = (LongRangeIsing(hilbert, J=J, alpha=2.5, h=1.0) for J in (-1.0, -2.5))
network = DysonNet(
    features=4,
    blocks=2,
    token_size=2,
    kernel_size=2,
    state_size=4,
    hidden_units=4,
    complex_head=True,
    one_site_shift=True,
)
state = nk.vqs.FullSumState(hilbert, network, seed=1)
head = {name: 6 * value for name, value in state.parameters["head"].items()}  # the standard head starts almost constant
state.parameters = {**state.parameters, "head": head}
print(f"{state.n_parameters} parameters")

# %% [markdown]
# ## Before the quench

# %%
ground = nk.driver.VMC_SR(
    before,
    optax.sgd(optax.linear_schedule(0.002, 0.04, 40)),
    diag_shift=1e-2,
    variational_state=state,
    use_ntk=False,
    on_the_fly=False,
)
ground.run(80, show_progress=False)
exact = nk.exact.lanczos_ed(before)[0]
print(f"relative error of the energy: {(state.expect(before).mean.real - exact) / abs(exact):.1e}")

# %% [markdown]
# ## After it

# %%
observable = TransverseMagnetisation(hilbert)
H, X, start = after.to_sparse(), observable.to_sparse(), state.to_array()
times, found, expected, lost = [], [], [], []


def record(step, log, driver):
    """⟨mˣ⟩ of the network and of the exact state, and the infidelity of the two."""
    ψ, φ = expm_multiply(-1j * float(driver.t) * H, start), state.to_array()
    times.append(float(driver.t))
    found.append(np.vdot(φ, X @ φ).real)
    expected.append(np.vdot(ψ, X @ ψ).real)
    lost.append(1 - abs(np.vdot(ψ, φ)) ** 2)
    return True


quench = nkx.driver.TDVP(
    after,
    state,
    nkx.dynamics.RK4(dt=0.025),
    qgt=nk.optimizer.qgt.QGTJacobianDense(holomorphic=False, diag_shift=0.0),
    linear_solver=partial(nk.optimizer.solver.pinv_smooth, rtol=1e-8, rtol_smooth=1e-8),
    propagation_type="real",
)
quench.run(0.5, show_progress=False, callback=record)
print(f"infidelity with the exact state at t = {times[-1]:.2f}: {lost[-1]:.1e}")
assert lost[-1] < 2e-2 and abs(found[-1] - expected[-1]) < 1e-2 and abs(expected[-1] - expected[0]) > 0.03

# %%
figure, axis = plt.subplots(figsize=(5, 3))
axis.plot(times, expected, color="0.5", label="exact")
axis.plot(times, found, ".", label="DysonNet, TDVP")
axis.set(xlabel="t", ylabel=r"$\langle\sigma^x\rangle$")
axis.legend()
plt.show()
