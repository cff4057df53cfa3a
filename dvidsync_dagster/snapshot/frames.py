"""Tables as pandas has them, with labels that stay exact."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

_EXACT = {
    pa.int64(): pd.Int64Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
"""pandas makes floats of its other integers where some are missing, and they hold no label above 2^53."""


def frame(table: pa.Table) -> pd.DataFrame:
    """Maps become dicts."""
    return pd.DataFrame(
        {
            name: table[name].to_pandas(types_mapper=_EXACT.get, maps_as_pydicts="strict")
            for name in table.column_names
        }
    )
