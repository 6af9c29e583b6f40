"""DysonNet: neural quantum states with constant-time local updates, for NetKet (arXiv:2603.11189)."""

from dysonnet import estimator  # registers the local energies with NetKet
from dysonnet.composite import GradientComposite, MidpointComposite
from dysonnet.graphs import Heisenberg, Ising
from dysonnet.langevin import Langevin
from dysonnet.local_terms import as_flips
from dysonnet.mixers import Convolution, Dense, Fourier, LinearAttention
from dysonnet.model import DysonNet
from dysonnet.network import Stream
from dysonnet.observables import ExchangeCorrelation, SquaredMagnetisation, TransverseMagnetisation
from dysonnet.operators import J1J2, LongRangeIsing
from dysonnet.propagators import S4, PowerLaw, Sum
from dysonnet.screened import ScreenedTypewriter
from dysonnet.tuning import tune, tune_step
from dysonnet.windows import WindowMLP

__all__ = [
    "J1J2",
    "S4",
    "Convolution",
    "Dense",
    "DysonNet",
    "ExchangeCorrelation",
    "Fourier",
    "GradientComposite",
    "Heisenberg",
    "Ising",
    "Langevin",
    "LinearAttention",
    "LongRangeIsing",
    "MidpointComposite",
    "PowerLaw",
    "ScreenedTypewriter",
    "SquaredMagnetisation",
    "Stream",
    "Sum",
    "TransverseMagnetisation",
    "WindowMLP",
    "as_flips",
    "estimator",
    "tune",
    "tune_step",
]
