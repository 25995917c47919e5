"""Where it runs: local processes, batch systems, allocations, and the doctor."""
