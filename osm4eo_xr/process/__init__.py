"""The process and the machine that it runs on.

- ``background``: work done ahead, in a thread of its own
- ``compiled``: functions that numba compiles, kept while their folder stays the same
- ``endings``: what is closed when a signal ends the process
- ``environment``: ``with_variables``: environment variables that stand for a while
- ``heap``: ``kept_heap``: memory that is freed and wanted again at each step
- ``node``: limits and caches of the machine, and what its errors mean
- ``openssl``: ``keep_connections_apart``: a broken TLS connection leaves its thread's others alone
- ``threads``: ``allowed_threads``: how many a step may compute with; ``at_most_threads`` sets it;
  ``compute_threads``: how many a library's computing may take
"""
