"""The tests. They run against real services: see `plugin_services` and `conftest`."""
