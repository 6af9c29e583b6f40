"""DysonNet: neural quantum states with constant-time local updates, for NetKet (arXiv:2603.11189)."""

from dysonnet import estimator  # registers the local energies with NetKet
from dysonnet.composite import GradientComposite, MidpointComposite
from dysonnet.graphs import Heisenberg, Ising
from dysonnet.langevin import Langevin
from dysonnet.local_terms import as_flips
from dysonnet.model import DysonNet
from dysonnet.observables import ExchangeCorrelation, SquaredMagnetisation, TransverseMagnetisation
from dysonnet.operators import J1J2, LongRangeIsing
from dysonnet.propagators import S4, PowerLaw
from dysonnet.screened import ScreenedTypewriter
from dysonnet.tuning import tune, tune_step

__all__ = [
    "J1J2",
    "S4",
    "DysonNet",
    "ExchangeCorrelation",
    "GradientComposite",
    "Heisenberg",
    "Ising",
    "Langevin",
    "LongRangeIsing",
    "MidpointComposite",
    "PowerLaw",
    "ScreenedTypewriter",
    "SquaredMagnetisation",
    "TransverseMagnetisation",
    "as_flips",
    "estimator",
    "tune",
    "tune_step",
]
