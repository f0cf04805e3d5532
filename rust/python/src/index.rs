//! Bindings of `qvl_core::index`. Python has made arrays of the expected types and shapes.
//!
//! They may be the caller's, and other threads may write to them meanwhile, so that the core is given copies: it
//! reads a value more than once and relies on its being the same.

use bytemuck::Pod;
use numpy::ndarray::Dimension;
use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray,
    PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qvl_core::index::{
    self, Advance, Deltas, Frames, Grids, Interval, MropeIds, Rules, Strategy, TokenGrids,
};
use qvl_core::memory::{self, Buffer};

use crate::argument::unknown;
use crate::error::{detached, to_python};
use crate::memory::into_array;

/// Two arrays.
type Pair<'py, A, B> = (Bound<'py, A>, Bound<'py, B>);

/// Boundaries between attention segments, int32 `(segments + 1,)`.
#[pyfunction]
pub(crate) fn cu_seqlens<'py>(
    py: Python<'py>,
    grid_thw: PyReadonlyArray2<'py, i64>,
) -> PyResult<Bound<'py, PyArray1<i32>>> {
    let grids = grids("grid_thw", &grid_thw, 1)?;
    Ok(detached(py, || index::cu_seqlens(&grids))?.into_pyarray(py))
}

/// `(h, w)` of each patch, int64 `(N, 2)`.
#[pyfunction]
pub(crate) fn position_ids<'py>(
    py: Python<'py>,
    grid_thw: PyReadonlyArray2<'py, i64>,
    merge_size: i64,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let grids = grids("grid_thw", &grid_thw, merge_size)?;
    table(py, detached(py, || index::position_ids(&grids))?)
}

/// Token order and boundaries of windows of `window` tokens a side, int64 and int32.
#[pyfunction]
pub(crate) fn window_index<'py>(
    py: Python<'py>,
    grid_thw: PyReadonlyArray2<'py, i64>,
    window: usize,
    merge_size: i64,
) -> PyResult<Pair<'py, PyArray1<i64>, PyArray1<i32>>> {
    let grids = grids("grid_thw", &grid_thw, merge_size)?;
    let (order, boundaries) = detached(py, || index::window_index(&grids, window))?;
    let tokens = order.len();
    Ok((into_array(py, order, tokens)?, boundaries.into_pyarray(py)))
}

/// The lengths of the segments between `boundaries` and how many have each, the shortest first.
#[pyfunction]
pub(crate) fn segment_lengths(
    boundaries: PyReadonlyArray1<'_, i32>,
) -> PyResult<Vec<(i32, usize)>> {
    Ok(index::segment_lengths(boundaries.as_slice()?))
}

/// The permutation that undoes `window_index`, int64 of the same length.
#[pyfunction]
pub(crate) fn reverse_index<'py>(
    py: Python<'py>,
    window_index: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let order = copied("window_index", &window_index)?;
    let reverse = detached(py, || index::reverse_index(&order))?;
    into_array(py, reverse, order.len())
}

/// Entries of a `side` by `side` table to read for each patch, int64 `(N, 4)`, and their weights,
/// float32 `(N, 4)`.
#[pyfunction]
pub(crate) fn interpolation_taps<'py>(
    py: Python<'py>,
    grid_thw: PyReadonlyArray2<'py, i64>,
    side: i64,
    merge_size: i64,
) -> PyResult<Pair<'py, PyArray2<i64>, PyArray2<f32>>> {
    let grids = grids("grid_thw", &grid_thw, merge_size)?;
    let taps = detached(py, || index::interpolation_taps(&grids, side))?;
    Ok((table(py, taps.indices)?, table(py, taps.weights)?))
}

/// M-RoPE ids, int64 `(3, B, S)`, and deltas, int64 `(B, 1)`.
#[pyfunction]
#[pyo3(signature = (types, kept, image_grid_thw, video_grid_thw, image_interval, intervals, *,
                    precision, videos_in_groups, merge_size, rules))]
#[expect(clippy::too_many_arguments, reason = "keywords on the Python side")]
pub(crate) fn mrope_position_ids<'py>(
    py: Python<'py>,
    types: PyReadonlyArray2<'py, i64>,
    kept: Option<PyReadonlyArray2<'py, bool>>,
    image_grid_thw: PyReadonlyArray2<'py, i64>,
    video_grid_thw: PyReadonlyArray2<'py, i64>,
    image_interval: Option<i64>,
    intervals: Vec<[f64; 2]>,
    precision: &str,
    videos_in_groups: bool,
    merge_size: i64,
    rules: MropeRules,
) -> PyResult<Pair<'py, PyArray3<i64>, PyArray2<i64>>> {
    let interval: fn([f64; 2]) -> Interval = match precision {
        "single" => |factors| Interval::Single(factors.map(|factor| factor as f32)),
        "double" => Interval::Double,
        "whole" => |factors| Interval::Whole(factors.map(|factor| factor as i64)),
        _ => {
            return Err(unknown(
                "precision",
                "'single', 'double' or 'whole'",
                precision,
            ));
        }
    };
    let intervals = intervals.into_iter().map(interval);
    let grids = TokenGrids {
        images: grids("image_grid_thw", &image_grid_thw, merge_size)?,
        videos: grids("video_grid_thw", &video_grid_thw, merge_size)?,
        videos_in_groups,
        image_interval: image_interval.map(|interval| Interval::Whole([interval, 1])),
        intervals: memory::collect(intervals, "second_per_grid_ts").map_err(to_python)?,
    };
    let rules = rules.try_into()?;
    let [rows, length] = [types.shape()[0], types.shape()[1]];
    let types = copied("mm_token_type_ids", &types)?;
    let kept = kept.map(|kept| copied("attention_mask", &kept));
    let kept = kept.transpose()?;
    let MropeIds {
        position_ids,
        deltas,
    } = detached(py, || {
        index::mrope_position_ids(&types, length, kept.as_deref(), &grids, rules)
    })?;
    Ok((
        into_array(py, position_ids, [3, rows, length])?,
        deltas.into_pyarray(py).reshape([rows, 1])?,
    ))
}

/// The attributes of a `PositionClass` that the core computes with.
#[derive(FromPyObject)]
pub(crate) struct MropeRules {
    advance: String,
    frames: String,
    padding: i64,
    deltas: String,
}

impl TryFrom<MropeRules> for Rules {
    type Error = PyErr;

    fn try_from(rules: MropeRules) -> PyResult<Self> {
        Ok(Self {
            advance: match &*rules.advance {
                "spatial" => Advance::Spatial,
                "spatiotemporal" => Advance::Spatiotemporal,
                other => return Err(unknown("advance", "'spatial' or 'spatiotemporal'", other)),
            },
            frames: match &*rules.frames {
                "apart" => Frames::Apart,
                "alike" => Frames::Alike,
                other => return Err(unknown("frames", "'apart' or 'alike'", other)),
            },
            padding: rules.padding,
            deltas: match &*rules.deltas {
                "kept" => Deltas::Kept,
                "length" => Deltas::Length,
                "length, not negative" => Deltas::LengthNotNegative,
                other => {
                    let names = "'kept', 'length' or 'length, not negative'";
                    return Err(unknown("deltas", names, other));
                }
            },
        })
    }
}

/// Items of each bin.
#[pyfunction]
pub(crate) fn pack(
    lengths: PyReadonlyArray1<'_, i64>,
    capacity: i64,
    strategy: &str,
) -> PyResult<Vec<Vec<usize>>> {
    let strategy = match strategy {
        "sequential" => Strategy::Sequential,
        "best" => Strategy::Best,
        _ => return Err(unknown("strategy", "'sequential' or 'best'", strategy)),
    };
    let py = lengths.py();
    let lengths = copied("lengths", &lengths)?;
    detached(py, || index::pack(&lengths, capacity, strategy))
}

/// Expanded ids, int64 `(S,)`, and the place of each item in them, int64 `(n, 2)`.
#[pyfunction]
pub(crate) fn expand_placeholders<'py>(
    py: Python<'py>,
    input_ids: PyReadonlyArray1<'py, i64>,
    token_id: i64,
    counts: PyReadonlyArray1<'py, i64>,
) -> PyResult<Pair<'py, PyArray1<i64>, PyArray2<i64>>> {
    let ids = copied("input_ids", &input_ids)?;
    let counts = copied("counts", &counts)?;
    let (expanded, offsets) = detached(py, || index::expand_placeholders(&ids, token_id, &counts))?;
    let items = offsets.len();
    let offsets = offsets.into_flattened().into_pyarray(py);
    Ok((expanded.into_pyarray(py), offsets.reshape([items, 2])?))
}

/// Checked grids from an int64 `(n, 3)` array in C order.
fn grids(name: &'static str, grid_thw: &PyReadonlyArray2<'_, i64>, merge: i64) -> PyResult<Grids> {
    let values = copied(name, grid_thw)?;
    let (rows, []) = values.as_chunks::<3>() else {
        let message = format!("{name} must have shape (n, 3), got {:?}", grid_thw.shape());
        return Err(PyValueError::new_err(message));
    };
    Grids::new(name, rows, merge).map_err(to_python)
}

/// The elements of the argument called `name`, an array in C order, each read once.
fn copied<T: Element + Copy, D: Dimension>(
    name: &'static str,
    array: &PyReadonlyArray<'_, T, D>,
) -> PyResult<Vec<T>> {
    memory::collect(array.as_slice()?.iter().copied(), name).map_err(to_python)
}

/// An array with a row for each element.
fn table<T: Element + Pod, const N: usize>(
    py: Python<'_>,
    rows: Buffer<[T; N]>,
) -> PyResult<Bound<'_, PyArray2<T>>>
where
    [T; N]: Pod,
{
    let shape = [rows.len(), N];
    into_array(py, rows.into_flattened(), shape)
}
