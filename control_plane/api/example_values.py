"""What the examples of the documentation show, by the name of a field, of a Struct, of a problem.

Only what a made-up value could not show well stands here; `examples.py` makes the rest from the types, and what does
not fit the type of a field of this name is left out there.
"""

from __future__ import annotations

from typing import Any

from control_plane import errors
from control_plane.errors import TesseraError

Json = dict[str, Any]

URL = "https://tessera.example"
JOB = "01a2063c-7d5e-7c21-9f0a-5b2d8c4e6f10"
OTHER = "01a2063c-8a11-7b3c-8d44-1f6e2a9b7c55"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SIGNED = f"{URL}/artifacts/{JOB}/0?expires=1795435200&signature={SHA256}"
NOON, LATER, MIDNIGHT = "2026-11-23T12:00:00Z", "2026-11-23T12:00:07Z", "2026-11-24T00:00:00Z"
EVENT_ID = "00a1b2c3-812-4711"
"""The id of a frame in a stream of events."""

FIELDS: dict[str, tuple[Any, ...]] = {
    "id": (JOB, "a1b2c3d4e5f6"),
    "job_id": (JOB,),
    "batch_id": (None,),
    "repeat_of": (None,),
    "webhook_id": (OTHER,),
    "worker_id": (OTHER,),
    "claim_id": (OTHER,),
    "token": (OTHER,),
    "name": ("ada",),
    "status": ("succeeded", "active"),
    "state": ("succeeded",),
    "model": ("testcard",),
    "title": ("Test card picture",),
    "prompt": ("a lighthouse at dusk",),
    "negative_prompt": ("",),
    "width": (768,),
    "height": (512,),
    "steps": (20,),
    "step": (20,),
    "guidance": (7.0,),
    "seed": (7,),
    "count": (1,),
    "n": (1,),
    "frames": (None, 48),
    "fps": (None, 24),
    "frames_max": (None,),
    "strength": (None,),
    "upscale": (None,),
    "sampler": (None,),
    "input_image": (None,),
    "created_at": (NOON,),
    "started_at": (NOON,),
    "finished_at": (LATER,),
    "handled_at": (None,),
    "handled_by": (None,),
    "expires_at": (MIDNIGHT,),
    "resets_at": (MIDNIGHT,),
    "day": ("2026-11-23",),
    "waiting": (None,),
    "progress": (None,),
    "error": (None,),
    "refusal": (None,),
    "provenance": (None,),
    "metadata": ({"order": "4711"},),
    "next_cursor": (None,),
    "url": (SIGNED,),
    "urls": (),
    "self": (f"{URL}/api/v1/jobs/{JOB}",),
    "cancel": (f"{URL}/api/v1/jobs/{JOB}",),
    "events": (f"{URL}/api/v1/jobs/{JOB}/events", ["job.succeeded", "job.failed"]),
    "thumbnail_url": (f"{URL}/artifacts/{JOB}/0/thumbnail?expires=1795435200&signature={SHA256}",),
    "index": (0,),
    "expires_in": (60.0,),
    "mime_type": ("image/png",),
    "bytes": (482_113,),
    "sha256": (SHA256,),
    "received_sha256": (SHA256,),
    "secret_sha256": (SHA256,),
    "position": ("3",),
    "p50_seconds": (7.5,),
    "p90_seconds": (14.0,),
    "value": (0.5,),
    "held": (0,),
    "charged": (1,),
    "cost": (1,),
    "plan": ("starter",),
    "provider": ("telegram",),
    "subject": ("123456789",),
    "reason": ("a real person", "all_workers_busy"),
    "decided_at": (None,),
    "decided_by": (None,),
    "text": ("This shows a real person.",),
    "scopes": (["read", "submit"],),
    "models": (None,),
    "networks": (None,),
    "origins": (None,),
    "daily_cap": (None, 100),
    "key": ("tsk_0123456789ab_…",),
    "code": ("K7QM-2XHP",),
    "secret": ("whsec_…",),
    "currency": ("EUR",),
    "price_cents": (500,),
    "formula": ("weight × count × ⌈pixels / 1048576⌉ × ⌈steps / 20⌉",),
    "b64_json": ("iVBORw0KGgo…",),
    "size": ("768x512",),
    "output_format": ("png",),
    "created": (1_795_435_200,),
    "engine": ("testcard",),
    "engine_version": ("1",),
    "agent_version": ("0.1.0",),
    "device": ("CPU",),
    "owned_by": ("tessera",),
    "detail": ("Must be a multiple of 8.",),
    "pointer": ("/width",),
    "type": ("job.succeeded",),
    "message_id": ("msg_01a2063c8a117b3c8d441f6e2a9b7c55",),
    "retention_days": (90,),
    "tokens_per_day": (1000,),
    "pixels_max": (4_194_304,),
    "wait": (25.0,),
    "protocol": (1,),
    "embed_metadata": (True,),
    "typical_seconds": (4.2,),
    "steps_max": (150,),
}
"""Field → values to try, the first that fits; with none that fits, one is made from the type."""

STRUCTS: dict[str, Json] = {
    "PackView": {"name": "medium", "tokens": 2_000, "stars": 500, "price_cents": 1_000},
    "PaymentRequest": {
        "provider": "telegram_stars",
        "provider_id": "stxQ5zF1x8mG7d",
        "pack": "medium",
        "amount": 500,
        "currency": "XTR",
    },
    "PaymentView": {
        "provider": "telegram_stars",
        "provider_id": "stxQ5zF1x8mG7d",
        "pack": "medium",
        "amount": 500,
        "currency": "XTR",
        "tokens": 2_000,
        "state": "credited",
        "place": "paint",
        "payer": "123456789",
        "refunded_at": None,
    },
    "RefundRequest": {"provider": "telegram_stars", "provider_id": "stxQ5zF1x8mG7d", "reason": "asked for"},
    "ChatRules": {"who": "everyone", "daily_cap": 200},
    "AdmitRequest": {"order": {"prompt": "a lighthouse at dusk"}, "key": "telegram:paint:4711"},
    "Admission": {"cost": 1, "refusal": None, "left": 199},
    "GrantRequest": {"tokens": 500, "reason": "for your patience"},
    "GrantView": {"purchased": 500},
    "SwitchRequest": {"what": "model", "name": "testcard", "paused": True},
    "WhyView": {"state": "queued", "lines": ["It waits: all workers busy.", "Nobody is ahead of it in line."]},
    "ServiceView": {"reason": "", "workers": {"idle": 1}},
    "WorkerView": {"name": "den", "condition": "idle", "serves": ["image/testcard"]},
    "LaneView": {"kind": "image", "model": "testcard"},
    "Preferences": {"embed_metadata": False},
    "Provenance": {
        "engine": "comfyui",
        "engine_version": "0.3.64",
        "agent_version": "0.1.0",
        "workflow": "sd15",
        "workflow_version": SHA256,
        "models": [{"name": "v1-5-pruned-emaonly-fp16.safetensors", "sha256": SHA256}],
        "libraries": {"pytorch": "2.9.0"},
        "device": "NVIDIA GeForce RTX 4090",
        "seeds": [7],
    },
    "SubmitRequest": {"prompt": "a lighthouse at dusk", "width": 768, "height": 512},
    "BatchRequest": {"jobs": [{"prompt": "a lighthouse at dawn"}, {"prompt": "a lighthouse at dusk"}]},
    "ImageRequest": {"prompt": "a lighthouse at dusk", "size": "768x512", "response_format": "url"},
    "EditRequest": {"prompt": "the same at night", "strength": "0.6"},
    "WebhookRequest": {"url": "https://shop.example/tessera", "events": ["job.succeeded", "job.failed"]},
    "WebhookChange": {"disabled": False},
    "KeyRequest": {"name": "shop"},
    "EnrollRequest": {"token": "tse_0123456789abcdef…", "name": "den"},
    "Enrolled": {"name": "den"},
    "Intervals": {
        "lease": 60.0,
        "offer": 10.0,
        "grace": 15.0,
        "heartbeat": 10.0,
        "hold": 10.0,
        "self_fence": 45.0,
        "poll": 25.0,
        "progress": 0.5,
        "prefetch": 15.0,
    },
    "WebhookView": {
        "url": "https://shop.example/tessera",
        "description": "",
        "status": "enabled",
        "disabled_reason": None,
        "failing_since": None,
    },
    "DeliveryView": {"url": "https://shop.example/tessera", "status": "delivered", "last_error": None},
    "JobView": {"provenance": None},
    "ModelObject": {"id": "testcard"},
    "Image": {"url": SIGNED, "b64_json": None},
    "Refusal": {"code": "tokens-short", "status": 402, "detail": "This costs 40 tokens and you have 25."},
    "ErrorDetail": {"type": "server_error", "code": "engine_crash", "param": None, "message": "The engine crashed."},
    "Fault": {"pointer": "/width", "code": "out_of_range", "detail": "Expected `int` that's a multiple of 8."},
    "PlanView": {"name": "starter"},
    "ModelView": {"name": "testcard", "kind": "image"},
    "Waiting": {"position": "3"},
    "Health": {"status": "ok"},
    "SessionView": {"signed_in": True, "session_id": OTHER, "refusal": None, "newcomer": None},
    "SessionUser": {"status": "active"},
    "ProviderView": {"id": "google", "title": "Google", "url": "/auth/google/start"},
    "SignedIn": {"next": "/create"},
    "TelegramSignIn": {
        "state": "b7f3bU6mXg9yqgk0rWf9cT0Gm0bq1pPq3Hn2v8sYxJ4",
        "data": {"id": 123456789, "first_name": "Ada", "auth_date": 1_795_435_200, "hash": SHA256},
    },
    "SessionEntry": {"current": True, "way": "google", "device": "Firefox on Linux", "last_used_at": NOON},
    "RepeatRequest": {"seed": 8},
}
"""Struct → fields that are shown, whatever their defaults; of a request nothing else but what it requires."""

PARAMETERS: dict[str, str] = {
    "provider": "telegram",
    "key_id": "a1b2c3d4e5f6",
    "chat": "-1001234567890",
    "worker": "den",
    "slug": "tokens-short",
    "token": "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "model": "testcard",
    "index": "0",
    "attempt": "1",
}
"""Parameter of a path → what stands for it; anything else is the id of a job."""

PROBLEMS: dict[type[TesseraError], tuple[str, Json]] = {
    errors.Invalid: (
        "/width: Expected `int` that's a multiple of 8.",
        {"errors": [{"pointer": "/width", "code": "out_of_range", "detail": "Expected `int` that's a multiple of 8."}]},
    ),
    errors.Malformed: (
        "The body is not JSON: trailing comma in object (byte 24).",
        {"errors": [{"pointer": "", "code": "not_json", "detail": "The body is not JSON: trailing comma (byte 24)."}]},
    ),
    errors.TokensShort: (
        "This costs 40 tokens and you have 25. The next day's tokens come at midnight UTC.",
        {"needed": 40, "available": 25, "resets_at": MIDNIGHT},
    ),
    errors.PlanForbids: (
        "Your plan free makes pictures of at most 1048576 pixels. Plans that allow it: pro.",
        {"plan": "free", "limit": "pixels_max", "allowed": 1_048_576, "asked": 4_194_304},
    ),
    errors.ModeratedInput: (
        "The prompt asks for what the rules of conduct do not allow here.",
        {
            "category": "minors",
            "errors": [{"pointer": "/prompt", "code": "minors", "detail": "This is not made here."}],
        },
    ),
    errors.NoSuchModel: (
        "No image model 'sdxl' is offered here; GET /api/v1/models lists what is.",
        {"errors": [{"pointer": "/model", "code": "unknown", "detail": "No image model 'sdxl' is offered here."}]},
    ),
    errors.TooLarge: ("The body may have at most 1048576 bytes.", {"bytes_max": 1_048_576}),
    errors.RangeNotSatisfiable: ("The file has 482113 bytes.", {"bytes": 482_113}),
    errors.RateLimited: ("Your plan takes 120 reads a minute. Try again in 1 s.", {}),
    errors.Forbidden: ("This key lacks the scope `submit`.", {}),
    errors.NotFound: ("You have no such job.", {}),
}
"""Detail and further members; other kinds of problems show what their page says."""

TEXTS: dict[str, str] = {
    "text/event-stream": f'id: {EVENT_ID}\nevent: job.succeeded\ndata: {{"id": "{JOB}", "status": "succeeded", …}}\n\n',
    "text/plain": 'tessera_jobs_waiting{kind="image",model="testcard"} 3\n',
    "text/html": "<!doctype html>…",
    "text/x-shellscript": "#!/bin/sh\n# Makes this machine (Linux, or WSL2 in Windows) a worker of a Tessera. …\n",
    "application/x-pem-file": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
    "text/javascript": "(async () => { …",
}
"""Media type → the beginning of such an answer."""

STREAMS: dict[str, str] = {
    "edit_images": "event: image_edit.completed\n"
    'data: {"type": "image_edit.completed", "b64_json": "iVBORw0KGgo…", …}\n\n',
    "create_images": "event: image_generation.completed\n"
    'data: {"type": "image_generation.completed", "b64_json": "iVBORw0KGgo…", …}\n\n',
}
"""Operation → its stream, when it is another one than that of events."""
