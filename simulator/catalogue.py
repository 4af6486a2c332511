"""The models the simulator claims to have: names as the service has them, so that a typing error is still a 404."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.errors import ApiError

CONTEXT_WINDOW = 200_000
LONGEST_ANSWER = 64_000


@dataclass(frozen=True)
class Model:
    """One model as `GET /v1/models` tells it."""

    id: str
    display_name: str
    line: str
    created_at: str

    def body(self) -> dict[str, object]:
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "line": self.line,
            "lifecycle": "active",
            "created_at": self.created_at,
            "deprecated_at": None,
            "retires_at": None,
            "max_input_tokens": CONTEXT_WINDOW,
            "max_tokens": LONGEST_ANSWER,
        }


_UNKNOWN_DATE = "1970-01-01T00:00:00Z"
"""The API's own way to say that the release date is not known; the simulator has no business knowing it."""

MODELS: Mapping[str, Model] = {
    f"claude-{line}-{major}-{minor}": Model(
        f"claude-{line}-{major}-{minor}", f"Claude {line.title()} {major}.{minor}", line, _UNKNOWN_DATE
    )
    for line, major, minor in (
        ("haiku", 5, 5),
        ("sonnet", 5, 5),
        ("opus", 5, 5),
        ("haiku", 4, 5),
        ("opus", 4, 5),
    )
}


def known_model(name: str) -> Model:
    """The model of that name. Raises ApiError 404, in the service's words, when there is none."""
    model = MODELS.get(name)
    if model is None:
        raise ApiError(404, f"model: {name}")
    return model


def models_page() -> dict[str, object]:
    """All models on one page; there are too few for a second."""
    names = list(MODELS)
    return {
        "data": [model.body() for model in MODELS.values()],
        "has_more": False,
        "first_id": names[0],
        "last_id": names[-1],
    }
