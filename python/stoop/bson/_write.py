"""Structured arrays into documents."""

import numpy as np

from stoop import _stoop
from stoop.bson import _dtypes, _policies
from stoop.bson._objects import to_values


def from_ndarray(array, *, types=None, paths=None):
    """Encode the rows of a structured array as documents, back to back.

    Masked items are left out of their documents; None in an object field is
    null. `types` and `paths` are as for `to_ndarray`; `types` may be the answer of
    `infer_schema` that the array was read with.
    """
    if hasattr(types, "_types"):
        types, paths = types._types(), {**types._paths(), **(paths or {})}
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(array)
        array = array.data
    array = np.asarray(array)
    dtype = _dtypes.as_dtype(array.dtype)
    if array.ndim > 1:
        raise ValueError(f"expected rows, found an array of {array.ndim} dimensions; use array.reshape(-1)")
    array = np.ascontiguousarray(array)
    mask_dtype = np.ma.make_mask_descr(dtype) if mask is not None else None
    fields = _dtypes.fields(dtype, _policies.Policies(), types, paths, mask_dtype)
    keys = [leaf.keys for leaf in _dtypes.leaves(dtype, paths or {})]
    objects = {}
    for index, field in enumerate(fields):
        if field[1] == "object":
            column = array
            for name in keys[index]:
                column = column[name]
            objects[index] = to_values(column)
    return _stoop.bson.encode(
        fields,
        array,
        np.ascontiguousarray(mask) if mask is not None else None,
        itemsize=dtype.itemsize,
        mask_itemsize=mask_dtype.itemsize if mask_dtype is not None else 0,
        rows=len(array),
        objects=objects or None,
    )
