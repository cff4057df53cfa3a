"""The configuration as a Dagster component: ``type: dvidsync_dagster.DvidSyncComponent`` in a ``defs.yaml``.

The component *is* the configuration, so its fields are described and checked in one place. Each part is made
resolvable here, from which Dagster derives the schema that ``dg`` shows, and which allows templates such as
``{{ env.SOURCE_URL }}``.
"""

import warnings
from datetime import date
from typing import Annotated, Any, Literal, Self

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from dvidsync_dagster.config import (
    BucketConfig,
    DestinationConfig,
    InstanceChoice,
    KafkaConfig,
    PracticeConfig,
    SourceConfig,
    StartTime,
    SyncConfig,
    WindowsConfig,
)
from dvidsync_dagster.config.destination import BUCKET, SERVER, kind_of
from dvidsync_dagster.config.model import Instances
from dvidsync_dagster.config.start import Start
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.templates import filled_in

SCAFFOLD: dict[str, Any] = {
    "source": {"url": "http://source.example.org:8000", "token_env": "DVID_SOURCE_TOKEN"},
    "repo": "0123456789abcdef0123456789abcdef",
    "branches": ["all"],
    "instances": "all",
    "destinations": [
        {
            "name": "copy",
            "url": "http://copy.example.org:8000",
            "token_env": "DVID_COPY_TOKEN",
            "start": {"time": "2026-01-31T00:00:00Z"},
        }
    ],
    "windows": {"every": "daily", "start_date": "2026-01-31"},
    "schedule": "*/10 * * * *",
}
"""What ``dg scaffold`` writes: every field that most people change."""


class DvidSyncScaffolder(dg.Scaffolder[Any]):
    """Writes a ``defs.yaml`` to fill in."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        scaffold_component(request, SCAFFOLD)


def _described(part: type[BaseModel], name: str, default: Any = ...) -> Any:
    return Field(default=default, description=part.model_fields[name].description)


class _Described(dg.Resolvable):
    """Gives the schema back what Dagster leaves out of it for fields with a default: their descriptions, and
    defaults that are no plain value."""

    @classmethod
    def model(cls) -> type[BaseModel]:
        model = super().model()
        assert issubclass(cls, BaseModel)
        for name, field in cls.model_fields.items():
            told = model.model_fields[name]
            told.description = field.description
            default = field.get_default(call_default_factory=True, validated_data={})
            if isinstance(default, BaseModel | list | dict):
                told.json_schema_extra = {"default": {} if isinstance(default, BaseModel) else default}
        model.model_rebuild(force=True)
        return model


class _StartFields(dg.Model):
    model_config = ConfigDict(title="Start time")

    time: str = _described(StartTime, "time")


class _InstanceFields(dg.Model):
    model_config = ConfigDict(title="Instance")

    name: str = _described(InstanceChoice, "name")
    data_uuid: str | None = _described(InstanceChoice, "data_uuid", None)


class Source(SourceConfig, _Described):
    """`SourceConfig`, with a schema for Dagster."""


class Kafka(KafkaConfig, _Described):
    """`KafkaConfig`, with a schema for Dagster."""


class WindowsFields(WindowsConfig, _Described):
    """`WindowsConfig`, with a schema for Dagster."""

    start_date: Annotated[date | None, dg.Resolver(filled_in, model_field_type=str | date | None)] = (
        _described(WindowsConfig, "start_date", None)
    )


# Dagster asks for fields by their names in the YAML, and `from` cannot be the name of one in Python.
_PRACTICE: dict[str, Any] = {
    field.alias or name: (field.annotation, Field(default=field.default, description=field.description))
    for name, field in PracticeConfig.model_fields.items()
}
_PracticeFields = create_model("Practice", __base__=dg.Model, **_PRACTICE)


class Destination(DestinationConfig, _Described):
    """`DestinationConfig`, with a schema for Dagster."""

    start: Annotated[
        Start,
        dg.Resolver(filled_in, model_field_type=Literal["beginning", "now"] | _StartFields | None),
    ] = _described(DestinationConfig, "start", None)
    practice: Annotated[
        PracticeConfig | None, dg.Resolver(filled_in, model_field_type=_PracticeFields | None)
    ] = _described(DestinationConfig, "practice", None)


class Bucket(BucketConfig, _Described):
    """`BucketConfig`, with a schema for Dagster."""


OneDestination = Annotated[
    Annotated[Destination, Tag(SERVER)] | Annotated[Bucket, Tag(BUCKET)], Discriminator(kind_of)
]


@dg.scaffold_with(DvidSyncScaffolder)
class DvidSyncComponent(dg.Component, SyncConfig, _Described):
    """One repo of a source DVID server, and the destinations that follow it.

    How its assets are shown can be changed in a subclass:

    .. code-block:: python

        import dagster as dg
        from dvidsync_dagster import DvidSyncComponent

        class OurCopies(DvidSyncComponent):
            def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
                return super().get_asset_spec(spec).replace_attributes(
                    group_name="segmentation", owners=["team:connectomics"]
                )

    and is used by its name in a ``defs.yaml``: ``type: our_project.copies.OurCopies``.
    """

    source: Source = _described(SyncConfig, "source")
    instances: Annotated[
        Instances,
        dg.Resolver(filled_in, model_field_type=Literal["all"] | list[str | _InstanceFields]),
    ] = _described(SyncConfig, "instances", "all")
    kafka: Kafka = Field(default_factory=Kafka, description=SyncConfig.model_fields["kafka"].description)
    destinations: Annotated[
        list[OneDestination],
        dg.Resolver(filled_in, model_field_type=list[Destination.model() | Bucket.model()]),
    ] = _described(SyncConfig, "destinations")  # type: ignore[assignment]
    windows: WindowsFields = Field(
        default_factory=WindowsFields, description=SyncConfig.model_fields["windows"].description
    )

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Fill the templates in, then check everything at once.

        Raises:
            ConfigurationError: a field is wrong; with its whole path.
        """
        return cls.model_validate(filled_in(context, model.model_dump(exclude_unset=True)))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """How Dagster shows an asset: the source's log, the archive, a destination, a comparison,
        a table of a bucket.

        Override it to change groups, owners, tags, descriptions, metadata or automation. The key must stay:
        checkpoints are found by it.
        """
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Raises ConfigurationError if `get_asset_spec` changes a key."""
        definitions = build_definitions(self)
        with warnings.catch_warnings():
            # Dagster's own way for this is in preview; nothing that a user could do about it.
            warnings.simplefilter("ignore", dg.PreviewWarning)
            return definitions.map_asset_specs(func=self._spec)

    def _spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        changed = self.get_asset_spec(spec)
        if changed.key != spec.key:
            raise ConfigurationError(
                "get_asset_spec",
                f"gives {spec.key.to_user_string()} the key {changed.key.to_user_string()}",
                "Leave keys as they are: checkpoints are found by them.",
            )
        return changed
