"""The stream of one job: a snapshot, every event once, progress as a last value, and an end."""

from __future__ import annotations

from control_plane.wire.worker import Lease
from tests.fixtures.api import API, Plane
from tests.fixtures.streams import reading
from tests.fixtures.worker import Service, picture


def events_of(service: Service, job_id: object) -> str:
    return f"{service.url}{API}/jobs/{job_id}/events"


async def finish(service: Service, lease: Lease) -> None:
    assert (await service.hands.upload(lease, picture())).status == 200
    assert (await service.hands.complete(lease)).json["state"] == "succeeded"


async def test_a_stream_tells_the_story_of_a_job_and_ends_with_it(control_plane: Plane) -> None:
    service = control_plane.service
    job_id = await service.order()
    async with reading(service.session, events_of(service, job_id), service.key) as reader:
        assert reader.response.headers["Content-Type"] == "text/event-stream"
        first = await reader.next()
        assert first is not None
        assert (first.name, first.data["id"], first.data["status"]) == ("snapshot", str(job_id), "queued")
        [lease] = await service.hands.claim(wait=5)
        await service.hands.start(lease)
        told = [first, *await reader.until("job.started")]
        assert told[-1].data["job"]["status"] == "running"
        await finish(service, lease)
        told += await reader.rest()
    names = [frame.name for frame in told]
    assert names[-1] == "job.succeeded"
    assert [name for name in names if name == "job.started"] == ["job.started"]
    assert told[-1].data["job"]["artifacts"][0]["url"]
    ids = [frame.id for frame in told if frame.id]
    assert len(set(ids)) == len(ids)
