"""The one Alembic environment: any service, into its schema, with its own version table."""

from alembic import context

_config = context.config
_schema = _config.attributes["schema"]

if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql", version_table="alembic_version", version_table_schema=_schema
    )
else:
    context.configure(
        connection=_config.attributes["connection"],
        target_metadata=_config.attributes.get("metadata"),
        version_table="alembic_version",
        version_table_schema=_schema,
        include_schemas=True,
        transactional_ddl=True,
    )
with context.begin_transaction():
    context.run_migrations()
