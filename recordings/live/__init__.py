"""Live captions: sound comes in over a socket, captions go out, and in the end there is a recording.

consumers   the sockets of who speaks and who watches: the protocol `stile.live.1`
sessions    the sessions of this process: sound to the journal, captions from it, told to all who watch
journal     the sound on disk, and how far it is acknowledged
finishing   a session that has ended becomes a recording
"""
