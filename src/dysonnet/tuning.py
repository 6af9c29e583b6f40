"""Settings of the exact samplers from short runs: to be called before sampling, never during it.

A setting that follows the chain would spoil stationarity.
"""

import warnings

from dysonnet.samplers import Metropolis

STEPS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)  # tried by `tune_step`
SPACINGS = (4, 8, 12, 16, 24, 32)  # tried by `tune`, as far as two of them fit on the ring


def tune(sampler, machine, parameters, state=None, spacings=None, passes=16):
    """The composite sampler with the spacing at which a pass accepts most flips, measured on the given chains.

    Where the model cannot be expanded, plain sampling is returned with a sentence of warning.

    Args:
        sampler: a `MidpointComposite` or `GradientComposite`.
        machine: the network.
        parameters: its variables.
        state: a sampler state to start from, e.g. `vstate.sampler_state`; random chains without one.
        spacings: those to try, in sites.
        passes: how many make a trial.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import GradientComposite, tune
        >>> sampler = GradientComposite(nk.hilbert.Spin(0.5, 16), n_chains=4)
        >>> state = nk.vqs.MCState(sampler, nk.models.RBM(alpha=1), n_samples=8)
        >>> state.sampler = tune(sampler, state.model, state.variables, spacings=(4, 8))
        >>> state.sampler.spacing in (4, 8)
        True
    """
    spacings = spacings or [spacing for spacing in SPACINGS if 2 * spacing <= sampler.hilbert.size]
    best, most = None, -1.0
    for spacing in spacings:
        try:
            candidate = sampler.replace(spacing=spacing).fit(machine)
            candidate = candidate.replace(sweep_size=passes * candidate.n_active)
            flips = float(_after_a_sample(candidate, machine, parameters, state).n_accepted)
        except (TypeError, ValueError) as error:
            reason = error
            continue
        if flips > most:
            best, most = candidate.replace(sweep_size=sampler.sweep_size), flips
    if best is None:
        warnings.warn(f"{reason} Plain sampling is used.", stacklevel=2)
        kept = {
            name: getattr(sampler, name)
            for name in ("sweep_size", "chunk_size", "reset_chains", "machine_pow", "dtype")
        }
        return Metropolis(sampler.hilbert, sampler.rule, n_chains=sampler.n_chains, **kept)
    return best


def tune_step(sampler, machine, parameters, state=None, steps=STEPS, passes=32):
    """The Langevin sampler with the step ε that flips most spins, measured on the given chains.

    Args:
        sampler: a `Langevin`.
        machine: the network.
        parameters: its variables.
        state: a sampler state to start from, e.g. `vstate.sampler_state`; random chains without one.
        steps: the values of ε to try.
        passes: how many steps make a trial.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import Langevin, tune_step
        >>> sampler = Langevin(nk.hilbert.Spin(0.5, 16), n_chains=4)
        >>> state = nk.vqs.MCState(sampler, nk.models.RBM(alpha=1), n_samples=8)
        >>> tune_step(sampler, state.model, state.variables, steps=(0.1, 0.3)).step in (0.1, 0.3)
        True
    """
    best, most = None, -1.0
    for step in steps:
        after = _after_a_sample(sampler.replace(step=step, sweep_size=passes), machine, parameters, state)
        if after.flips_per_step > most:
            best, most = step, float(after.flips_per_step)
    return sampler.replace(step=best)


def _after_a_sample(sampler, machine, parameters, state):
    """The state of a sampler after one sample, from the chains of another state where one is given."""
    start = sampler.init_state(machine, parameters, seed=0)
    start = start if state is None else start.replace(σ=state.σ)
    _, after = sampler.sample(machine, parameters, state=sampler.reset(machine, parameters, start))
    return after
