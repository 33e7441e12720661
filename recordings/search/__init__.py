"""Finding words: an index of titles and texts in the database, kept in step by triggers.

terms      the words of a text, as the index has them
query      what a person typed, taken apart; where a text has it
sqlite, postgres   the index of each database. `index` gives the one of the database in use
hits       a place in a text: the words around it, with what was found marked, and its moment
"""
