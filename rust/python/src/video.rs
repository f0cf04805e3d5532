//! Bindings of `qvl_core::video`.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qvl_core::video::{self, Limits, NframesLimits, Wanted};

use crate::argument::{Integer, unknown};
use crate::error::{detached, to_python};

/// The numbers of the frames that a rule takes of `total_frames`, int64.
///
/// `wanted` is a number of frames, or a rate and that of the video, or None; see the core.
#[pyfunction]
#[pyo3(signature = (total_frames, num_frames, rates, *, rule, min_frames, max_frames, temporal_patch_size))]
#[expect(clippy::too_many_arguments, reason = "keywords on the Python side")]
pub(crate) fn sample_frames<'py>(
    py: Python<'py>,
    total_frames: Integer<'_>,
    num_frames: Option<i64>,
    rates: Option<(f64, f64)>,
    rule: &str,
    min_frames: i64,
    max_frames: i64,
    temporal_patch_size: i64,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let total = total_frames.named("total_frames")?;
    let wanted = wanted(num_frames, rates)?;
    let limits = Limits {
        min_frames,
        max_frames,
    };
    let sample = match rule {
        "qwen2-vl" => detached(py, || {
            video::qwen2_indices(total, wanted, limits, temporal_patch_size)
        }),
        "qwen3-vl" => detached(py, || video::qwen3_indices(total, wanted, limits)),
        "llava-onevision" => detached(py, || video::onevision_indices(total, wanted)),
        "internvl" => detached(py, || video::internvl_indices(total, wanted)),
        _ => {
            let names = "'qwen2-vl', 'qwen3-vl', 'llava-onevision' or 'internvl'";
            Err(unknown("sampling", names, rule))
        }
    }?;
    Ok(sample.into_pyarray(py))
}

/// How many frames the Qwen utilities take of `total_frames`.
#[pyfunction]
#[pyo3(signature = (total_frames, num_frames, rates, *, min_frames, max_frames))]
pub(crate) fn utilities_nframes(
    total_frames: Integer<'_>,
    num_frames: Option<i64>,
    rates: Option<(f64, f64)>,
    min_frames: Option<i64>,
    max_frames: Option<i64>,
) -> PyResult<i64> {
    let wanted = wanted(num_frames, rates)?;
    let wanted =
        wanted.ok_or_else(|| PyValueError::new_err("num_frames or rates must be given"))?;
    let limits = NframesLimits {
        min_frames,
        max_frames,
    };
    video::smart_nframes(total_frames.named("total_frames")?, wanted, limits).map_err(to_python)
}

/// `count` frames from `start` to `end` as the Qwen utilities take them, int64.
#[pyfunction]
#[pyo3(signature = (start, end, count, *, fused))]
pub(crate) fn utilities_linspace<'py>(
    py: Python<'py>,
    start: Integer<'_>,
    end: Integer<'_>,
    count: Integer<'_>,
    fused: bool,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let ends = "-2**63 and 2**63 - 1";
    let (start, end) = (start.between(ends, "start")?, end.between(ends, "end")?);
    let count = count.named("count")?;
    let indices = detached(py, || video::linspace_indices(start, end, count, fused))?;
    Ok(indices.into_pyarray(py))
}

fn wanted(num_frames: Option<i64>, rates: Option<(f64, f64)>) -> PyResult<Option<Wanted>> {
    match (num_frames, rates) {
        (Some(_), Some(_)) => Err(PyValueError::new_err(
            "fps and num_frames must not be given together",
        )),
        (Some(frames), None) => Ok(Some(Wanted::Frames(frames))),
        (None, Some((fps, source))) => Ok(Some(Wanted::PerSecond { fps, source })),
        (None, None) => Ok(None),
    }
}
