"""Static files under hashed names, our ES modules' imports included; vendor trees keep their versioned paths."""

from typing import Any

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class HashedStaticFilesStorage(ManifestStaticFilesStorage):
    """Hash our own files; leave `vendor/` alone, whose paths carry the version and whose modules import by path."""

    support_js_module_import_aggregation = True
    manifest_strict = False

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Any:
        own = {name: source for name, source in paths.items() if not name.startswith("vendor/")}
        return super().post_process(own, dry_run=dry_run, **options)

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        return name if name.startswith("vendor/") else super().hashed_name(name, content, filename)

    def stored_name(self, name: str) -> str:
        return name if name.startswith("vendor/") else super().stored_name(name)
