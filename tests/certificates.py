"""Certificates that sign themselves, for servers of tests."""

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make one for a host name or an address; return the files of the certificate and of its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    kind = "IP" if name.replace(".", "").isdecimal() else "DNS"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName={kind}:{name}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key
