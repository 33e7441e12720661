"""The pages: the library, one recording, the fragments that an open page loads again, and the sockets that tell pages
of changes.
"""
