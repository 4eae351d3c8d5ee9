"""Where images go, and what is said of them.

Rule: what people wrote is checked before anything is uploaded.

``targets`` and ``templates`` are omero.fs.target, ``sidecar`` the file omero-fs.toml,
``containers`` finds or makes datasets and screens, ``annotations`` puts tags and comments on
images.
"""
