"""From the one address in the settings to a store.

    file:///srv/tessera/artifacts
    s3://bucket/prefix?region=eu-central-1&endpoint=https://minio.example
    gs://bucket/prefix
    az://container/prefix

`endpoint` and `region` are for S3 and what speaks like it; `direct=no` keeps customers and agents away from a bucket
that they cannot reach. Credentials come from the environment under the names that each cloud gives them
(`AWS_ACCESS_KEY_ID`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` …) or from the machine's own role.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from control_plane.settings import ConfigurationError, Settings
from control_plane.store.contract import Store
from control_plane.store.folder import FolderStore

if TYPE_CHECKING:
    from control_plane.store.objects import Bucket

VARIABLE = "TESSERA_ARTIFACTS_URL"
OPTIONS = {"s3": {"endpoint", "region", "direct"}, "gs": {"direct"}, "az": {"direct"}, "file": set[str]()}
CONNECT_SECONDS, REQUEST_SECONDS, RETRIES_MAX, RETRY_SECONDS = 5, 30, 3, 20
EXAMPLES = "file:///path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix"


def open_store(settings: Settings) -> Store:
    """The store that the settings name. Raises `ConfigurationError`; nothing is connected to yet."""
    if settings.artifacts_url is None:
        return FolderStore(settings.artifacts_folder)
    try:
        url = urlsplit(settings.artifacts_url)
    except ValueError as error:
        raise ConfigurationError(f"{VARIABLE} is no address; allowed are {EXAMPLES}.") from error
    options = options_of(url)
    if url.scheme == "file":
        return FolderStore(folder_of(url))
    try:
        from control_plane.store.objects import ObjectStore
    except ImportError as error:
        raise ConfigurationError(
            f"{VARIABLE} names an object store. That needs the package obstore: pip install 'tessera[object-store]'."
        ) from error
    at = f" at {options['endpoint']}" if "endpoint" in options else ""
    where = f"{url.scheme}://{url.netloc}{url.path}{at}"
    return ObjectStore(
        bucket_of(url, options), where, settings.data_dir / "spool", direct=options.get("direct") != "no"
    )


def options_of(url: SplitResult, variable: str = VARIABLE) -> dict[str, str]:
    """What follows the question mark; its values are not repeated in errors, should a secret stand there."""
    if url.scheme not in OPTIONS or "@" in url.netloc or (not url.netloc) != (url.scheme == "file"):
        raise ConfigurationError(
            f"{variable} must be one of {EXAMPLES}, without credentials; those come from the environment"
            " (AWS_ACCESS_KEY_ID …)."
        )
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    allowed = OPTIONS[url.scheme]
    for name in options.keys() - allowed:
        raise ConfigurationError(f"{variable}: there is no option {name!r} here; {_words(allowed)}.")
    if options.get("direct", "no") not in ("yes", "no"):
        raise ConfigurationError(f"{variable}: direct must be yes or no.")
    if urlsplit(options.get("endpoint", "https://x")).scheme not in ("http", "https"):
        raise ConfigurationError(f"{variable}: endpoint must be an absolute URL (https://minio.example).")
    return options


def _words(allowed: set[str]) -> str:
    return f"allowed are {', '.join(sorted(allowed))}" if allowed else "none is allowed"


def folder_of(url: SplitResult, variable: str = VARIABLE) -> Path:
    if not url.path.startswith("/") or url.path == "/":
        raise ConfigurationError(f"{variable} must name a folder: file:///srv/tessera/artifacts.")
    return Path(unquote(url.path))


def bucket_of(url: SplitResult, options: dict[str, str], variable: str = VARIABLE) -> Bucket:
    """Nothing is connected to yet."""
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    endpoint = options.get("endpoint")
    shared: dict[str, Any] = {
        "prefix": unquote(url.path).strip("/") or None,
        "client_options": {
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "allow_http": (endpoint or "").startswith("http:"),
        },
        "retry_config": {"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    }
    try:
        match url.scheme:
            case "gs":
                return GCSStore(url.netloc, **shared)
            case "az":
                return AzureStore(url.netloc, **shared)
        given: dict[str, Any] = {name: options[name] for name in ("endpoint", "region") if name in options}
        return S3Store(url.netloc, **given, **shared)
    except (BaseError, ValueError) as error:
        raise ConfigurationError(f"{variable}: the bucket cannot be used: {str(error).splitlines()[0]}.") from error
