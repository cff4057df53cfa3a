"""Where the source's mutation log is and how to log in to its broker."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from dvidsync_dagster.config.fields import Part, WrongValue
from dvidsync_dagster.config.secrets import read_secret, variable_name

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_DATA_UUID = re.compile(r"[0-9a-f]{32}")
_TOPIC_TEXT = re.compile(r"[A-Za-z0-9._-]*")


class KafkaConfig(Part):
    """The broker. Servers and prefix come from the source's ``/api/server/info`` unless given."""

    servers: list[str] | None = Field(
        default=None, description="the brokers as HOST:PORT, such as [kafka1:9092]; unset: the source says"
    )
    topic_prefix: str | None = Field(
        default=None, description="what the source puts before its topic names; unset: the source says"
    )
    topic_suffixes: dict[str, str] = Field(
        default_factory=dict, description="by data UUID, what the site puts after a topic's name"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="one of PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL"
    )
    ssl_cafile: str | None = Field(default=None, description="the file with the certificates to trust")
    ssl_certfile: str | None = Field(default=None, description="the file with the client's certificate")
    ssl_keyfile: str | None = Field(default=None, description="the file with the client's private key")
    ssl_password_env: str | None = Field(
        default=None, description="the name of the environment variable with the private key's password"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="how to log in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username_env: str | None = Field(
        default=None, description="the name of the environment variable with the user to log in as"
    )
    sasl_password_env: str | None = Field(
        default=None, description="the name of the environment variable with that user's password"
    )

    @field_validator("servers", mode="before")
    @classmethod
    def _split_servers(cls, servers: object) -> object:
        return [part.strip() for part in servers.split(",")] if isinstance(servers, str) else servers

    @field_validator("servers")
    @classmethod
    def _check_servers(cls, servers: list[str] | None) -> list[str] | None:
        if servers is None:
            return None
        for server in servers:
            match = _SERVER.fullmatch(server)
            if match is None or not 0 < int(match[2]) < 65536:
                raise WrongValue(
                    "holds what is not HOST:PORT", "Write each broker such as kafka1.example.org:9092."
                )
        if not servers:
            raise WrongValue("is an empty list", "Name a broker, or remove the field: the source says.")
        return servers

    @field_validator("topic_prefix")
    @classmethod
    def _check_prefix(cls, prefix: str | None) -> str | None:
        if prefix is not None and not _TOPIC_TEXT.fullmatch(prefix):
            raise WrongValue(
                "holds a character that no topic name has", "Use letters, digits, `.`, `_` and `-`."
            )
        return prefix

    @field_validator("topic_suffixes")
    @classmethod
    def _check_suffixes(cls, suffixes: dict[str, str]) -> dict[str, str]:
        for data_uuid, suffix in suffixes.items():
            if not _DATA_UUID.fullmatch(data_uuid):
                raise WrongValue(
                    "has a key that is not a data UUID",
                    "Use the 32 hex digits that the instance's info shows as DataUUID.",
                )
            if not suffix or not _TOPIC_TEXT.fullmatch(suffix):
                raise WrongValue(
                    f"has no legal suffix for {data_uuid}", "Use letters, digits, `.`, `_` and `-`."
                )
        return suffixes

    @field_validator("ssl_password_env", "sasl_username_env", "sasl_password_env")
    @classmethod
    def _check_variable(cls, name: str | None) -> str | None:
        return variable_name(name)

    def check_together(self) -> None:
        sasl = {
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_username_env": self.sasl_username_env,
            "sasl_password_env": self.sasl_password_env,
        }
        given, missing = [n for n, v in sasl.items() if v], [n for n, v in sasl.items() if not v]
        if self.security_protocol.startswith("SASL") and missing:
            raise WrongValue(
                f"is unset, but security_protocol is {self.security_protocol}",
                "Set it, or change security_protocol.",
                field=missing[0],
            )
        if self.security_protocol.startswith("SASL") and self.servers is None:
            raise WrongValue(
                f"is unset, but security_protocol is {self.security_protocol}: the password would go to "
                f"whatever broker the source names",
                "Name the brokers, such as [kafka1.example.org:9092].",
                field="servers",
            )
        if given and not self.security_protocol.startswith("SASL"):
            raise WrongValue(
                f"is {self.security_protocol}, but {given[0]} is set",
                "Set it to SASL_SSL or SASL_PLAINTEXT.",
                field="security_protocol",
            )
        ssl = [
            name
            for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password_env")
            if getattr(self, name) is not None
        ]
        if ssl and not self.security_protocol.endswith("SSL"):
            raise WrongValue(
                f"is {self.security_protocol}, but {ssl[0]} is set",
                "Set it to SSL or SASL_SSL.",
                field="security_protocol",
            )

    def client_options(self, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
        """How kafka-python logs in: keyword arguments without the servers. Holds secrets: never log it.

        Raises:
            ConfigurationError: a named environment variable is unset.
        """
        options = {
            "security_protocol": self.security_protocol,
            "ssl_cafile": self.ssl_cafile,
            "ssl_certfile": self.ssl_certfile,
            "ssl_keyfile": self.ssl_keyfile,
            "ssl_password": read_secret("kafka.ssl_password_env", self.ssl_password_env, environment),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": read_secret(
                "kafka.sasl_username_env", self.sasl_username_env, environment
            ),
            "sasl_plain_password": read_secret(
                "kafka.sasl_password_env", self.sasl_password_env, environment
            ),
        }
        return {name: value for name, value in options.items() if value is not None}
