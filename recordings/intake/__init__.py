"""A file comes in: by a form or a resumable upload (tus), is checked, and is kept or refused. Copies that every browser
plays are made here too.
"""
