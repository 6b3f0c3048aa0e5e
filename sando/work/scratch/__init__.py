"""The scratch database: where a backup is restored and migrations are rehearsed. Nothing else of sando reaches a database."""
