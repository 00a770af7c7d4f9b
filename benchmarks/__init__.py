"""`make bench`: what the portal takes for what it does, each beside something simpler measured in the same run.

What each module measures, and what came out: `docs/benchmarks.md`. Nothing here is a test; a slow machine fails nothing.
"""
