"""The jobs: put in line, started, run.

jobs           puts a recording in line, and cancels
line, places   which jobs start next; where each stands
runner         starts jobs in this process; `serve` runs it
transcribing   the run of one job, on `hearing` (from sound to text) and `progress` (the changes of its row)
arrivals       the log lines of jobs that come
"""
