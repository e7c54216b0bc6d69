"""Which files of weights there are: where each lies, its size and hash, where it comes from and under what licence.

A *list of weights* is a TOML file in the folder `weights/` beside the workflows; there may be several, and a later
folder stands over an earlier one, file by file. Licences have a table of their own (`[licences.ID]`), because many
files share one, and whether a file may earn money is a property of its licence. The agent loads files by this list;
the control plane reads from it what may be sold, and sends agents the entries that its workflows in force name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from control_plane.wire import Message

FOLDER = "weights"
"""Inside a folder of workflows."""
LIST_BYTES_MAX = 1024 * 1024
FILES_MAX = 1_000
SOURCES_MAX = 8
FILE_BYTES_MAX = 2**40
SENT_BYTES_MAX = 512 * 1024
"""Of all entries that are sent to agents together."""

Commercial = Literal["yes", "no", "conditional"]
"""Whether results may be sold: as they are, never, or under the licence's `conditions`."""
Url = Annotated[str, Meta(pattern=r"^https?://[^/\s@]+(/[^\s]*)?\Z", max_length=1_000)]
"""Names no user and no password: a token comes from a file or the environment."""
Sentence = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
LicenceId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.+-]*\Z", max_length=64)]
FolderName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*\Z", max_length=64)]
FileName = Annotated[
    str, Meta(pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9._+-]*/)*[A-Za-z0-9][A-Za-z0-9._+-]*\Z", max_length=200)
]
"""A path below the folder, which can name nothing outside it."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class WeightsError(Exception):
    """A list of weights cannot be used; the message names the file, the entry and what is wrong."""


class Licence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Sentence
    url: Url
    """Where its text can be read."""
    version: Sentence
    """Whoever accepts it accepts this version; when the text changes, this does, and it is asked for again."""
    commercial: Commercial
    conditions: Sentence | None = None
    """What selling depends on, in one sentence; there must be one where `commercial` is conditional."""


class WeightFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    folder: FolderName
    """As ComfyUI calls it: `checkpoints`, `loras`, …"""
    name: FileName
    bytes: Annotated[int, Meta(gt=0, le=FILE_BYTES_MAX)]
    sha256: Sha256 | None = None
    """Absent: nobody has published it. The owner of a machine may pin what was loaded there."""
    sources: Annotated[list[Url], Meta(min_length=1, max_length=SOURCES_MAX)]
    """The same bytes everywhere; the first is asked first."""
    licence: LicenceId
    gated: bool = False
    """Its sources want a token of somebody who has accepted the licence there."""
    vram_gib: Annotated[int, Meta(ge=0, le=1_024)]
    """The least memory of a GPU that the workflows of this file run on."""
    found: Annotated[list[Sentence], Meta(max_length=SOURCES_MAX)] = []
    """Where size, hash and licence were read, for whoever checks them again."""

    @property
    def path(self) -> str:
        """`folder/name`: what a file is called by."""
        return f"{self.folder}/{self.name}"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file with its licence, for whoever has no list."""

    file: WeightFile
    licence: Licence


class SentEntry(Message, frozen=True, kw_only=True):
    """An entry on its way to agents, which may say what an older agent does not know."""

    file: msgspec.Raw
    licence: msgspec.Raw


class _List(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    licences: dict[LicenceId, Licence] = {}
    files: Annotated[list[WeightFile], Meta(max_length=FILES_MAX)] = []


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    licences: dict[str, Licence]
    files: dict[str, WeightFile]
    """By `folder/name`."""

    def licence_of(self, folder: str, name: str) -> Licence | None:
        """None: no list has this file, so nothing is known of what it may be used for."""
        file = self.files.get(f"{folder}/{name}")
        return self.licences[file.licence] if file is not None else None

    def entries(self, paths: Iterable[str]) -> list[Entry]:
        """Of these files, as far as they are listed; where the facts were found stays with the list."""
        files = [self.files[path] for path in dict.fromkeys(paths) if path in self.files]
        bare = [msgspec.structs.replace(file, found=[]) for file in files]
        return [Entry(file=file, licence=self.licences[file.licence]) for file in bare]


NOTHING = Weights(licences={}, files={})


def sent(entries: Iterable[Entry]) -> list[SentEntry]:
    """Each file once, in the order of their names; what would be more than agents are sent is left out."""
    by_path = {entry.file.path: entry for entry in entries}
    found, total = [], 0
    for _, entry in sorted(by_path.items())[:FILES_MAX]:
        file, licence = msgspec.json.encode(entry.file), msgspec.json.encode(entry.licence)
        total += len(file) + len(licence)
        if total > SENT_BYTES_MAX:
            break
        found.append(SentEntry(file=msgspec.Raw(file), licence=msgspec.Raw(licence)))
    return found


def received(one: SentEntry) -> Entry:
    """Raises `WeightsError`, as for an entry that is newer than this program."""
    try:
        file = msgspec.json.decode(one.file, type=WeightFile)
        licence = msgspec.json.decode(one.licence, type=Licence)
    except msgspec.DecodeError as error:
        raise WeightsError(f"An entry of the control plane's list of weights: {error}.") from error
    _check_licence("The control plane's list of weights", file.licence, licence)
    return Entry(file=file, licence=licence)


def over(base: Weights, entries: Iterable[Entry]) -> Weights:
    """With these entries in the place of those that say the same file or licence."""
    entries = list(entries)
    return Weights(
        licences=base.licences | {entry.file.licence: entry.licence for entry in entries},
        files=base.files | {entry.file.path: entry.file for entry in entries},
    )


def load(*folders: Path, base: Weights = NOTHING) -> Weights:
    """The lists of these folders of workflows together, over `base`; raises `WeightsError`. A folder need not have
    any."""
    paths = [path for folder in folders for path in sorted((folder / FOLDER).glob("*.toml"))]
    try:
        return parse({str(path): path.read_bytes() for path in paths}, base)
    except OSError as error:
        raise WeightsError(f"{error.filename}: cannot be read ({error.strerror}).") from error


def parse(lists: Mapping[str, bytes], base: Weights = NOTHING) -> Weights:
    """Lists by their names, a later one over an earlier one and all over `base`; raises `WeightsError`."""
    licences, files = dict(base.licences), dict(base.files)
    for origin, raw in lists.items():
        found = _decoded(origin, raw)
        twice = _twice(file.path for file in found.files)
        if twice:
            raise WeightsError(f"{origin}: {twice} is listed twice.")
        licences |= found.licences
        files |= {file.path: file for file in found.files}
        _check(origin, found, licences)
    return Weights(licences=licences, files=files)


def _decoded(origin: str, raw: bytes) -> _List:
    if len(raw) > LIST_BYTES_MAX:
        raise WeightsError(f"{origin}: larger than {LIST_BYTES_MAX} bytes.")
    try:
        return msgspec.toml.decode(raw, type=_List)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{origin}: {error}.") from error


def _check(origin: str, found: _List, licences: Mapping[str, Licence]) -> None:
    """What the types cannot say."""
    for file in found.files:
        if file.licence not in licences:
            known = ", ".join(sorted(licences)) or "none"
            raise WeightsError(f"{origin}: {file.path} has the licence {file.licence}, which no list has ({known}).")
    for key, licence in found.licences.items():
        _check_licence(origin, key, licence)


def _check_licence(origin: str, key: str, licence: Licence) -> None:
    if licence.commercial == "conditional" and licence.conditions is None:
        raise WeightsError(f"{origin}: the licence {key} is conditional, but has no conditions.")


def _twice(paths: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((path for path in paths if path in seen or seen.add(path)), None)  # type: ignore[func-returns-value]
