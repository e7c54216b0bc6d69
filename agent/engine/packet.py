"""The XMP packet of a file: that it was made by AI, in any case; and how, unless whoever ordered it would rather not.

`DigitalSourceType` is the machine-readable mark that platforms look for. With it go, when they may, the fields that
IPTC has for prompt and system (Photo Metadata Standard 2025.1) and, as JSON in a namespace of our own, everything that
is needed to make the file again. Nothing in it depends on the moment: the same order gives the same bytes.
"""

from __future__ import annotations

import re
from html import escape

import msgspec

from control_plane.wire.job import JobSpec
from control_plane.wire.provenance import Provenance

MADE_BY_AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PACKET_BYTES_MAX = 60_000
"""A JPEG has room for 65,502. A recipe that is longer is left out; the mark never is."""

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:tessera="https://tessera.invalid/ns/1/">\
<xmp:CreatorTool>Tessera</xmp:CreatorTool>\
<Iptc4xmpExt:DigitalSourceType>{made_by_ai}</Iptc4xmpExt:DigitalSourceType>{recipe}\
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say."""


def packet(spec: JobSpec, provenance: Provenance) -> bytes:
    """For one file of this order; `spec.seed` is its own seed."""
    if spec.embed_metadata:
        full = _PACKET.format(made_by_ai=MADE_BY_AI, recipe=_recipe(spec, provenance)).encode()
        if len(full) <= PACKET_BYTES_MAX:
            return full
    return _PACKET.format(made_by_ai=MADE_BY_AI, recipe="").encode()


def _recipe(spec: JobSpec, provenance: Provenance) -> str:
    order = {name: value for name, value in msgspec.to_builtins(spec).items() if name not in _LEFT_OUT}
    version = f"{provenance.engine} {provenance.engine_version}".strip()
    return "".join(
        (
            _element("Iptc4xmpExt:AIPromptInformation", spec.prompt),
            _element("Iptc4xmpExt:AISystemUsed", spec.model),
            _element("Iptc4xmpExt:AISystemVersionUsed", version),
            _element("tessera:order", _json(order)),
            _element("tessera:provenance", _json(provenance)),
        )
    )


_LEFT_OUT = ("embed_metadata", "input_image")
"""Of the order: what says nothing about the file, or leads to somebody's own picture."""


def _json(value: object) -> str:
    """With what XML cannot say written as JSON can, so that nothing that was typed is lost."""
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", msgspec.json.encode(value).decode())


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(_FORBIDDEN.sub('', text), quote=False)}</{name}>"
