//! Bindings of `qvl_core::geometry`'s layouts.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qvl_core::Reference;
use qvl_core::geometry::{self, Anyres, Area, Overview, Pass, Plan, Small, Span, TokenBudget};

use crate::argument::{Integer, unknown};
use crate::error::to_python;
use crate::rows::RowWriter;

/// What of an image a model sees, and at which size; see `Layout` of the core.
#[pyclass(frozen, module = "qvl_fast._native")]
pub(crate) struct Layout {
    layout: geometry::Layout,
    reference: Reference,
}

/// `(frame, before, resized, offset)` of a span.
type Axis = (usize, usize, usize, isize);

/// How large an image becomes; see `Fit` of the core.
#[pyclass(frozen, module = "qvl_fast._native")]
pub(crate) struct Fit(geometry::Fit);

#[pymethods]
impl Fit {
    /// Images keep their size.
    #[staticmethod]
    fn keep() -> Self {
        Self(geometry::Fit::Keep)
    }

    /// Multiples of `factor`, of an area between the two of `pixels`, which counts `frames` times. `small` is what
    /// becomes of images with a side below the factor: "keep", "enlarge" or "enlarge_sides".
    #[staticmethod]
    fn area(factor: usize, pixels: (i64, i64), frames: usize, small: &str) -> PyResult<Self> {
        let small = match small {
            "keep" => Small::Keep,
            "enlarge" => Small::Enlarge,
            "enlarge_sides" => Small::EnlargeSides,
            _ => {
                let names = "'keep', 'enlarge' or 'enlarge_sides'";
                return Err(unknown("small", names, small));
            }
        };
        Ok(Self(geometry::Fit::Area(Area {
            factor,
            pixels,
            frames,
            small,
        })))
    }

    /// No more than `patches` of side `patch` in all and `side` along a side, padded to multiples of `factor`.
    #[staticmethod]
    fn shrink(patch: usize, factor: usize, patches: usize, side: usize) -> Self {
        Self(geometry::Fit::Shrink {
            patch,
            factor,
            patches,
            side,
        })
    }

    /// Between `least` and `most` tokens of side `factor`, an image being repeated for `frames` frames; padded to
    /// whole ones.
    #[staticmethod]
    fn tokens(factor: usize, frames: usize, least: usize, most: usize) -> Self {
        Self(geometry::Fit::Tokens(TokenBudget {
            factor,
            frames,
            least,
            most,
        }))
    }

    /// The largest size of at most `most` whole patches of side `patch`.
    #[staticmethod]
    fn patches(patch: usize, most: usize) -> Self {
        Self(geometry::Fit::Patches { patch, most })
    }

    /// Multiples of `factor`, half as large as the sides that the two areas of `pixels` allow.
    #[staticmethod]
    fn halved(factor: usize, pixels: (i64, i64)) -> Self {
        Self(geometry::Fit::Halved { factor, pixels })
    }

    /// One size for all.
    #[staticmethod]
    fn stretch(height: usize, width: usize) -> Self {
        Self(geometry::Fit::Stretch((height, width)))
    }

    /// The shorter side becomes `edge` pixels long.
    #[staticmethod]
    fn shortest(edge: usize) -> Self {
        Self(geometry::Fit::Shortest(edge))
    }

    /// Into the middle of the best of some canvases, `(height, width)`.
    #[staticmethod]
    fn pinpoints(canvases: Vec<(usize, usize)>) -> Self {
        Self(geometry::Fit::Pinpoints(canvases))
    }

    /// The grid of tiles whose aspect ratio is nearest.
    #[staticmethod]
    fn ratio(least: usize, most: usize) -> Self {
        Self(geometry::Fit::Ratio { least, most })
    }
}

#[pymethods]
impl Layout {
    #[new]
    #[pyo3(signature = (fit, *, tile, square, overview, reference))]
    fn new(
        fit: &Fit,
        tile: Option<(usize, usize)>,
        square: bool,
        overview: &str,
        reference: &str,
    ) -> PyResult<Self> {
        let layout = geometry::Layout {
            fit: fit.0.clone(),
            tile,
            square,
            overview: match overview {
                "none" => Overview::None,
                "first" => Overview::First,
                "last" => Overview::Last,
                _ => return Err(unknown("overview", "'none', 'first' or 'last'", overview)),
            },
        };
        layout.check().map_err(to_python)?;
        let reference = Reference::named(reference).map_err(to_python)?;
        Ok(Self { layout, reference })
    }

    /// The size `(height, width)` of the canvas that an image of `(height, width)` is put on.
    fn canvas(&self, height: Integer<'_>, width: Integer<'_>) -> PyResult<(usize, usize)> {
        Ok(self.pass_of_tiles(height, width)?.target())
    }

    /// How the height and the width of an image of `(height, width)` are put on its canvas: `(frame, before,
    /// resized, offset)` of each. What lies at `x` in the image is at `(x + before) * resized / frame + offset`.
    fn placement(&self, height: Integer<'_>, width: Integer<'_>) -> PyResult<(Axis, Axis)> {
        let pass = self.pass_of_tiles(height, width)?;
        let axis = |span: Span| (span.frame, span.before, span.resized, span.offset);
        Ok((axis(pass.height), axis(pass.width)))
    }

    /// The grid `(tiles, h, w)` of an image of `(height, width)` as `writer` cuts it.
    fn grid(
        &self,
        writer: &RowWriter,
        height: Integer<'_>,
        width: Integer<'_>,
    ) -> PyResult<(usize, usize, usize)> {
        let plan = self.plan(side("height", height)?, side("width", width)?);
        let plan = plan.and_then(|plan| plan.cut(writer.cut()));
        Ok(plan.map_err(to_python)?.grid().into())
    }

    /// Tokens of an image of `(height, width)` whose tiles of `along` by `along` features are put together and cut to
    /// its aspect ratio; features of more than `most_tiles` tiles are scaled down.
    fn anyres_tokens(
        &self,
        along: usize,
        most_tiles: Option<usize>,
        height: Integer<'_>,
        width: Integer<'_>,
    ) -> PyResult<usize> {
        let (height, width) = (side("height", height)?, side("width", width)?);
        let plan = self.plan(height, width).map_err(to_python)?;
        let tiles = plan
            .passes()
            .last()
            .map_or((1, 1), |pass| (pass.height.tiles, pass.width.tiles));
        let anyres = Anyres {
            side: along,
            most_tiles,
        };
        Ok(anyres.tokens(tiles, (height, width)))
    }
}

impl Layout {
    fn pass_of_tiles(&self, height: Integer<'_>, width: Integer<'_>) -> PyResult<Pass> {
        let plan = self.plan(side("height", height)?, side("width", width)?);
        Ok(plan.map_err(to_python)?.tiled())
    }

    pub(crate) fn plan(&self, height: usize, width: usize) -> qvl_core::Result<Plan> {
        self.layout.plan((height, width), self.reference)
    }
}

fn side(name: &str, value: Integer<'_>) -> PyResult<usize> {
    let value = value.named(name)?;
    usize::try_from(value)
        .map_err(|_| PyValueError::new_err(format!("{name} must be at least 1, got {value}")))
}
