"""How a reply is written down: one JSON body, or the events of a stream, in the shapes and the order of the API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.calls import Call
from simulator.errors import ApiError
from simulator.replies import Part, Reply

MOST_DELTAS = 8
"""Deltas a block is streamed in; enough to see it grow, few enough to stay cheap."""

SHORTEST_DELTA = 24
"""Characters under which a delta is not cut any further."""

SIGNATURE = "c2ltdWxhdGVk"
"""What thinking is signed with. Opaque to clients; here it says `simulated` in base64."""

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
MALFORMED = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"del\n\n'


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream in the three parts that matter for timing and for breaking off."""

    opening: bytes
    """Up to the moment when text begins."""
    deltas: tuple[bytes, ...]
    closing: bytes
    """Stop reason, usage and `message_stop`: without it a client must not believe the answer."""

    def halves(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The deltas up to the middle, at least one if there are any, and the rest."""
        middle = (len(self.deltas) + 1) // 2
        return self.deltas[:middle], self.deltas[middle:]


def body(reply: Reply, call: Call, message_id: str) -> bytes:
    """The whole message as JSON."""
    return _dump(
        {
            **_envelope(call, message_id),
            "content": [_block(part, part.text) for part in reply.parts],
            "stop_reason": reply.stop_reason,
            "stop_sequence": reply.stop_sequence,
            "stop_details": reply.stop_details,
            "usage": _usage(call, reply.output_tokens),
        }
    )


def stream(reply: Reply, call: Call, message_id: str) -> Stream:
    """The same message as events. Usage in the last one is the total, not an increment."""
    start = {
        **_envelope(call, message_id),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": _usage(call, 1),
    }
    delta = {
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "stop_details": reply.stop_details,
    }
    opening = _event({"type": "message_start", "message": start})
    if reply.parts:
        opening += _block_start(0, reply.parts[0])
    return Stream(
        opening=opening + PING,
        deltas=tuple(_deltas(reply.parts)),
        closing=(_block_stop(len(reply.parts) - 1, reply.parts[-1]) if reply.parts else b"")
        + _event({"type": "message_delta", "delta": delta, "usage": _total(call, reply.output_tokens)})
        + _event({"type": "message_stop"}),
    )


def error_event(error: ApiError, request_id: str) -> bytes:
    """An error in the middle of a stream."""
    return b"event: error\ndata: " + _dump(error.body(request_id)) + b"\n\n"


def _deltas(parts: Sequence[Part]) -> list[bytes]:
    """The deltas of all blocks; where one block ends and the next begins, that goes in front of the next's first."""
    written: list[bytes] = []
    between = b""
    for index, part in enumerate(parts):
        if index > 0:
            between += _block_stop(index - 1, parts[index - 1]) + _block_start(index, part)
        for piece in _pieces(part.text):
            event = {"type": "content_block_delta", "index": index, "delta": _delta(part, piece)}
            written.append(between + _event(event))
            between = b""
    return [*written, between] if between else written


def _pieces(text: str) -> list[str]:
    size = max(SHORTEST_DELTA, -(-len(text) // MOST_DELTAS))
    return [text[start : start + size] for start in range(0, len(text), size)]


def _delta(part: Part, piece: str) -> dict[str, object]:
    return {"type": f"{part.kind}_delta", part.kind: piece}


def _block(part: Part, text: str) -> dict[str, object]:
    if part.kind == "thinking":
        return {"type": "thinking", "thinking": text, "signature": SIGNATURE if text else ""}
    return {"type": "text", "text": text, "citations": None}


def _block_start(index: int, part: Part) -> bytes:
    return _event({"type": "content_block_start", "index": index, "content_block": _block(part, "")})


def _block_stop(index: int, part: Part) -> bytes:
    stop = _event({"type": "content_block_stop", "index": index})
    if part.kind != "thinking":
        return stop
    signature = {"type": "signature_delta", "signature": SIGNATURE}
    return _event({"type": "content_block_delta", "index": index, "delta": signature}) + stop


def _envelope(call: Call, message_id: str) -> dict[str, object]:
    return {"id": message_id, "type": "message", "role": "assistant", "model": call.model}


def _total(call: Call, output_tokens: int) -> dict[str, object]:
    return {
        "input_tokens": call.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }


def _usage(call: Call, output_tokens: int) -> dict[str, object]:
    return {**_total(call, output_tokens), "service_tier": "standard"}


def _event(data: dict[str, object]) -> bytes:
    return f"event: {data['type']}\ndata: ".encode() + _dump(data) + b"\n\n"


def _dump(value: object) -> bytes:
    """Compact, and ASCII only: no character in an answer can be mistaken for the end of a line."""
    return json.dumps(value, separators=(",", ":")).encode()
