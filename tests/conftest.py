"""Fixtures for all tests; each family of fixtures is one file in `fixtures/`."""

import os

# numpy with several BLAS threads on busy cores falls to a few passages a second
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_THREAD_LIMIT", "1")

pytest_plugins = [
    "fixtures.stores",
    "fixtures.databases",
    "fixtures.upstream",
    "fixtures.web",
    "fixtures.server",
    "fixtures.ingestion",
    "fixtures.operations",
    "fixtures.clients",
    "fixtures.openai_clients",
    "fixtures.local_models",
    "fixtures.stages",
]
