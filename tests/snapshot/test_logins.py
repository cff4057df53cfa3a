"""No login of an object store is in a text that leaves."""

from __future__ import annotations

import json

import pytest

from dvidsync_dagster.errors import StorageError
from dvidsync_dagster.snapshot.answers import storage_error
from dvidsync_dagster.snapshot.store import Bucket

SECRET = "hunter2+Jh8/kd9=="

NAMES = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ENCRYPTION_KEY",
    "AZURE_ENCRYPTION_KEY",
    "AZURE_FABRIC_SESSION_TOKEN",
    "AZURE_MSI_SECRET",
    "MSI_SECRET",
    "IDENTITY_HEADER",
    "GOOGLE_BEARER_TOKEN",
    "azure_storage_account_key",
]
"""Those that object_store and delta-rs read; they take them in any case."""


def told(text: str) -> str:
    """An error of a store's client with this text."""
    return str(StorageError("s3://snap/x", text, "Run again."))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return Bucket.at("s3://snap/x")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_variable_holds_is_taken_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = f"{SECRET}-{name}"
    assert secret in told(f"refused: {secret}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3-of-later")
    monkeypatch.setenv(name, secret)
    Bucket.at("s3://snap/x")
    assert secret not in told(f"refused: {secret}")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps({"private_key": "-BEGIN-aa1-END-"}), "-BEGIN-aa1-END-"),
        ("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=aa2%2Bbb%3D&se=x", "aa2+bb="),
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=aa3bb==;X=y", "aa3bb=="),
        ("AWS_ENDPOINT_URL", "http://amy:aa4bbcc@127.0.0.1:9", "aa4bbcc"),
        ("HTTPS_PROXY", "http://amy:aa5%2Fbbcc@proxy:1", "aa5/bbcc"),
    ],
)
def test_parts_that_are_secret_alone_are_taken_out(
    name: str, value: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    Bucket.at("s3://snap/x")
    assert secret not in told(f"refused: {secret}")


@pytest.mark.usefixtures("opened")
def test_what_is_no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SSE_BUCKET_KEY_ENABLED", "enabled-here")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")
    Bucket.at("s3://snap/x")
    assert "enabled-here /var/run/token" in told("enabled-here /var/run/token")


@pytest.mark.parametrize(
    "text",
    [
        f"error sending request for url (https://amy:{SECRET}@store.example/snap/x)",
        f"error sending request for url (https://store.example/snap/x?X-Amz-Signature={SECRET}&x=y)",
        f"error sending request for url (abfss://store.example/x?sv=1&sig={SECRET})",
        f"the header was Authorization: Bearer {SECRET}",
        f"SharedKey somebody:{SECRET} does not match",
        f"AWS4-HMAC-SHA256 Credential={SECRET}/1/us/s3/aws4_request, SignedHeaders=host, Signature=0a1b",
        f'{{"access_token": "{SECRET}"}}',
        f"x-amz-security-token: {SECRET}",
    ],
)
def test_logins_that_nobody_knows_here_are_taken_out(text: str) -> None:
    error = str(storage_error("s3://snap/x", Exception(f"{text} - status code: 403")))
    assert SECRET not in error
    assert "not allowed" in error
