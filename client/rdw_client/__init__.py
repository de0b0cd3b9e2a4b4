"""A client of rdw: which resolution, depth and width make a network fit a budget, and train it.

    from rdw_client import Client

    with Client() as rdw:                                   # RDW_URL and RDW_API_KEY
        found = rdw.scale("efficientnet_b0", flops=200_000_000)
        trial = rdw.wait(rdw.train(config=..., dataset="digits"))

`AsyncClient` has the same methods, to be awaited.
"""

from rdw_client.answers import (
    Architecture,
    Calibration,
    Comparison,
    Correlation,
    Correlations,
    Cost,
    Costed,
    Curve,
    CurvePoint,
    Dataset,
    Estimate,
    Family,
    FamilyMember,
    FrontNetwork,
    Heard,
    Multipliers,
    Observation,
    Page,
    PredictedAccuracy,
    Predictor,
    Queue,
    Readiness,
    Recommendation,
    Study,
    Suggestion,
    Trial,
    Worker,
)
from rdw_client.asynchronous import AsyncClient
from rdw_client.blocking import Client
from rdw_client.errors import (
    Conflict,
    Invalid,
    NotFound,
    NotUnderstood,
    Problem,
    RateLimited,
    RdwError,
    StudyCancelled,
    TargetOutOfRange,
    TrialCancelled,
    TrialFailed,
    Unauthorized,
    Unavailable,
    Unreachable,
    WaitedTooLong,
)
from rdw_client.events import Event

__all__ = [
    "Architecture",
    "AsyncClient",
    "Calibration",
    "Client",
    "Comparison",
    "Conflict",
    "Correlation",
    "Correlations",
    "Cost",
    "Costed",
    "Curve",
    "CurvePoint",
    "Dataset",
    "Estimate",
    "Event",
    "Family",
    "FamilyMember",
    "FrontNetwork",
    "Heard",
    "Invalid",
    "Multipliers",
    "NotFound",
    "NotUnderstood",
    "Observation",
    "Page",
    "PredictedAccuracy",
    "Predictor",
    "Problem",
    "Queue",
    "RateLimited",
    "RdwError",
    "Readiness",
    "Recommendation",
    "Study",
    "StudyCancelled",
    "Suggestion",
    "TargetOutOfRange",
    "Trial",
    "TrialCancelled",
    "TrialFailed",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "WaitedTooLong",
    "Worker",
]
