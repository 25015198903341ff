"""Uploads and jobs in memory: their limits, their leases and their end."""

import pytest
from clock import Clock

from config.settings import GraphStateTunables
from deployments.state.jobs import LEASE_S, JobBoard
from voxgraph.errors import InvalidRequest, NotFound, Overloaded, RateLimited
from voxgraph.graph import JobStatus

KEY = "media://a.wav"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> JobBoard:
    board = JobBoard(clock, lambda: 1_700_000_000 + clock.now)
    board.reconfigure(GraphStateTunables(max_jobs=2, max_media_bytes=1024, job_keep_s=60))
    return board


async def upload(board: JobBoard, *pieces: bytes, key: str = KEY, client: str | None = None) -> str:
    token = await board.open_upload(key, client)
    for number, piece in enumerate(pieces):
        await board.add_piece(token, "me", number, piece)
    await board.finish_upload(token, "me")
    return token


async def read(board: JobBoard, job_id: str) -> bytes:
    found = []
    while (piece := await board.piece(job_id, len(found))) is not None:
        found.append(piece)
    return b"".join(found)


async def test_a_job_reads_the_recording_of_its_key(board: JobBoard) -> None:
    await upload(board, b"one", b"two")
    job = await board.add_job(KEY)

    assert job.status is JobStatus.CREATED
    assert await read(board, job.id) == b"onetwo"


async def test_a_job_keeps_its_recording_when_the_key_gets_another(board: JobBoard) -> None:
    await upload(board, b"first")
    job = await board.add_job(KEY)
    await upload(board, b"second")

    assert await read(board, job.id) == b"first"
    assert await read(board, (await board.add_job(KEY)).id) == b"second"


async def test_a_job_ends_once_and_frees_its_recording(board: JobBoard, clock: Clock) -> None:
    await upload(board, bytes(600))
    job = await board.add_job(KEY)
    clock.now += 5
    await board.update(job.id, JobStatus.SUCCEEDED, "[]")
    await board.update(job.id, JobStatus.FAILED, "too late")

    found = await board.job(job.id)
    assert (found.status, found.output, found.updated_at - found.created_at) == (JobStatus.SUCCEEDED, "[]", 5)
    assert await board.piece(job.id, 0) is None


async def test_a_job_that_nobody_renews_has_failed(board: JobBoard, clock: Clock) -> None:
    await upload(board, b"a")
    job = await board.add_job(KEY)
    clock.now += LEASE_S
    await board.renew(job.id)
    clock.now += LEASE_S
    assert (await board.job(job.id)).status is JobStatus.CREATED
    clock.now += 1

    found = await board.job(job.id)
    assert found.status is JobStatus.FAILED
    assert "submit it again" in found.output


async def test_what_has_expired_is_not_found(board: JobBoard, clock: Clock) -> None:
    token = await upload(board, b"a")
    job = await board.add_job(KEY)
    await board.update(job.id, JobStatus.SUCCEEDED, "[]")
    clock.now += 61

    with pytest.raises(NotFound, match="kept in memory for 60 s"):
        await board.job(job.id)
    with pytest.raises(NotFound, match="expired"):
        await board.add_job(KEY)
    with pytest.raises(NotFound):
        await board.add_piece(token, "me", 0, b"a")


async def test_an_unfinished_job_does_not_expire(board: JobBoard, clock: Clock) -> None:
    await upload(board, b"a")
    job = await board.add_job(KEY)
    for _ in range(20):
        clock.now += 10
        await board.renew(job.id)

    assert await read(board, job.id) == b"a"


async def test_recordings_beyond_the_bytes_are_refused(board: JobBoard) -> None:
    await upload(board, bytes(1000))
    token = await board.open_upload("media://b")
    with pytest.raises(Overloaded, match="1024 bytes"):
        await board.add_piece(token, "me", 0, bytes(25))
    await board.add_piece(token, "me", 0, bytes(24))


async def test_a_replaced_recording_leaves_its_bytes(board: JobBoard) -> None:
    for _ in range(5):
        await upload(board, bytes(500))


async def test_a_recording_that_a_job_and_a_key_share_counts_once(board: JobBoard) -> None:
    await upload(board, bytes(600))
    await board.add_job(KEY)
    await board.add_job(KEY)

    await upload(board, bytes(400), key="media://b")


async def test_the_oldest_job_that_has_ended_gives_way(board: JobBoard) -> None:
    await upload(board, b"a")
    first, second = await board.add_job(KEY), await board.add_job(KEY)
    with pytest.raises(Overloaded, match="unfinished"):
        await board.add_job(KEY)
    await board.update(second.id, JobStatus.FAILED, "no luck")
    await board.add_job(KEY)

    assert (await board.job(first.id)).status is JobStatus.CREATED
    with pytest.raises(NotFound):
        await board.job(second.id)


async def test_addresses_have_a_limit_and_expire(board: JobBoard, clock: Clock) -> None:
    tokens = {await board.open_upload(f"media://{number}") for number in range(2)}
    with pytest.raises(Overloaded):
        await board.open_upload("media://c")
    clock.now += 61

    assert await board.open_upload("media://c") not in tokens


async def test_of_two_uploads_to_one_address_the_later_wins(board: JobBoard) -> None:
    token = await board.open_upload(KEY)
    await board.add_piece(token, "first", 0, b"1")
    await board.add_piece(token, "second", 0, b"2")
    with pytest.raises(InvalidRequest):
        await board.add_piece(token, "first", 1, b"1")
    await board.drop_upload(token, "first")
    await board.finish_upload(token, "second")

    assert await read(board, (await board.add_job(KEY)).id) == b"2"
    with pytest.raises(InvalidRequest):
        await board.finish_upload(token, "first")


async def test_an_upload_that_broke_off_is_no_recording(board: JobBoard) -> None:
    token = await board.open_upload(KEY)
    await board.add_piece(token, "me", 0, bytes(1000))
    await board.drop_upload(token, "me")

    with pytest.raises(NotFound):
        await board.add_job(KEY)
    await upload(board, bytes(1000), key="media://b")


async def test_one_client_has_a_share_of_the_addresses(board: JobBoard, clock: Clock) -> None:
    board.reconfigure(GraphStateTunables(max_jobs=4, max_client_share=0.5, job_keep_s=60))
    for number in range(2):
        await board.open_upload(f"media://{number}", "one")
    with pytest.raises(RateLimited, match="2 uploads of yours"):
        await board.open_upload("media://c", "one")
    await board.open_upload("media://c", "another")
    await board.open_upload("media://d")

    with pytest.raises(Overloaded) as refused:
        await board.open_upload("media://e", "a third")
    assert not isinstance(refused.value, RateLimited)
    clock.now += 61
    await board.open_upload("media://c", "one")


async def test_one_client_has_a_share_of_the_bytes(board: JobBoard) -> None:
    board.reconfigure(GraphStateTunables(max_jobs=9, max_media_bytes=1024, job_keep_s=60))
    await upload(board, bytes(500), client="one")
    token = await board.open_upload("media://b", "one")
    await board.add_piece(token, "me", 0, bytes(12))
    with pytest.raises(RateLimited, match="512 bytes, your share"):
        await board.add_piece(token, "me", 1, bytes(1))

    # The upload that was refused has left its bytes.
    await upload(board, bytes(12), key="media://c", client="one")
    await upload(board, bytes(512), key="media://d", client="another")


async def test_bytes_count_for_who_asked_for_the_address_while_a_job_needs_them(board: JobBoard) -> None:
    board.reconfigure(GraphStateTunables(max_jobs=9, max_media_bytes=1024, job_keep_s=60))
    await upload(board, bytes(500), client="one")
    job = await board.add_job(KEY, "another")
    await upload(board, b"", client="a third")

    with pytest.raises(RateLimited):
        await upload(board, bytes(500), key="media://b", client="one")
    await upload(board, bytes(500), key="media://b", client="another")
    await board.update(job.id, JobStatus.SUCCEEDED, "[]")
    await upload(board, bytes(500), key="media://c", client="one")


async def test_one_client_has_a_share_of_the_jobs_and_pushes_out_none_of_others(board: JobBoard) -> None:
    board.reconfigure(GraphStateTunables(max_jobs=4, max_client_share=0.5, job_keep_s=60))
    await upload(board, b"a")
    others = await board.add_job(KEY, "another")
    await board.update(others.id, JobStatus.SUCCEEDED, "[]")
    own = [await board.add_job(KEY, "one") for _ in range(2)]
    with pytest.raises(RateLimited, match="2 jobs of yours are unfinished"):
        await board.add_job(KEY, "one")
    await board.update(own[1].id, JobStatus.SUCCEEDED, "[]")
    await board.add_job(KEY, "one")

    assert (await board.job(others.id)).output == "[]"
    with pytest.raises(NotFound):
        await board.job(own[1].id)


async def test_programs_of_this_machine_have_all_jobs(board: JobBoard) -> None:
    board.reconfigure(GraphStateTunables(max_jobs=4, max_client_share=0.5, job_keep_s=60))
    await upload(board, b"a")
    for _ in range(4):
        await board.add_job(KEY)

    with pytest.raises(Overloaded, match="4 jobs are unfinished"):
        await board.add_job(KEY, "one")
