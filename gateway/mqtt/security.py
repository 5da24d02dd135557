"""Secrets and certificates, read when they are needed so that a renewed one is taken without a restart."""

import os
import ssl
from pathlib import Path

from gateway.config import ACCEPT_PLAINTEXT, ConfigError, Mqtt, Problem, Tls


class Unusable(OSError):
    """A secret or certificate cannot be used, and what to do about it. It is tried again later."""


class _Tidy(ssl.SSLSocket):
    """Closes when the handshake fails; paho would leave that to the collector, one socket an attempt."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def port(settings: Mqtt) -> int:
    """Return the port: the configured one, else 8883 with TLS and 1883 without (IANA)."""
    return settings.port or (1883 if settings.tls is None else 8883)


def refuse_plaintext(settings: Mqtt) -> None:
    """Raise ConfigError when readings and passwords would cross a network unprotected, unasked for."""
    if settings.exposed:
        message = (
            f'{settings.host} is not this machine: add [mqtt.tls], or set plaintext = "{ACCEPT_PLAINTEXT}"'
        )
        raise ConfigError([Problem("[mqtt]", 1, message)])


def refuse_contradictions(settings: Mqtt) -> None:
    """Raise ConfigError when the delivery would need what the protocol cannot do, 3.1.1 above all."""
    if problems := [Problem("[mqtt]", 1, said) for _, said in settings.contradictions]:
        raise ConfigError(problems)


def password(settings: Mqtt) -> str | None:
    """Read the password from its file or from systemd's credentials; None when none is configured."""
    path = settings.password_file
    if settings.password_credential is not None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise Unusable("$CREDENTIALS_DIRECTORY is not set: add LoadCredential= to the unit")
        path = Path(folder) / Path(settings.password_credential).name
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"cannot read the password in {path}: {_why(error)}") from None


def context() -> ssl.SSLContext:
    """Return a context that verifies the broker's certificate and its name, with TLS 1.2 at least."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.sslsocket_class = _Tidy
    return made


def load(made: ssl.SSLContext, tls: Tls) -> None:
    """Read the authority (the system's, when none is configured) and our certificate. Raises Unusable."""
    try:
        if tls.ca is None:
            made.load_default_certs()
        else:
            made.load_verify_locations(cafile=tls.ca)
    except OSError as error:
        raise Unusable(f"cannot use the authority {tls.ca}: {_why(error)}") from None
    if tls.certificate is None:
        return
    try:
        made.load_cert_chain(tls.certificate, tls.key, password="")  # "": never ask on a terminal
    except OSError as error:
        key = f" with the key {tls.key}" if tls.key else ""
        raise Unusable(f"cannot use the certificate {tls.certificate}{key}: {_why(error)}") from None


def _why(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, ssl.SSLError):
        return f"{error.reason or error}: not a PEM file, or the key does not fit the certificate"
    return error.strerror or str(error)
