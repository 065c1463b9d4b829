"""Client of a dask cluster: opens it, hands out items, and takes in the answers as they come."""

from __future__ import annotations

import logging
import queue
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_cpclnet._version import __version__
from napari_cpclnet.errors import ClusterError
from napari_cpclnet.threads import usable_cores
from napari_cpclnet.worker_process import fresh_context

if TYPE_CHECKING:
    import distributed

    from napari_cpclnet.cluster.worker import Shared

LOCAL = "local"
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:\d+")
_BYTES_PER_WORKER = 4 * 2**30
"""Of free memory, that a worker of this machine should find."""
_ATTEMPTS = 2
"""How often an item is tried that fails for a reason which may be the worker's: no memory, a folder out of reach."""
_SHARINGS = 5
"""How often a job is given to the workers while some of them die."""
_LOOK_EVERY = 2.0
_CHECK_EVERY = 0.2
_CONNECT_SECONDS = 15
_RESULT_SECONDS = 30
# dask starts no other for a worker that died before it had wholly started
_REVIVE_AFTER = 10.0
_START_SECONDS = 20.0
"""How long a cluster that is closed waits for a worker that is being started; on a busy machine that takes seconds."""
# Nothing else is taken from the wire for an answer: neither pickles nor anything that may run.
_PLAIN = ["dask", "msgpack"]


@dataclass(frozen=True)
class Job:
    """What is done with each item, and what they share.

    Parameters
    ----------
    common : bytes
        Sent to each worker once.
    prepare, work : callable
        As in :class:`~napari_cpclnet.cluster.worker.Shared`; functions of this package.
    """

    common: bytes
    prepare: Callable[[bytes, int], Any]
    work: Callable[[Any, bytes], bytes]


@dataclass(frozen=True)
class Answer:
    """What came of item `number`: its content, or in one sentence why there is none."""

    number: int
    content: bytes = b""
    problem: str = ""


class Cluster:
    """Workers that answer items.

    Parameters
    ----------
    client : distributed.Client
    address : str
        As the user gave it, for messages.
    patience : float
        Seconds to wait for a worker when there is none.
    revive : callable, optional
        Starts workers anew, after a part of that time.
    """

    def __init__(
        self,
        client: distributed.Client,
        address: str,
        patience: float = 60.0,
        revive: Callable[[], None] | None = None,
    ) -> None:
        self._client, self._address, self._patience, self._revive = client, address, patience, revive
        self._seen = time.monotonic()

    @property
    def n_workers(self) -> int:
        """Workers that are there now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def answers(
        self, job: Job, items: Sequence[bytes], check: Callable[[], object] = bool
    ) -> Generator[Answer]:
        """Answers to all items, each once, in the order in which they are ready.

        Parameters
        ----------
        job : Job
        items : sequence of bytes
        check : callable
            Called now and then while there is nothing to answer; what it raises gives up what is left.

        Yields
        ------
        Answer
            Closing the iterator gives up what is left.

        Raises
        ------
        ClusterError
            If the scheduler is lost, or there are no workers for long.
        """
        from napari_cpclnet.cluster.worker import Shared, work_on

        name = f"napari-cpclnet-{secrets.token_hex(8)}"
        self._wait_for_workers(check)
        ours = self._revive is not None
        self._share(Shared(name, __version__, job.common, job.prepare, job.work, ours=ours), check)
        ready: queue.SimpleQueue[distributed.Future] = queue.SimpleQueue()
        waiting: dict[str, tuple[distributed.Future, int, int]] = {}

        # of items that waited in a worker which died dask does not tell which one killed it: each gets a try alone
        suspects: list[int] = []

        def hand_out(number: int, attempt: int) -> None:
            key = f"{name}-{number}-{secrets.token_hex(4)}"
            future = self._client.submit(work_on, name, items[number], key=key, pure=False)
            waiting[key] = future, number, attempt
            future.add_done_callback(ready.put)

        try:
            for number in range(len(items)):
                hand_out(number, 1)
            while waiting or suspects:
                if not waiting:
                    hand_out(suspects.pop(), _ATTEMPTS)
                future, number, attempt = waiting.pop(self._next(ready, check))
                kind, content = self._content(future)
                future.release()
                if kind == "lost":
                    self._check_workers()
                    hand_out(number, attempt)
                elif kind == "failed" and attempt < _ATTEMPTS:
                    hand_out(number, attempt + 1)
                elif kind == "killed" and attempt < _ATTEMPTS:
                    suspects.append(number)
                elif kind == "done":
                    yield Answer(number, content)
                else:
                    yield Answer(number, problem=_sentence(kind, content))
        finally:
            with suppress(Exception):  # a scheduler that is gone has nothing to give up
                self._client.cancel([future for future, _, _ in waiting.values()], force=True)
                self._client.unregister_worker_plugin(name)

    def _share(self, shared: Shared, check: Callable[[], object]) -> None:
        """Give all workers what the items need; one that dies meanwhile does not stop the others."""
        for attempt in range(1, _SHARINGS + 1):
            try:
                self._client.register_plugin(shared)
                return
            except Exception as error:
                # dask says so of a worker that has gone, and keeps the rest for those that come
                if isinstance(error, OSError) and attempt < _SHARINGS:
                    self._wait_for_workers(check)
                    continue
                raise ClusterError(
                    f"{self._address}: the workers cannot take the job ({error}); install napari-cpclnet "
                    f"{__version__} with the extra 'cluster' on all machines."
                ) from error

    def _next(self, ready: queue.SimpleQueue[distributed.Future], check: Callable[[], object]) -> str:
        """Key of the next item that is ready."""
        looked = time.monotonic()
        while True:
            check()
            try:
                return str(ready.get(timeout=_CHECK_EVERY).key)
            except queue.Empty:
                if time.monotonic() - looked > _LOOK_EVERY:
                    self._check_workers()
                    looked = time.monotonic()

    def _content(self, future: distributed.Future) -> tuple[str, bytes]:
        """Kind of an answer, ``done``, ``refused``, ``failed``, ``killed`` or ``lost``, and the rest of it."""
        from napari_cpclnet.cluster.worker import DONE, REFUSED

        while future.status not in ("error", "cancelled", "lost"):
            try:
                content = bytes(future.result(timeout=_RESULT_SECONDS))
            except TimeoutError:  # the worker that had it has died, and it is made again
                self._check_workers()
            except Exception:  # noqa: BLE001 - whatever dask raises, its status says what became of it
                break
            else:
                kinds = {DONE: "done", REFUSED: "refused"}
                return kinds.get(content[:1], "failed"), content[1:]
        # our own functions raise nothing: dask gave up after several workers
        return ("killed" if future.status == "error" else "lost"), b""

    def _check_workers(self) -> None:
        """Raise if there has been no worker for too long."""
        now = time.monotonic()
        if self._client.status != "running":
            raise ClusterError(f"{self._address}: the scheduler is gone; start it and run the command again.")
        if self.n_workers:
            self._seen = now
        elif self._revive is not None and now - self._seen > _REVIVE_AFTER:
            self._revive()
            self._seen = now
        elif now - self._seen > self._patience:
            raise ClusterError(
                f"{self._address}: there has been no worker for {self._patience:.0f} s; start some with 'dask worker' "
                "and run the command again."
            )

    def _wait_for_workers(self, check: Callable[[], object]) -> None:
        self._seen = time.monotonic()
        while not self.n_workers:
            check()
            self._check_workers()
            time.sleep(0.2)


def _sentence(kind: str, content: bytes) -> str:
    """Why an item has no answer."""
    text = content.decode(errors="replace").strip()
    if kind == "refused":
        return text
    if kind == "failed":
        return f"failed on a worker: {text.splitlines()[-1] if text else 'no reason given'}"
    return "every worker that was given it died, probably for lack of memory; give the workers more, or fewer at once."


@contextmanager
def open_cluster(scheduler: str, *, most: int | None = None, patience: float = 60.0) -> Iterator[Cluster]:
    """A cluster for the time of a block.

    Parameters
    ----------
    scheduler : str
        ``tcp://HOST:PORT`` or ``tls://HOST:PORT`` of a dask scheduler; ``local`` starts one with a worker for each
        core, as far as there is memory, which only this process can speak to.
    most : int, optional
        Workers to start at the most, where they are started here.
    patience : float
        Seconds to wait for a worker when there is none.

    Raises
    ------
    ClusterError
        If dask.distributed is not installed, or no scheduler answers.
    """
    if scheduler != LOCAL and not _ADDRESS.fullmatch(scheduler):
        raise ClusterError(f"'{scheduler}' is no scheduler: use local, tcp://HOST:PORT or tls://HOST:PORT.")
    try:
        import cryptography  # noqa: F401 - by which distributed makes keys
        import distributed  # noqa: F401
    except ImportError as error:
        raise ClusterError(
            f"Handing out work needs dask.distributed: pip install 'napari-cpclnet[cluster]' ({error})."
        ) from error
    if scheduler == LOCAL:
        with _local_cluster(most) as cluster, _client(cluster, LOCAL) as client:
            count = len(cluster.workers)

            def revive() -> None:
                cluster.scale(0)
                cluster.scale(count)

            yield Cluster(client, LOCAL, patience, revive)
    else:
        with _client(scheduler, scheduler) as client:
            yield Cluster(client, scheduler, patience)


@contextmanager
def _client(cluster: Any, address: str) -> Iterator[distributed.Client]:
    import distributed

    # what dask has to say of workers that die is said by us
    for name in ("distributed.client", "distributed.core", "distributed.scheduler", "distributed.nanny"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(
            cluster, timeout=_CONNECT_SECONDS, set_as_default=False, deserializers=_PLAIN
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ClusterError(
            f"{address}: no dask scheduler answers there ({error}); start one with 'dask scheduler'."
        ) from error
    with client:
        yield client


@contextmanager
def _local_cluster(most: int | None) -> Iterator[distributed.LocalCluster]:
    import dask
    import distributed
    import psutil

    cores = usable_cores()
    count = min(cores, max(1, psutil.virtual_memory().available // _BYTES_PER_WORKER), most or cores)
    no_pages: dict[str, list[str]] = {
        f"distributed.{role}.http.routes": [] for role in ("scheduler", "worker")
    }
    with (
        dask.config.set(no_pages),
        _fresh_processes(),
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            security=True,  # keys made for this run: other users of this machine cannot give the workers work
            dashboard_address="127.0.0.1:0",
            memory_limit=0,  # a scan needs what it needs
            silence_logs=logging.CRITICAL,
            env={"OMP_NUM_THREADS": str(max(1, cores // count)), "OMP_WAIT_POLICY": "passive"},
        ) as cluster,
    ):
        try:
            yield cluster
        finally:
            _let_workers_start(cluster)


def _let_workers_start(cluster: distributed.LocalCluster) -> None:
    """Wait for workers that are being started in place of others that died.

    dask cannot close a cluster whose worker has no process yet: it raises an ``AssertionError`` and leaves processes
    behind. It counts such a worker as running where the one before died just after it had started.
    """
    from distributed.core import Status

    def starting(nanny: distributed.Nanny) -> bool:
        worker = nanny.process
        if worker is None or nanny.status in (Status.closing, Status.closed, Status.failed):
            return False
        return worker.status == Status.starting or (worker.status == Status.running and worker.pid is None)

    until = time.monotonic() + _START_SECONDS
    while any(starting(nanny) for nanny in list(cluster.workers.values())) and time.monotonic() < until:
        time.sleep(0.02)


@contextmanager
def _fresh_processes() -> Iterator[None]:
    """Workers that start meanwhile run nothing of the main script, which would open a second window in each."""
    from distributed import nanny, process

    kept = [(module, module.get_mp_context) for module in (nanny, process)]
    for module, _ in kept:
        module.get_mp_context = fresh_context
    try:
        yield
    finally:
        for module, before in kept:
            module.get_mp_context = before
