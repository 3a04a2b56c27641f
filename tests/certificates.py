"""certificates.py - certificates for the tests of TLS, made by OpenSSL's program."""
import os
import subprocess


def _make(directory, name, *more):
    subprocess.run(["openssl", "req", "-x509", "-config", "plain.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", *more],
                   cwd=directory, check=True, stderr=subprocess.DEVNULL)


def make(directory, names):
    """authority, stranger (another authority), server for these names, client: .pem and .key of each."""
    with open(os.path.join(directory, "plain.cnf"), "w", encoding="utf-8") as file:
        file.write("[req]\ndistinguished_name=dn\n[dn]\n")
    for name in ("authority", "stranger"):
        _make(directory, name, "-addext", "basicConstraints=critical,CA:TRUE")
    for name, of in (("server", names), ("client", "DNS:client.example")):
        _make(directory, name, "-CA", "authority.pem", "-CAkey", "authority.key", "-addext", "basicConstraints=CA:FALSE",
              "-addext", f"subjectAltName={of}")
