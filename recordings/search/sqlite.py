"""The index in SQLite: two FTS5 tables, kept in step by triggers.

    recordings_search_title   rowid: the id of the recording
    recordings_search_text    rowid: the id of the transcription, and in the lower 32 bits the number of the segment

So a search for texts reads no row of a segment, most of which are full of the times of words. The tables keep no copy
of the texts ("contentless"): a trigger takes an entry out by the text that it was made of. The triggers name no table
but their own and the index, because SQLite renames no table while a trigger or a view names a missing one, and Django
rebuilds a table to change a column. It loses the triggers by that: `repair` notices.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models.expressions import RawSQL

from recordings.search.query import Query
from recordings.search.terms import LONGEST, UNSPACED

TITLES, TEXTS = "recordings_search_title", "recordings_search_text"
LOW = 0xFFFFFFFF
BATCH = 5_000  # rows in a transaction while the index is filled
# Prefixes of two and three letters have lists of their own: one that is typed is a long list else, made of thousands.
_OPTIONS = "content='', columnsize=0, prefix='2 3', tokenize=\"unicode61 remove_diacritics 2 categories 'L* N* M* Co'\""


def _terms(text: str) -> str:
    """SQL for what the tokenizer is given: the text, where it writes no spaces as pairs of characters (see `terms`)."""
    one, following = "substr(whole, place, 1)", "substr(whole, place + 1, 1)"
    unspaced = f"GLOB '[{UNSPACED}]'"
    pairs = f"""
        SELECT group_concat(piece, '') FROM (
            WITH RECURSIVE
                cut(whole) AS (SELECT substr({text}, 1, {LONGEST})),
                walk(place, whole) AS (
                    SELECT 1, whole FROM cut UNION ALL SELECT place + 1, whole FROM walk WHERE place < length(whole)
                )
            SELECT CASE
                WHEN {one} {unspaced}
                    THEN ' ' || {one} || CASE WHEN {following} {unspaced} THEN {following} ELSE ' ' END
                ELSE {one}
            END AS piece FROM walk
        )"""
    return f"CASE WHEN {text} GLOB '*[{UNSPACED}]*' THEN ({pairs}) ELSE substr({text}, 1, {LONGEST}) END"


def _text(row: str) -> str:
    return f"coalesce({row}correction, {row}text)"


def _place(row: str) -> str:
    return f'({row}transcription_id << 32 | {row}"index")'


def _trigger(name: str, event: str, table: str, *statements: str) -> str:
    return f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON {table} BEGIN {'; '.join(statements)}; END"


def _put(index: str, place: str, text: str) -> str:
    return f"INSERT INTO {index}(rowid, terms) VALUES({place}, {_terms(text)})"


def _take(index: str, place: str, text: str) -> str:
    return f"INSERT INTO {index}({index}, rowid, terms) VALUES('delete', {place}, {_terms(text)})"


def _triggers() -> dict[str, str]:
    """The statements that make the triggers, by their names."""
    made = {}
    for table, index, changes, place, text in (
        ("recordings_recording", TITLES, "title", lambda row: f"{row}id", lambda row: f"{row}title"),
        ("recordings_segment", TEXTS, 'text, correction, transcription_id, "index"', _place, _text),
    ):
        put, take = _put(index, place("new."), text("new.")), _take(index, place("old."), text("old."))
        events = {"insert": ("INSERT", put), "update": (f"UPDATE OF {changes}", take, put), "delete": ("DELETE", take)}
        for kind, (event, *statements) in events.items():
            made[f"{index}_{kind}"] = _trigger(f"{index}_{kind}", event, table, *statements)
    return made


_SEGMENTS = f' JOIN recordings_segment ON transcription_id = {TEXTS}.rowid >> 32 AND "index" = {TEXTS}.rowid & {LOW}'


class SqliteIndex:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    # Making it

    def install(self) -> None:
        """Make the index and fill it, in batches. Not to be called in a transaction. A killed one is done again."""
        self.remove()
        with self._connection.cursor() as cursor:
            for index in (TITLES, TEXTS):
                cursor.execute(f"CREATE VIRTUAL TABLE {index} USING fts5(terms, {_OPTIONS})")
            self._fill(cursor)
            for statement in _triggers().values():
                cursor.execute(statement)

    def remove(self) -> None:
        with self._connection.cursor() as cursor:
            for name in _triggers():
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            for index in (TITLES, TEXTS):
                cursor.execute(f"DROP TABLE IF EXISTS {index}")

    def repair(self) -> None:
        """Make the index anew where a migration has rebuilt a table, which took its triggers."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE 'recordings!_search!_%%' ESCAPE '!'")
            there = {name for (name,) in cursor.fetchall()}
        if {TITLES, TEXTS} <= there and not _triggers().keys() <= there:
            self.install()

    def _fill(self, cursor: Any) -> None:
        """In the order of the entries: FTS5 is quick with those that come in order."""
        last = [-1]
        while last:
            rows = f"SELECT id, title FROM recordings_recording WHERE id > {last[0]} ORDER BY id LIMIT {BATCH}"
            last = self._batch(cursor, TITLES, rows, "id", _terms("title"), ["id"])
        last = [-1, -1]
        while last:
            rows = (
                f'SELECT transcription_id, "index", {_text("")} AS said FROM recordings_segment'
                f' WHERE (transcription_id, "index") > ({last[0]}, {last[1]})'
                f' ORDER BY transcription_id, "index" LIMIT {BATCH}'
            )
            last = self._batch(cursor, TEXTS, rows, _place(""), _terms("said"), ["transcription_id", '"index"'])

    @staticmethod
    def _batch(cursor: Any, index: str, rows: str, place: str, terms: str, key: list[str]) -> list[int]:
        """Put these rows into the index, in one transaction. Returns the key of the last one; [] where none is left."""
        newest = ", ".join(f"{column} DESC" for column in key)
        cursor.execute(f"SELECT {', '.join(key)} FROM ({rows}) ORDER BY {newest} LIMIT 1")
        last = cursor.fetchone()
        if last:
            cursor.execute(f"INSERT INTO {index}(rowid, terms) SELECT {place}, {terms} FROM ({rows})")
        return list(last or [])

    # Asking it

    def common(self, query: Query) -> bool:
        """False: FTS5 reads hundreds of thousands of hits in the time of a few rows (see `bench.search`)."""
        return False

    def titles(self, query: Query) -> RawSQL:
        """The ids of all recordings whose titles have the words."""
        literal = " AND title LIKE %s ESCAPE '\\'" * len(query.likes)
        joined = f" JOIN recordings_recording ON id = {TITLES}.rowid" if literal else ""
        sql = f"SELECT {TITLES}.rowid FROM {TITLES}{joined} WHERE {TITLES} MATCH %s{literal}"
        return RawSQL(sql, [_match(query), *query.likes])

    def transcriptions(self, query: Query) -> RawSQL:
        """The ids of all transcriptions in which one segment has all the words."""
        joined, literal = _literal(query)
        sql = f"SELECT {TEXTS}.rowid >> 32 FROM {TEXTS}{joined} WHERE {TEXTS} MATCH %s{literal}"
        return RawSQL(sql, [_match(query), *query.likes])

    def segments(self, query: Query, transcriptions: Sequence[int], most: int) -> list[tuple[int, int, int]]:
        """For each of these transcriptions the first `most` segments that have all the words: the id of the
        transcription, the number of the segment, and how many there are in this transcription."""
        _, literal = _literal(query)
        sql = f"""
            SELECT run, number, hits FROM (
                SELECT {TEXTS}.rowid >> 32 AS run, {TEXTS}.rowid & {LOW} AS number,
                    row_number() OVER (PARTITION BY transcription_id ORDER BY start, "index") AS nth,
                    count(*) OVER (PARTITION BY transcription_id) AS hits
                FROM {TEXTS}{_SEGMENTS}
                WHERE {TEXTS} MATCH %s AND {TEXTS}.rowid BETWEEN %s AND %s
                    AND {TEXTS}.rowid >> 32 IN ({", ".join(["%s"] * len(transcriptions))}){literal}
            ) WHERE nth <= %s ORDER BY run, nth"""
        first, last = min(transcriptions) << 32, max(transcriptions) << 32 | LOW
        with self._connection.cursor() as cursor:
            cursor.execute(sql, [_match(query), first, last, *transcriptions, *query.likes, most])
            return list(cursor.fetchall())


def _match(query: Query) -> str:
    """The query in the language of FTS5. Terms have no quotes in them."""
    return " AND ".join(f'"{" ".join(term.terms)}"' + (" *" if term.open else "") for term in query.terms)


def _literal(query: Query) -> tuple[str, str]:
    """The table and the conditions for signs, which the index does not know."""
    if not query.likes:
        return "", ""
    return _SEGMENTS, f" AND {_text('')} LIKE %s ESCAPE '\\'" * len(query.likes)
