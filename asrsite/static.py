"""Static files with the digest of their content in the name, so that browsers may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also rewrites the imports between ES modules, so that no import map or bundler is needed."""

    support_js_module_import_aggregation = True
