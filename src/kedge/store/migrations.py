"""The store's tables, as numbered steps of plain SQL: a database's version is the steps it has taken.

A step that was published is never edited; a change is a new step at the end.
"""

from typing import Final

_RUNS = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of creation; `last` is the highest
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (
        status IN ('created', 'preparing', 'running', 'succeeded', 'failed', 'cancelled')
    ),
    contract INTEGER NOT NULL,
    kedge TEXT NOT NULL,
    package TEXT,
    package_version TEXT,
    function TEXT,
    source TEXT NOT NULL,                      -- JSON
    handler TEXT,
    runtime TEXT,
    snapshot TEXT,
    environment TEXT,
    interpreter TEXT,
    executor TEXT,
    target TEXT,
    failure_kind TEXT,
    failure TEXT NOT NULL,                     -- JSON
    inputs TEXT NOT NULL,                      -- JSON, secrets masked
    input_files TEXT NOT NULL,                 -- JSON
    outputs TEXT NOT NULL,                     -- JSON
    output_files TEXT NOT NULL,                -- JSON
    artifacts TEXT NOT NULL,                   -- JSON
    resources TEXT NOT NULL,                   -- JSON
    measured TEXT NOT NULL,                    -- JSON
    warnings TEXT NOT NULL,                    -- JSON
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,                     -- with the next three: the process that holds it
    pid_namespace INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    pid_started INTEGER NOT NULL,
    created TEXT NOT NULL,
    started TEXT,
    ended TEXT
) STRICT;
CREATE INDEX runs_of_function ON runs (package, function, number);
CREATE INDEX runs_alive ON runs (status) WHERE status IN ('created', 'preparing', 'running');
CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,                      -- from 1, growing, in each run
    ts TEXT NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,                        -- JSON
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_RUNS,)
