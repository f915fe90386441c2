"""The queues and their worker, with a real Valkey and real processes that die."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from rq.exceptions import AbandonedJobError

from utils.errors import StoreUnavailable
from utils.jobs import DEATHS, Jobs, note_death, serve

ROOT = Path(__file__).parent.parent
MEMORY = 700_000_000


@pytest.fixture
def jobs(redis_url: str) -> Iterator[Jobs]:
    queues = Jobs(redis_url)
    yield queues
    queues.close()


@contextlib.contextmanager
def worker(redis_url: str, *queues: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    process = subprocess.Popen([sys.executable, "-m", "fakes.jobs", redis_url, str(MEMORY), *queues], cwd=ROOT, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def eventually(look: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_result_of_a_job_can_be_asked_for(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    jobs.enqueue("fakes.jobs.note", str(tmp_path / "log"), "图片里的字", job_id="one", timeout=10)
    assert jobs.live() == {"one"}
    with worker(redis_url):
        eventually(lambda: jobs.outcome("one").result == "图片里的字")
    assert jobs.live() == set()


def test_job_of_the_same_id_is_not_queued_twice(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(3):
        jobs.enqueue("fakes.jobs.note", str(log), "once", job_id="one", timeout=10)
    jobs.enqueue("fakes.jobs.note", str(log), "end", job_id="two", timeout=10)
    with worker(redis_url):
        eventually(lambda: "end" in lines(log))
    assert lines(log) == ["once", "end"]


def test_job_goes_on_in_the_queue_for_long_work(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs.enqueue("fakes.jobs.in_parts", str(log), job_id="one", timeout=10)
    with worker(redis_url, "interactive"):
        eventually(lambda: lines(log))
        eventually(lambda: jobs.queues["long"].job_ids == ["one"])
        eventually(lambda: not jobs.queues["interactive"].started_job_registry.get_job_ids(cleanup=False), 2)
        assert jobs.live() == {"one"}
    with worker(redis_url, "interactive", "long"):
        eventually(lambda: lines(log) == ["interactive", "long"])
        eventually(lambda: not jobs.live())


@pytest.mark.parametrize("how", ["memory", "processor", "error", "crash"])
def test_resumable_job_that_died_runs_again_and_knows_it(jobs: Jobs, redis_url: str, tmp_path: Path, how: str) -> None:
    log = tmp_path / "log"
    jobs.enqueue("fakes.jobs.fragile", str(log), how, job_id="one", timeout=30, resumable=True)
    with worker(redis_url):
        eventually(lambda: "died: True" in lines(log))
    assert len(lines(log)) == 2


def test_job_that_always_dies_is_left_alone_after_a_while(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs.enqueue("fakes.jobs.hopeless", str(log), job_id="one", timeout=30, resumable=True)
    with worker(redis_url):
        eventually(lambda: jobs.outcome("one").failed)
    assert len(lines(log)) == 1 + DEATHS
    assert jobs.live() == set()


def test_job_that_takes_too_long_is_ended(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs.enqueue("fakes.jobs.fragile", str(log), "sleep", job_id="one", timeout=1, resumable=True)
    with worker(redis_url):
        eventually(lambda: "died: True" in lines(log))


def test_job_that_is_not_resumable_fails_once(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs.enqueue("fakes.jobs.fragile", str(log), "crash", job_id="one", timeout=10)
    jobs.enqueue("fakes.jobs.note", str(tmp_path / "other"), "served", job_id="two", timeout=10)
    with worker(redis_url):
        eventually(lambda: jobs.outcome("one").failed)
        eventually(lambda: lines(tmp_path / "other") == ["served"])
    assert len(lines(log)) == 1


def test_job_of_a_killed_worker_dies_with_it_without_being_to_blame(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs.enqueue("fakes.jobs.fragile", str(log), "sleep", job_id="one", timeout=60, resumable=True)
    with worker(redis_url) as first:
        eventually(lambda: lines(log))
        first.kill()
        horse = int(lines(log)[0].split()[1])
        eventually(lambda: not _runs(horse), 2)
    assert jobs.live() == {"one"}, "the next worker will find it"
    job = jobs.queues["interactive"].fetch_job("one")
    assert job is not None
    note_death(job, jobs.redis, AbandonedJobError)
    assert job.meta == {"died": False}


def test_worker_that_is_to_end_puts_its_job_back(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs.enqueue("fakes.jobs.fragile", str(log), "sleep", job_id="one", timeout=60, resumable=True)
    with worker(redis_url) as first:
        eventually(lambda: lines(log))
        first.send_signal(signal.SIGTERM)
        first.wait(5)
    assert jobs.queues["interactive"].job_ids == ["one"]
    with worker(redis_url):
        eventually(lambda: "died: False" in lines(log))


def test_stopped_job_ends_at_once_and_does_not_come_back(jobs: Jobs, redis_url: str, tmp_path: Path) -> None:
    running, waiting = tmp_path / "running", tmp_path / "waiting"
    jobs.enqueue("fakes.jobs.fragile", str(running), "sleep", job_id="one", timeout=60, resumable=True)
    jobs.enqueue("fakes.jobs.note", str(waiting), "late", job_id="two", timeout=60, resumable=True)
    with worker(redis_url):
        eventually(lambda: lines(running))
        jobs.stop("two")
        jobs.stop("one")
        eventually(lambda: not _runs(int(lines(running)[0].split()[1])), 2)
        jobs.enqueue("fakes.jobs.note", str(waiting), "next", job_id="three", timeout=60)
        eventually(lambda: lines(waiting) == ["next"])
        eventually(lambda: not jobs.live())
    assert len(lines(running)) == 1


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_is_forgotten_by_several_at_once_is_no_error(jobs: Jobs, redis_url: str) -> None:
    jobs.enqueue("fakes.jobs.note", "unused", "text", job_id="one", timeout=60)
    with redis.Redis.from_url(redis_url) as client:
        client.hdel("rq:job:one", "status")  # what is left of a job when a worker writes to it after it was deleted
    jobs.forget("one")
    jobs.forget("one")
    jobs.enqueue("fakes.jobs.note", "unused", "text", job_id="one", timeout=60)
    assert jobs.live() == {"one"}


def test_progress_never_goes_back_and_has_a_ttl(jobs: Jobs, redis_url: str) -> None:
    jobs.report("one", 0.5, ttl=100)
    jobs.report("one", 0.25, ttl=100)
    assert jobs.reported(["one", "unknown"]) == {"one": 0.5}
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.ttl("progress:one") <= 100
    jobs.forget_progress(["one"])
    assert jobs.reported(["one"]) == {}


def test_redis_that_is_away_is_an_error_of_ours() -> None:
    queues = Jobs("redis://127.0.0.1:1/0")
    for attempt in (
        lambda: queues.enqueue("fakes.jobs.note", job_id="one", timeout=1),
        lambda: queues.live(),
        lambda: queues.stop("one"),
        lambda: queues.outcome("one"),
        lambda: queues.report("one", 0.5, 1),
    ):
        with pytest.raises(StoreUnavailable):
            attempt()


def test_worker_ends_quietly_where_redis_is_away(caplog: pytest.LogCaptureFixture) -> None:
    serve(["interactive"], "redis://127.0.0.1:1/0", MEMORY)
    assert "Redis is away" in caplog.text
