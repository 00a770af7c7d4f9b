"""What brings the portal up on one machine: PostgreSQL and Redis out of PyPI, the npm files, the processes, the tests' services.

Nothing of the portal imports this package, and nothing here imports a room of the portal: it only starts them.
"""
