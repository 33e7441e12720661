"""Live captions: sound comes in over a socket, captions go out, and in the end there is a recording.

consumers    the sockets of who speaks and who watches: the protocol `stile.live.1`
refusals     what they say no to, and how
sessions     the sessions of this process: sound to the journal, captions from it, told to all who watch
journal      the sound on disk, and how far it is acknowledged
telling      the messages, and how they reach who watches
finishing    a session that has ended becomes a recording
second_pass  a better text of it, when there is nothing else to do
views        the pages
metrics      how many there are, and how late
client       the other end of the socket, for `manage.py live`; pieces: what it sends
"""
