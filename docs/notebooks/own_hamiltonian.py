# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Your own Hamiltonian, in flips
#
# The three-spin Ising ring in a transverse field,
#
# $$H = -\sum_i \sigma^z_i \sigma^z_{i+1} \sigma^z_{i+2} - h \sum_i \sigma^x_i ,$$
#
# which is self-dual at h = 1. An operator of `dysonnet` says its diagonal, the sets of sites that it flips, and their matrix elements;
# everything else follows: NetKet's methods, sums with other operators, and local updates.

# %%
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax
from jax.tree_util import register_pytree_node_class

from dysonnet import DysonNet, estimator
from dysonnet.flips import FlipOperator


@register_pytree_node_class
class ThreeSpinIsing(FlipOperator):
    """H = −Σ σᶻσᶻσᶻ − h Σ σˣ on a ring."""

    couplings = ("h",)  # leaves of the operator: one compilation serves a whole sweep in h

    def __init__(self, hilbert, h, dtype=None):
        super().__init__(hilbert, dtype, h=h)

    @property
    def moves(self):
        return np.arange(self.hilbert.size)[:, None]  # each site alone

    def diagonal(self, σ):
        return -(σ * jnp.roll(σ, -1, axis=-1) * jnp.roll(σ, -2, axis=-1)).sum(-1).astype(self.dtype)

    def flip_mels(self, σ):
        return jnp.broadcast_to(-self.h, σ.shape).astype(self.dtype)


# %% [markdown]
# ## Is it right?
#
# Against the same operator made of NetKet's own, as matrices.

# %%
N = 12
hilbert = nk.hilbert.Spin(0.5, N)
H = ThreeSpinIsing(hilbert, h=1.0)
z, x = nk.operator.spin.sigmaz, nk.operator.spin.sigmax
netket = sum(-z(hilbert, i) @ z(hilbert, (i + 1) % N) @ z(hilbert, (i + 2) % N) - x(hilbert, i) for i in range(N))
assert abs(H.to_sparse() - netket.to_sparse()).max() < 1e-12
exact = nk.exact.lanczos_ed(H)[0]
print(f"E/N = {exact / N:.6f}")

# %% [markdown]
# ## Ground state
#
# Its lattice symmetry is that of three sublattices, so three sites are a token.

# %%
network = DysonNet(features=6, blocks=2, token_size=3, kernel_size=2, state_size=4, hidden_units=2)
state = nk.vqs.MCState(
    nk.sampler.MetropolisLocal(hilbert, n_chains=256), network, n_samples=512, seed=0, sampler_seed=1
)
rate = optax.linear_schedule(0.02, 0.3, 30)
driver = nk.driver.VMC_SR(
    H, optax.sgd(lambda step: rate(step) / N), diag_shift=1e-3, variational_state=state, use_ntk=True, on_the_fly=False
)
driver.run(120, show_progress=False)
ψ = state.to_array()
found = ψ @ H.to_sparse() @ ψ
print(f"relative error of the state itself: {(found - exact) / abs(exact):.1e}")
assert 0 <= found - exact < 5e-3 * abs(exact)

# %% [markdown]
# ## Constant-time updates come with it
#
# On a long ring the local energies are made of changes of log ψ: the same as by 193 evaluations of the network.

# %%
long = nk.hilbert.Spin(0.5, 192)
grown = nk.vqs.MCState(
    nk.sampler.MetropolisLocal(long, n_chains=8),
    network,
    n_samples=8,
    n_discard_per_chain=40,
    variables=state.variables,
)
H_long = ThreeSpinIsing(long, h=1.0)
local = grown.local_estimators(H_long).data.ravel()
σ = grown.samples.reshape(-1, 192)
connected, mels = H_long.get_conn_padded(σ)
full = np.sum(mels * np.exp(grown.log_value(connected) - grown.log_value(σ)[:, None]), axis=-1)
assert estimator.pays(network, 192) and np.allclose(local, full, rtol=1e-9)
print(f"E/N of the grown state on 192 sites: {local.mean() / 192:.3f}")
