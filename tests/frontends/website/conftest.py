"""What the tests of the website stand on."""

from __future__ import annotations

from tests.fixtures.site import site as site
