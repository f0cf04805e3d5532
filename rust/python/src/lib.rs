//! `qvl_fast._native`: the core under its Python names. Arguments are translated, Python is
//! detached, the core runs, its errors are mapped; nothing is computed here.

mod argument;
mod arrow;
mod batch;
mod error;
mod geometry;
mod index;
mod layout;
mod memory;
mod pixels;
mod resize;
mod rows;
mod source;
mod threads;
mod video;

use pyo3::prelude::*;

/// The compiled core of `qvl_fast`.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::arrow::arrow_pixels;
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::geometry::{smart_resize, utilities_frame_pixels, utilities_smart_resize};
    #[pymodule_export]
    use crate::index::{
        cu_seqlens, expand_placeholders, interpolation_taps, mrope_position_ids, pack,
        position_ids, reverse_index, segment_lengths, window_index,
    };
    #[pymodule_export]
    use crate::layout::{Fit, Layout};
    #[pymodule_export]
    use crate::memory::{empty, memory_stats, release_memory, set_memory_limit};
    #[pymodule_export]
    use crate::resize::{available_isas, resize_into};
    #[pymodule_export]
    use crate::rows::RowWriter;
    #[pymodule_export]
    use crate::source::{ImageHeader, decoded_formats, image_header};
    #[pymodule_export]
    use crate::threads::processors;
    #[pymodule_export]
    use crate::video::{sample_frames, utilities_linspace, utilities_nframes};
}
