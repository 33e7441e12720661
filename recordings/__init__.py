"""What people have: recordings, their texts, and live sessions. The models, the admin and the URLs are here. The rest
stands in rooms, each of which imports only from those under it:

pages         what browsers show: views, fragments, the sockets behind the pages
api           what programs ask: /api and /v1, their shapes and their table of errors
live          live sessions: sockets, captions on their way to people, the journal of the sound
intake        a file comes in: form, resumable upload, checks, copies for browsers
library       what a person has: found, changed, deleted
search        the index of titles and texts, queries, and hits
work          the line of jobs, the runner, and the run of one job
transcripts   text: sentences, cues, exports, corrections
backups       everything in one file, and back
storage       files on disk: kept, discarded, bounded

Rows change in plain synchronous functions. They tell the runner and the pages after the commit (`events`). The names
that begin with an `a`, as Django's own do, are the same functions for asynchronous callers.
"""
