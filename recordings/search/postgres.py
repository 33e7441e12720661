"""The index in PostgreSQL: a column of terms beside each text, kept in step by a trigger, under a GIN index.

    recordings_recording.title_terms, recordings_segment.terms

Django's models do not know the columns. PostgreSQL's own parser of texts is left out: what it takes for a letter
depends on the locale of the database, and it finds host names and paths in a text.
"""

import json
from collections.abc import Sequence
from typing import Any

from django.db.models.expressions import RawSQL

from recordings.search.query import Query
from recordings.search.terms import LONGEST, UNSPACED, separators

TABLES = {
    "recordings_recording": ("title_terms", "{0}title"),
    "recordings_segment": ("terms", "coalesce({0}correction, {0}text)"),
}
BATCH = 2_000  # rows in a transaction while the index is filled
COMMON = 20_000  # segments; to read them takes about 30 ms
LONGEST_TERM = 200  # characters; PostgreSQL takes 2,046 bytes
MOST_PLACES = 16_383  # the last place in a text that PostgreSQL tells from others


def _function(collation: str) -> str:
    """SQL for `recordings_search_terms(text)`, which makes the terms of a text as `terms` does."""
    unspaced = UNSPACED.encode("unicode_escape").decode()
    return f"""
CREATE OR REPLACE FUNCTION recordings_search_terms(said text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE folded text := left(said, {LONGEST});
BEGIN
    IF octet_length(folded) <> length(folded) THEN
        folded := normalize(regexp_replace(normalize(folded, NFD), '([A-Za-z])[\\u0300-\\u036f]+', '\\1', 'g'), NFC);
        folded := lower(folded{collation});
    ELSE
        folded := lower(folded);
    END IF;
    IF folded ~ '[{unspaced}]' THEN
        SELECT string_agg(CASE
            WHEN NOT one ~ '[{unspaced}]' THEN one
            WHEN following ~ '[{unspaced}]' THEN ' ' || one || following
            ELSE ' ' || one || ' '
        END, '' ORDER BY place) INTO folded
        FROM (
            SELECT one, place, lead(one) OVER (ORDER BY place) AS following
            FROM string_to_table(folded, NULL) WITH ORDINALITY AS letters(one, place)
        ) AS pairs;
    END IF;
    RETURN coalesce((
        SELECT string_agg(
            '''' || left(term, {LONGEST_TERM}) || ''':' || least(place, {MOST_PLACES}), ' ' ORDER BY place
        )::tsvector
        FROM (
            SELECT term, row_number() OVER (ORDER BY place) AS place
            FROM regexp_split_to_table(folded, '[{separators()}]+') WITH ORDINALITY AS words(term, place)
            WHERE term <> ''
        ) AS numbered
    ), ''::tsvector);
END $body$"""


def _trigger_function(table: str, column: str, text: str) -> str:
    """No trigger names a column: PostgreSQL changes the type of none that one names."""
    old, new = text.format("OLD."), text.format("NEW.")
    return f"""
CREATE OR REPLACE FUNCTION {table}_{column}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.{column} IS NULL OR {new} IS DISTINCT FROM {old} THEN
        NEW.{column} := recordings_search_terms({new});
    END IF;
    RETURN NEW;
END $body$"""


class PostgresIndex:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    # Making it

    def install(self) -> None:
        """Make the index and fill it, in batches. Not to be called in a transaction; a killed one goes on."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'")
            # Without ICU, letters get small as the locale of the database has it.
            cursor.execute(_function(' COLLATE "und-x-icu"' if cursor.fetchone()[0] else ""))
            for table, (column, text) in TABLES.items():
                cursor.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} tsvector")
                cursor.execute(_trigger_function(table, column, text))
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_{column} ON {table}")
                cursor.execute(
                    f"CREATE TRIGGER {table}_{column} BEFORE INSERT OR UPDATE ON {table}"
                    f" FOR EACH ROW EXECUTE FUNCTION {table}_{column}()"
                )
                self._fill(cursor, table, column)
                # Entries go into the index at once: a list of pending ones would be read through by each search.
                cursor.execute(
                    f"CREATE INDEX IF NOT EXISTS {table}_{column} ON {table}"
                    f" USING gin ({column}) WITH (fastupdate = off)"
                )

    def _fill(self, cursor: Any, table: str, column: str) -> None:
        last = 0
        while last is not None:
            cursor.execute(
                f"WITH batch AS (SELECT id FROM {table} WHERE id > %s ORDER BY id LIMIT {BATCH}),"
                f" filled AS (UPDATE {table} SET {column} = NULL"  # the trigger fills it
                f" WHERE {column} IS NULL AND id IN (SELECT id FROM batch))"
                " SELECT max(id) FROM batch",
                [last],
            )
            [last] = cursor.fetchone()

    def remove(self) -> None:
        with self._connection.cursor() as cursor:
            for table, (column, _) in TABLES.items():
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_{column} ON {table}")
                cursor.execute(f"DROP FUNCTION IF EXISTS {table}_{column}()")
                cursor.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column}")  # and its index
            cursor.execute("DROP FUNCTION IF EXISTS recordings_search_terms(text)")

    def repair(self) -> None:
        """Nothing: PostgreSQL changes tables in place."""

    # Asking it

    def common(self, query: Query) -> bool:
        """Whether so many segments have the words, as PostgreSQL guesses, that it takes long to read them all."""
        with self._connection.cursor() as cursor:
            guess = "EXPLAIN (FORMAT JSON) SELECT 1 FROM recordings_segment WHERE terms @@ %s::tsquery"
            cursor.execute(guess, [_match(query)])
            [plan] = cursor.fetchone()
        plan = json.loads(plan) if isinstance(plan, str) else plan
        return bool(plan[0]["Plan"]["Plan Rows"] >= COMMON)

    def titles(self, query: Query) -> RawSQL:
        """The ids of all recordings whose titles have the words."""
        literal = " AND title ILIKE %s" * len(query.likes)
        sql = f"SELECT id FROM recordings_recording WHERE title_terms @@ %s::tsquery{literal}"
        return RawSQL(sql, [_match(query), *query.likes])

    def transcriptions(self, query: Query) -> RawSQL:
        """The ids of all transcriptions in which one segment has all the words."""
        sql = f"SELECT transcription_id FROM recordings_segment WHERE terms @@ %s::tsquery{_literal(query)}"
        return RawSQL(sql, [_match(query), *query.likes])

    def segments(self, query: Query, transcriptions: Sequence[int], most: int) -> list[tuple[int, int, int]]:
        """For each of these transcriptions the first `most` segments that have all the words: the id of the
        transcription, the number of the segment, and how many there are in this transcription."""
        sql = f"""
            SELECT run, number, hits FROM (
                SELECT transcription_id AS run, "index" AS number,
                    row_number() OVER (PARTITION BY transcription_id ORDER BY start, "index") AS nth,
                    count(*) OVER (PARTITION BY transcription_id) AS hits
                FROM recordings_segment
                WHERE transcription_id = ANY(%s) AND terms @@ %s::tsquery{_literal(query)}
            ) AS found WHERE nth <= %s ORDER BY run, nth"""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, [list(transcriptions), _match(query), *query.likes, most])
            return list(cursor.fetchall())


def _match(query: Query) -> str:
    """The query as a tsquery. Terms have no quotes in them."""
    return " & ".join(
        "(" + " <-> ".join(f"'{each[:LONGEST_TERM]}'" for each in term.terms) + (":*)" if term.open else ")")
        for term in query.terms
    )


def _literal(query: Query) -> str:
    return " AND coalesce(correction, text) ILIKE %s" * len(query.likes)
