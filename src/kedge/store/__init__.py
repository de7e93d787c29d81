"""Floor 0: the embedded store, one SQLite database in Kedge's home.

Rooms above speak plain SQL through `Database` and keep their own statements; what the tables are
stands in `migrations`. Nothing here knows what a run is.
"""

from kedge.store.database import FILE, Database, connection, opened

__all__ = ["FILE", "Database", "connection", "opened"]
