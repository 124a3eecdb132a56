"""Tables from databases: the rows of one query, read once and kept as a Parquet file.

The file is what the pipeline reads and DVC tracks: a database changes, a snapshot does not.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dataset.tables.texts import distinct
from pipeline.artifacts import replacing
from pipeline.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import URL, Connection, Engine

_READ_ONLY = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
"""What is said to a database first. SQLite is opened read-only; what others do is rolled back."""


def read_query(url: str, query: str) -> "pd.DataFrame":
    """The rows that `query` gives, in the database's order, with the values that it gives.

    url: as SQLAlchemy takes it, such as sqlite:///sales.db; a relative path starts where the
    process stands. Raises InputError where the URL, the driver or the query is wrong or no row
    comes, EnvironmentFault where the database does not answer; messages hold no password.
    """
    import pandas as pd
    from sqlalchemy.exc import SQLAlchemyError

    parsed = _parsed(url)
    where = parsed.render_as_string(hide_password=True)
    engine = _engine(parsed, where)
    try:
        with _connected(engine, where) as connection:
            names, rows = _rows(connection, parsed.get_backend_name(), query, where)
    except SQLAlchemyError as error:
        raise InputError(f"{where}: the query fails: {_said(error)}.\n{query.strip()}") from None
    finally:
        engine.dispose()
    if not rows:
        raise InputError(f"{where}: the query gives no rows.\n{query.strip()}")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return pd.DataFrame({name: pd.Series(list(cells), dtype=object) for name, cells in columns})


def write_snapshot(frame: "pd.DataFrame", path: Path) -> None:
    """Write a query's rows as Parquet; `dataset.tables.read` reads them back.

    A column whose values are of several types, or too large for one, becomes text. Raises
    InputError for values that are no cells.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: _stored(frame[name].tolist(), str(name)) for name in frame.columns}
    with replacing(path) as temporary:
        pq.write_table(pa.table(arrays), temporary, compression="zstd")


def _stored(values: Sequence[Any], name: str) -> Any:
    import pyarrow as pa

    strange = next((value for value in values if isinstance(value, bytes | list | dict)), None)
    if strange is not None:
        raise InputError(
            f"The column {name!r} of the query holds {type(strange).__name__}, which is no cell. "
            "Select text, numbers, dates or truth values."
        )
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _parsed(url: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Without what was given: it may hold a password.
        raise InputError(
            "The address of the database cannot be read. Give one such as sqlite:///sales.db or "
            "postgresql://user@host/name."
        ) from None


def _engine(url: "URL", where: str) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError
    from sqlalchemy.pool import NullPool

    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url, poolclass=NullPool)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{where}: the driver {error.name!r} is not installed. Install it into .venv, "
            "or export the table to a file."
        ) from None
    except ArgumentError as error:
        raise InputError(f"{where}: no such kind of database: {_said(error)}.") from None
    path = Path(url.database or "")
    if not path.is_file():
        raise InputError(f"{where}: there is no such SQLite file.")
    # By its own address: with a plain path a wrong name would make an empty database.
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    return create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )


def _connected(engine: "Engine", where: str) -> "Connection":
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return engine.connect()
    except SQLAlchemyError as error:
        raise EnvironmentFault(f"{where}: the database does not answer: {_said(error)}.") from None


def _rows(
    connection: "Connection", backend: str, query: str, where: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    # As it stands: neither a colon nor a per cent sign is a parameter.
    plain = connection.execution_options(no_parameters=True)
    if backend in _READ_ONLY:
        plain.exec_driver_sql(_READ_ONLY[backend])
    result = plain.exec_driver_sql(query)
    if not result.returns_rows:
        raise InputError(f"{where}: the statement gives no rows. Give a SELECT.\n{query.strip()}")
    return distinct(list(result.keys()), where), [tuple(row) for row in result.all()]


def _said(error: Exception) -> str:
    """The database's own words, in one line."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split()).rstrip(".")
