"""What people have: recordings, their texts, and live sessions. The models, the admin and the URLs are here; the rest
stands in seven rooms, each of which imports only from those under it:

pages         what browsers show: views, fragments, the sockets behind the pages
api           what programs ask: /api and /v1, their shapes and their table of errors
live          live sessions: sockets, captions on their way to people, the journal of the sound
intake        a file comes in: form, resumable upload, checks, copies for browsers
work          the line of jobs, the runner, and the run of one job
library       finding and organising what a person has
transcripts   text: sentences, cues, exports, corrections
"""
