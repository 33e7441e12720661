"""The files of recordings on disk: kept so that a crash leaves neither a file nor a row without the other, and bounded.

`files` keeps and discards files in Django's storage; `space` says how many bytes the disk has left for them, `quota`
how many a person has.
"""
