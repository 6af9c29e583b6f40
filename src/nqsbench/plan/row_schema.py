"""What the file of a row says, of a state that was trained here or by somebody else."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from nqsbench.plan.strict import Strict

Real = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Row(Strict):
    """A row of any status: which state, by what code, when; other columns are the business of who reads them."""

    model_config = ConfigDict(extra="allow", strict=True)

    system: str
    model: str
    preset: str
    seed: Annotated[int, Field(ge=0)]
    n_sites: Annotated[int, Field(ge=3)]
    iterations: Count
    n_samples: Count
    n_chains: Count
    dtype: Literal["float32", "float64"]
    config_hash: str
    training_version: int | str
    evaluation_version: int | str
    system_version: int | str
    model_version: int | str
    code: str
    commit: str
    versions: str
    device: str
    date: str
    status: Literal["ok", "unreliable", "failed"]
    reason: str


class MeasuredRow(Row):
    """A row with numbers."""

    parameters: Count
    sampler: str
    training_seconds: NotNegative
    evaluation_seconds: NotNegative
    trained_device: str
    energy: Real
    energy_error: Positive
    variance: Positive
    v_score: Positive
    evaluation_samples: Count
    top_share: NotNegative
    tau: Positive
    mixing_length: Count
    mixing_deviation: NotNegative
    r_hat_energy: float | None
    r_hat_m2: float | None
    r_hat_m2_staggered: float | None
    exact_energy: Real | None
    relative_error: Real | None
    full_sum_energy: Real | None
