"""Fixtures for all tests; each family of fixtures is one file in `fixtures/`."""

import os

from hypothesis import settings

# The same examples in each run: `--hypothesis-profile=search` looks for others, as `make test-all` does.
settings.register_profile("fixed", derandomize=True)
settings.register_profile("search", print_blob=True)
settings.load_profile("fixed")

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
