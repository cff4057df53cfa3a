"""DVID's protobuf messages. The ``*_pb2`` modules are made from the ``.proto`` files: `make proto`."""
