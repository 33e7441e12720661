"""The files of recordings: kept so that a crash leaves none behind, bounded in size, backed up.

files     keeps and discards files in Django's storage; `space` and `quota` say how many bytes may still come
backups   writes everything to one file; `restoring` puts it back
"""
