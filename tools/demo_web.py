"""`make demo-web`: a sandbox with OMERO.web, and drops of all kinds on the page My drops.

It runs until it is interrupted, and then everything is removed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools import demo, web


def main() -> int:
    """Makes the sandbox, drops files, and serves the page."""
    with tempfile.TemporaryDirectory(prefix="omero-fs-web-", ignore_cleanup_errors=True) as scratch:
        sandbox = Path(scratch) / "OMERO-sandbox"
        os.environ["OMERO_USERDIR"] = str(Path(scratch) / "omero")  # not ~/omero
        demo.run("omero", "fs", "sandbox", "create", sandbox)
        demo.run(sandbox / "bin/omero", "config", "set", "omero.fs.dirImportWait", "2")
        amys = sandbox / "data/DropBox/amy"
        demo.write_ome_tiff(amys / "beads.ome.tiff")
        (amys / "broken.tif").write_bytes(b"this is no image")
        (amys / "empty.tif").touch()
        try:
            return web.main([str(sandbox)])
        except (web.WebFailed, subprocess.CalledProcessError) as error:
            sys.stderr.write(f"demo-web: {error}\n")
            return 1


if __name__ == "__main__":
    sys.exit(main())
