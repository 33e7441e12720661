"""What browsers show: the library, one recording, the fragments that an open page asks for again, and the sockets that
tell pages of changes.
"""
