"""Logins of object stores, which no text that leaves may show."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import unquote

from dvidsync_dagster.outgoing_text import keep_secret

_LOGINS = {
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ENCRYPTION_KEY",
    "AZURE_ENCRYPTION_KEY",
    "AZURE_FABRIC_SESSION_TOKEN",
    "AZURE_MSI_SECRET",
    "AZURE_STORAGE_CONNECTION_STRING",
    "MSI_SECRET",
    "IDENTITY_HEADER",
    "GOOGLE_BEARER_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
}
"""What object_store and delta-rs take as secrets, by the names of variables, in whichever case."""
_PLACES = re.compile(
    r"(AWS|AZURE|GOOGLE)_.*(ENDPOINT|URL|URI|AUTHORITY_HOST)|(HTTPS?|ALL)_PROXY", re.IGNORECASE
)
"""Variables with URLs, which can hold a login."""


def keep_logins_secret() -> None:
    """No text that leaves shows the logins of the environment, nor parts of one that are secret alone."""
    for name, value in os.environ.items():
        if name.upper() in _LOGINS:
            for secret in (value, *_parts(value)):
                keep_secret(secret)
        elif _PLACES.fullmatch(name) and (login := _USER.search(value)):
            keep_secret(unquote(login[2].partition(":")[2]))


def _parts(login: str) -> list[str]:
    """The private key of a service account; the signature of a signed URL; the key of a connection string."""
    signed = [unquote(each) for each in re.findall(r"(?:^|[?&;])sig=([^&;]+)", login)]
    keys = re.findall(r"(?:AccountKey|SharedAccessSignature)=([^;]+)", login)
    try:
        account = json.loads(login)
    except ValueError:
        account = None
    named = account if isinstance(account, dict) else {}
    told = [named.get(name) for name in ("private_key", "private_key_id", "client_secret", "refresh_token")]
    return [*signed, *keys, *(each for each in told if isinstance(each, str))]


def without_logins(text: str) -> str:
    """What a store's client said, without what can be a login that nobody knows here: the user and the query
    of a URL, signatures, headers."""
    text = _USER.sub(r"\1***@", _QUERY.sub(r"\1", text))
    return _HEADER.sub("***", _SIGNED.sub(r"\1\2***", text))


_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s?\"')]+)\?[^\s\"')]*", re.IGNORECASE)
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)([^\s\"'@]*)@", re.IGNORECASE)
_HEADER = re.compile(
    r"\b(?:Bearer|SharedKey)\s+[^\s\"'<>]+|\bBasic\s+[A-Za-z0-9+/=]{8,}|\bCredential=[^\"'<>]*?Signature=\w+"
)
_SIGNED = re.compile(
    r"\b(sig|X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|access_token)"
    r"(\"?\s*[=:]\s*\"?)[^\s&\"'<>]+",
    re.IGNORECASE,
)
