"""Where images go, and which tags, pairs and descriptions they get.

Rule: targets and sidecars are checked before anything is uploaded.

``targets`` and ``templates`` are for omero.fs.target, ``sidecar`` is for the file omero-fs.toml,
and ``toml_bounds`` has the limits of that file.
``containers`` finds or makes datasets and screens, ``annotations`` puts tags and pairs on images.
"""
