"""A plugin for pytest: tests by hypothesis run without time limits, the same each time."""

try:
    from hypothesis import HealthCheck, settings
except ImportError:
    pass
else:
    settings.register_profile("same", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

    def pytest_configure(config):
        """After the suites' own profiles."""
        settings.load_profile("same")

    def pytest_collection_finish(session):
        """Some suites load theirs while they are collected."""
        settings.load_profile("same")
