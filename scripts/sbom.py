"""Write dist/nacre-VERSION.cdx.json, the bill of materials of the wheel in dist: scripts/sbom.py

It lists the packages, with the versions of today, that nacre and its extras bring, in the format of
CycloneDX. gssapi and ldap are left out: they are compiled on each system, against its Kerberos and
OpenLDAP.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "api,apps,cli,console,dask,dns,fido,fleet,fsspec,metrics,oidc,postgres,server"


def main() -> None:
    dist = ROOT / "dist"
    wheels = list(dist.glob("nacre-*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"{dist} has {len(wheels)} wheels: empty it, and run make dist")
    version = wheels[0].name.split("-")[1]
    with tempfile.TemporaryDirectory() as directory:
        python = Path(directory) / "bin" / "python"
        _run("venv", "--without-pip", directory)
        _run("pip", "--python", python, "install", "-qq", f"{wheels[0]}[{EXTRAS}]")
        write(python, dist / f"nacre-{version}.cdx.json")


def write(python: Path, bill: Path) -> None:
    """Write the bill of materials of the environment of an interpreter, without times."""
    _run(
        *("cyclonedx_py", "environment", "--pyproject", ROOT / "pyproject.toml"),
        *("--output-reproducible", "--output-format", "JSON", "--output-file", bill),
        python,
    )


def _run(module: str, *words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", module, *words], check=True)


if __name__ == "__main__":
    main()
