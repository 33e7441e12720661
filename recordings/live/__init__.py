"""Live captions: sound comes in over a socket, captions go out, and in the end there is a recording.

sessions     the live sessions of this process
session      one of them, in one `state` at a time
sound        frames on their way to the `journal` on `disk`
captioning   captions from the journal
room         whether captions can begin at once
reporting    how late captions are, and whether the speaker is there
speaker      the socket that speaks for a session now
consumers    the sockets of speakers and viewers: the protocol `stile.live.1`
messages     what the server says, and the way to viewers in all processes; refusals: its errors
audience     the number of viewers
access       who they may be
finishing    an ended session becomes a recording
second_pass  a better text of it, when there is nothing else to do
views        the pages
metrics      the number of sessions, and how late they are
client       the other end of the socket, for `manage.py live`
"""
