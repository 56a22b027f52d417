"""Nothing is configured here: the plugin is found by its entry point, its options stand in pyproject.toml."""
