"""Background jobs: RQ's queues as the web and the jobs see them, and the worker that runs each job in a process of its own.

A job is a function named by its dotted path with JSON arguments; its id names the thing that it works on, so nothing is
queued twice. Two queues: `interactive`, and `long` for the later parts of work that takes minutes. A resumable job that
dies, whatever killed it, runs again at once. Beside RQ's keys: `progress:{id}`, a number with a TTL.
"""

import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as AtOnce
from rq import Callback, Queue, Retry, Worker, get_current_job
from rq.command import send_stop_job_command
from rq.exceptions import AbandonedJobError, DuplicateJobError, InvalidJobOperation, NoSuchJobError
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from utils.errors import StoreUnavailable

log = logging.getLogger(__name__)

INTERACTIVE, LONG = "interactive", "long"
QUEUES = (INTERACTIVE, LONG)
KEPT_SECONDS = 60  # how long the result or the failure of a job can be asked for
MONITORING_SECONDS = 2
HEARTBEAT_TTL_SECONDS = 6  # a job whose worker was silent for so long has died with it
DEATHS = 5  # after which a job is not run again at once; whoever wants it done finds it undone and queues it anew
RUNS = 10_000  # RQ wants to know how often a job may go on in another run
NICENESS = 5  # of long work: it gives way to all else
PR_SET_PDEATHSIG = 1

Again = Retry  # what a job returns that wants to go on in another run

_ADVANCE = """
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
redis.call('SET', KEYS[1], math.max(known, tonumber(ARGV[1])), 'EX', ARGV[2])
"""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(store="redis") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """Neither failed nor with a result: the job waits or runs. `result` is what it returned, read from JSON."""

    failed: bool = False
    result: Any = None


class Jobs:
    """The queues. Thread-safe; connects when it is first used, and again after a fork."""

    def __init__(self, url: str) -> None:
        self.redis = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2, retry=AtOnce(NoBackoff(), 1))
        self.queues = {name: Queue(name, connection=self.redis, serializer=JSONSerializer) for name in QUEUES}
        self._advance = self.redis.register_script(_ADVANCE)

    def enqueue(self, function: str, *args: str, job_id: str, timeout: int, resumable: bool = False) -> None:
        """Queues `function`, a dotted path, with `timeout` seconds for a run; does nothing when `job_id` is queued."""
        with _translated(), contextlib.suppress(DuplicateJobError):
            self.queues[INTERACTIVE].enqueue_call(
                function,
                args=args,
                timeout=timeout,
                result_ttl=KEPT_SECONDS,
                failure_ttl=KEPT_SECONDS,
                description=function,
                job_id=job_id,
                retry=Again(max=DEATHS) if resumable else None,
                on_failure=Callback(note_death),
                unique=True,
            )

    def live(self) -> set[str]:
        """The ids of all jobs that wait, run, or whose worker has just died: RQ queues these again by itself."""
        with _translated(), self.redis.pipeline(transaction=False) as pipeline:
            for queue in self.queues.values():
                pipeline.lrange(queue.key, 0, -1)
                pipeline.zrange(queue.started_job_registry.key, 0, -1)
            # in the registry an id is followed by a colon and the id of the run
            return {name.decode().partition(":")[0] for names in pipeline.execute() for name in names}

    def stop(self, job_id: str) -> None:
        """Takes a job out of its queue; one that runs is killed soon after, and not run again."""
        with _translated(), contextlib.suppress(NoSuchJobError, InvalidJobOperation, KeyError):
            job = self._fetch(job_id)
            if job.is_started:
                send_stop_job_command(self.redis, job_id, serializer=JSONSerializer)
            else:
                job.delete()  # KeyError: it ends at this very moment

    def forget(self, job_id: str) -> None:
        """Removes what RQ still knows of a job, so that one of the same id can be queued."""
        with _translated(), contextlib.suppress(NoSuchJobError, KeyError):  # KeyError: as above
            try:
                self._fetch(job_id).delete()
            except InvalidJobOperation:  # somebody else has just deleted it; what was written to it since has no status
                self.redis.delete(Job.key_for(job_id))

    def outcome(self, job_id: str) -> Outcome:
        """What became of a job, for a minute after its end; then, and where Redis was emptied meanwhile, it has failed."""
        with _translated():
            try:
                job = self._fetch(job_id)
            except NoSuchJobError:
                return Outcome(failed=True)
            status = job.get_status(refresh=False)
            if status == JobStatus.FINISHED:
                return Outcome(result=job.return_value())
            return Outcome(failed=status in (JobStatus.FAILED, JobStatus.STOPPED))

    def _fetch(self, job_id: str) -> Job:
        return Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)

    def report(self, job_id: str, progress: float, ttl: int) -> None:
        """Keeps how far a job is, from 0 to 1, for `ttl` seconds; never less than was reported before."""
        with _translated():
            self._advance(keys=[f"progress:{job_id}"], args=[f"{progress:.3f}", ttl])

    def reported(self, job_ids: Sequence[str]) -> dict[str, float]:
        """How far each job is; those of which nothing is known are left out."""
        with _translated():
            found = self.redis.mget([f"progress:{job_id}" for job_id in job_ids])
        return {job_id: float(progress) for job_id, progress in zip(job_ids, found, strict=True) if progress}

    def forget_progress(self, job_ids: Sequence[str]) -> None:
        """Deletes what `report` kept."""
        if job_ids:
            with _translated():
                self.redis.delete(*(f"progress:{job_id}" for job_id in job_ids))

    def close(self) -> None:
        self.redis.close()


def note_death(job: Job, _connection: Redis, kind: type[BaseException], *_: object) -> None:
    """What RQ calls when a job has raised, or its worker has died: only the former is the fault of the job."""
    job.meta["died"] = not issubclass(kind, AbandonedJobError)


def died_before() -> bool:
    """In a job: whether its previous run was ended by its own fault, such as a crash, a limit or an unforeseen error."""
    job = get_current_job()
    return job is not None and bool(job.meta.pop("died", False))


def is_long() -> bool:
    """In a job: whether it runs on the queue for long work."""
    job = get_current_job()
    return job is not None and job.origin == LONG


def again() -> Again:
    """What a job returns that goes on in another run, on the queue `long`."""
    return Again(max=RUNS)


def limit_cpu(seconds: int) -> None:
    """Lets the kernel end this process once it has used so much more processor time, whatever C code it is in."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + seconds + 1)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def die_with_parent(parent: int | None) -> None:
    """Ties the life of this process to that of the one that forked it, whose id is `parent` (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was quicker
            os._exit(1)


def serve(queues: Sequence[str], url: str, memory: int) -> None:
    """Runs the jobs of these queues, the first queue first, until a signal comes or Redis goes away.

    `memory` is the address space of one job in bytes. A signal kills the job that runs, which is put back into its queue.
    """
    try:
        JobWorker(queues, url, memory).work(logging_level="WARNING")
    except RedisError as error:
        log.warning("Redis is away: %s", error)


class JobWorker(Worker):
    """RQ's worker with our limits, made in the process that is to work."""

    def __init__(self, queues: Sequence[str], url: str, memory: int) -> None:
        super().__init__(
            queues,
            connection=Redis.from_url(url, socket_connect_timeout=2),
            serializer=JSONSerializer,
            worker_ttl=17,  # RQ waits for jobs 15 s less than that at a time
            job_monitoring_interval=MONITORING_SECONDS,
            maintenance_interval=MONITORING_SECONDS,
            log_job_description=False,
        )
        self.memory = memory
        self.log_result_lifespan = False

    def get_heartbeat_ttl(self, job: Job) -> int:
        return HEARTBEAT_TTL_SECONDS  # RQ's own adds a minute

    def perform_job(self, job: Job, queue: Queue) -> bool:
        die_with_parent(self.pid)
        if sys.platform == "linux":
            _limit(resource.RLIMIT_AS, self.memory)
        _limit(resource.RLIMIT_CORE, 0)
        limit_cpu(int(job.timeout or Queue.DEFAULT_TIMEOUT))
        if queue.name == LONG:
            os.nice(NICENESS)
        return super().perform_job(job, queue)

    def handle_job_retry(
        self, job: Job, queue: Queue, retry: Again, started_job_registry: StartedJobRegistry, execution: Execution
    ) -> None:
        long = Queue(LONG, connection=self.connection, serializer=JSONSerializer)
        super().handle_job_retry(job, long, retry, started_job_registry, execution)
        # RQ looks for the run in the registry of the new queue; left in the old one it would count as abandoned
        queue.started_job_registry.remove_execution(execution)

    def handle_work_horse_killed(self, job: Job, *args: Any) -> None:
        job.meta["died"] = not self._stop_requested

    def handle_warm_shutdown_request(self) -> None:
        self.kill_horse()

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.setpgid(self.horse_pid, self.horse_pid)  # where it has not done so yet, its group would be ours
                os.killpg(self.horse_pid, sig)
