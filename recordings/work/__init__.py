"""The jobs: their line in the database, the runner that starts them, and the run of one job from file to segments.

Public: `jobs` puts a recording in line and cancels; `runner` is started by `serve`.
"""
