"""The composition root: settings, URLs, processes. Imports every app, imported by none."""
