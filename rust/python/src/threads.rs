//! Bindings of `qvl_core::parallel`.

use pyo3::prelude::*;
use qvl_core::parallel;

/// Processors that this process may use: its affinity and, in a container, its quota of time.
#[pyfunction]
pub(crate) fn processors() -> usize {
    parallel::processors()
}
