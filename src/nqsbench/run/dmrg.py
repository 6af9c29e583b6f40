"""Ground states of rings by DMRG with TeNPy (`pip install 'dysonnet[dmrg]'`), for what the series expansion cannot do.

Couplings Σ_{i<j} C_ij A_i B_j of any range are an MPO of the rank of the blocks C[:l, l:], found by singular values. With
rows V_l spanning that block, a channel k of bond l stands for Σ_j V_l[k, j] B_j on its right, so that site l

    ends it by               V_l[k, 0] B
    hands it on by           (V_l[:, 1:] V_{l+1}ᵀ)[k, k']
    and starts new ones by   (C[l, l+1:] V_{l+1}ᵀ)[k'] A
"""

import importlib.util
import logging
import warnings
from dataclasses import dataclass

import numpy as np

from nqsbench.run.qmc import interaction

BONDS = (16, 32, 64)  # bond dimensions, one after another
RANK = (
    1e-9  # singular values of the couplings that are kept, relative; with the kink of a ring at N/2 there are up to N/2
)
CONVERGED = 1e-8  # truncation error below which bonds grow no more: about 1e-7 of the energy per site
SETTINGS = {  # TeNPy's
    "min_sweeps": 2,
    "max_sweeps": 4,
    "max_E_err": 1e-7,
    "max_S_err": 1e-3,
    "max_trunc_err": 1.0,
    "mixer_params": {"amplitude": 1e-4, "decay": 4.0, "disable_after": 3},
    "lanczos_params": {"N_max": 3, "N_min": 2},
}
LAST = {"max_sweeps": 10, "max_E_err": 1e-8}  # of the largest bond dimension


def channels(C):
    """For every bond l = 1…N−1, V_l (rank, N − l), orthonormal rows that span C[:l, l:]; none at l = 0 and N."""
    n, bases = len(C), [np.zeros((0, len(C)))]
    for l in range(1, n):
        values, rows = np.linalg.svd(C[:l, l:], full_matrices=False)[1:]
        bases.append(rows[values > RANK * np.abs(C).max()])
    return [*bases, np.zeros((0, 0))]


def transfer(C):
    """(ends, hands on, starts) of every site; see above."""
    V = channels(C)
    return [(V[l][:, 0], V[l][:, 1:] @ V[l + 1].T, C[l, l + 1 :] @ V[l + 1].T) for l in range(len(C))]


def rebuilt(C):
    """The couplings that the channels stand for."""
    found, sites = np.zeros_like(C), transfer(C)
    for i in range(len(C)):
        carried = sites[i][2]
        for j in range(i + 1, len(C)):
            found[i, j] = carried @ sites[j][0]
            carried = carried @ sites[j][1]
    return found


@dataclass(frozen=True)
class Ring:
    """Σ_{i<j} C_ij Σ_t w_t A_t B_t + Σ_i field O: terms (w, A, B) by TeNPy's names, and the state that is begun with."""

    C: np.ndarray
    terms: tuple
    field: tuple
    conserve: str
    start: tuple

    @classmethod
    def lr_tfim(cls, n, J, alpha, h):
        """The suite's long-range Ising ring, x and z exchanged: Πσᶻ is conserved, and 1 in the ground state."""
        V = interaction(n, alpha)
        distances = np.subtract.outer(np.arange(n), np.arange(n)) % n
        C = np.triu(np.concatenate([[0.0], J / (1 + V.sum()) * V])[distances], 1)
        return cls(C, ((1.0, "Sigmax", "Sigmax"),), (-h, "Sigmaz"), "parity", ("up", "up"))

    @classmethod
    def j1j2(cls, n, J1, J2):
        """The J1–J2 ring in the sector ΣSᶻ = 0."""
        C = np.zeros((n, n))
        for r, J in ((1, J1), (2, J2)):
            for i in range(n):
                C[min(i, (i + r) % n), max(i, (i + r) % n)] += J
        terms = ((0.5, "Sp", "Sm"), (0.5, "Sm", "Sp"), (1.0, "Sz", "Sz"))
        return cls(C, terms, (0.0, "Sz"), "Sz", ("up", "down"))

    def tensors(self, operators):
        """W (left, right, 2, 2) of every site, from matrices by name. Bonds: nothing yet, channels, all done."""
        for number, (ends, on, starts) in enumerate(transfer(self.C)):
            rows, columns, terms = *on.shape, len(self.terms)
            W = np.zeros((2 + terms * rows, 2 + terms * columns, 2, 2))
            W[0, 0] = W[-1, -1] = operators["Id"]
            W[0, -1] = self.field[0] * operators[self.field[1]]
            for t, (weight, A, B) in enumerate(self.terms):
                left, right = slice(1 + t * rows, 1 + (t + 1) * rows), slice(1 + t * columns, 1 + (t + 1) * columns)
                W[0, right] = np.multiply.outer(weight * starts, operators[A])
                W[left, -1] = np.multiply.outer(ends, operators[B])
                W[left, right] = np.multiply.outer(on, operators["Id"])
            yield W[:1] if number == 0 else W[:, -1:] if number == len(self.C) - 1 else W

    def model(self):
        """TeNPy's model."""
        from tenpy.linalg.np_conserved import Array, LegCharge
        from tenpy.models.lattice import Chain
        from tenpy.models.model import MPOModel
        from tenpy.networks.mpo import MPO
        from tenpy.networks.site import SpinHalfSite

        site = SpinHalfSite(self.conserve, sort_charge=True)
        lattice, charges = Chain(len(self.C), site), site.leg.chinfo
        names = {"Id", self.field[1], *(name for _, *pair in self.terms for name in pair)}
        operators = {name: site.get_op(name).to_ndarray().real for name in names}
        channel = [site.get_op(A).qtotal for _, A, _ in self.terms]
        bond = lambda V: [0 * channel[0], *(q for q in channel for _ in V), 0 * channel[0]]
        bonds = [bond(V) for V in channels(self.C)]
        bonds[0] = bonds[-1] = bonds[0][:1]
        legs = [LegCharge.from_qflat(charges, q) for q in bonds]
        tensors = [
            Array.from_ndarray(W, [left, right.conj(), site.leg, site.leg.conj()], labels=["wL", "wR", "p", "p*"])
            for W, left, right in zip(self.tensors(operators), legs, legs[1:], strict=False)
        ]
        return MPOModel(lattice, MPO(lattice.mps_sites(), tensors, IdL=0, IdR=-1))


def ground_state(system, n_sites, couplings, bonds=BONDS, say=print):
    """The state of the largest bond dimension, or of one that truncates less than CONVERGED: a dictionary.

    `energy` and `variance` are per site; `energy_error` is how far the energy would fall without truncation, see
    `extrapolation`, or fell in the last sweep; `m2` is that of Ising rings.
    """
    if importlib.util.find_spec("tenpy") is None:
        raise ValueError("DMRG needs TeNPy, which is not installed: `pip install 'dysonnet[dmrg]'` brings it.")
    logging.getLogger("tenpy").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        return _ground_state(getattr(Ring, system)(n_sites, **couplings), n_sites, bonds, say)


def _ground_state(ring, n_sites, bonds, say):
    from tenpy.algorithms.dmrg import TwoSiteDMRGEngine
    from tenpy.networks.mps import MPS

    model = ring.model()
    ψ = MPS.from_product_state(model.lat.mps_sites(), [ring.start[i % 2] for i in range(n_sites)], bc="finite")
    energies, truncations, sweeps = [], [], 0
    for χ in bonds:
        settings = SETTINGS | (LAST if χ == bonds[-1] else {}) | {"mixer": not energies}
        engine = TwoSiteDMRGEngine(ψ, model, settings | {"trunc_params": {"chi_max": χ, "svd_min": 1e-9}})
        energies.append(float(engine.run()[0]) / n_sites)
        truncations.append(float(engine.sweep_stats["max_trunc_err"][-1]))
        sweeps += engine.sweep_stats["sweep"][-1]
        say(f"χ = {max(ψ.chi)}: E/N = {energies[-1]:.9f}, truncation {truncations[-1]:.1e}, {sweeps} sweeps")
        last = abs(float(engine.sweep_stats["Delta_E"][-1])) / n_sites  # of the last sweep
        if max(truncations[-1], last) < CONVERGED:
            break
    found = {"energy": energies[-1], "energy_error": max(last, extrapolation(energies, truncations))}
    if ring.conserve == "parity":
        found["m2"] = float(np.mean(ψ.correlation_function("Sigmax", "Sigmax").real))
    variance = float(model.H_MPO.variance(ψ)) / n_sites
    about = {"bond_dimension": int(max(ψ.chi)), "truncation_error": truncations[-1], "variance": variance}
    return found | about | {"sweeps": int(sweeps)}


def extrapolation(energies, truncations):
    """|E(0) − E| of a line through the last two truncation errors; |E| times the truncation error where there is no line."""
    if len(energies) < 2 or not truncations[-2] > 2 * truncations[-1]:
        change = abs(energies[-1] - energies[-2]) if len(energies) > 1 else 0.0
        return max(change, truncations[-1] * abs(energies[-1]))
    slope = (energies[-2] - energies[-1]) / (truncations[-2] - truncations[-1])
    return abs(slope * truncations[-1])
