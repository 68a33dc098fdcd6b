"""The steps between the versions of the store, one file each in ``versions/``, run by Alembic."""
