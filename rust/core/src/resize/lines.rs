//! One resized line after another, with only the source lines of one window in memory.

use super::{Coefficients, Reference, Resampler};
use crate::error::Result;
use crate::image::ImageView;
use crate::memory;
use crate::simd;

/// Produces the resized lines of an image from top to bottom.
///
/// Horizontal pass first: a source line is resampled as it enters the window, and the window is
/// combined into the output. Vertical pass first: source lines enter as they are, and the combined
/// line is resampled. Either way the intermediate is 8 bits deep and stays in cache.
#[derive(Debug)]
pub struct ResizedLines<'a> {
    source: SourceLines<'a>,
    on_entry: Option<&'a Coefficients>,
    vertical: Option<&'a Coefficients>,
    on_exit: Option<&'a Coefficients>,
    window: LineWindow,
    next: usize,
}

impl<'a> ResizedLines<'a> {
    pub(super) fn new(resampler: &'a Resampler, image: &'a ImageView<'a>) -> Result<Self> {
        let horizontal = resampler.horizontal.as_ref();
        let vertical = resampler.vertical.as_ref();
        let (on_entry, on_exit, width) = if resampler.vertical_first {
            (None, horizontal, resampler.source.1)
        } else {
            (horizontal, None, resampler.target.1)
        };
        Ok(Self {
            source: SourceLines {
                image,
                reference: resampler.reference,
                scratch: memory::filled(3 * resampler.source.1, 0, "a line of the image")?,
            },
            on_entry,
            vertical,
            on_exit,
            window: LineWindow::new(3 * width, vertical.map_or(0, Coefficients::most_taps))?,
            next: 0,
        })
    }

    /// Writes the next line to `out`, packed RGB of the target width. There are as many lines as
    /// the target is high; asking for more is a bug of the caller and panics.
    pub fn read(&mut self, out: &mut [u8]) {
        let y = self.next;
        self.next += 1;
        let Some(vertical) = self.vertical else {
            return self.source.read(y, self.on_entry, out);
        };
        let (start, weights) = vertical.window(y);
        while self.window.end < start + weights.len() {
            let entering = self.window.end;
            let line = self.window.push(start);
            self.source.read(entering, self.on_entry, line);
        }
        let lines = self.window.lines_from(start, weights.len());
        match self.on_exit {
            None => simd::combine_lines(lines, weights, vertical.precision(), out),
            Some(horizontal) => {
                let combined = &mut self.source.scratch;
                simd::combine_lines(lines, weights, vertical.precision(), combined);
                simd::resample_line(combined, horizontal, out);
            }
        }
    }
}

/// Lines of the image, resampled on the way out where asked.
#[derive(Debug)]
struct SourceLines<'a> {
    image: &'a ImageView<'a>,
    reference: Reference,
    /// One packed line of the source width.
    scratch: Vec<u8>,
}

impl SourceLines<'_> {
    fn read(&mut self, y: usize, horizontal: Option<&Coefficients>, out: &mut [u8]) {
        let Some(horizontal) = horizontal else {
            return self.image.read_line(y, self.reference, out);
        };
        let line = match self.image.packed_line(y) {
            Some(packed) => packed,
            None => {
                self.image.read_line(y, self.reference, &mut self.scratch);
                &self.scratch
            }
        };
        simd::resample_line(line, horizontal, out);
    }
}

/// The last lines that entered, adjacent in memory so that a kernel can step from one to the next.
#[derive(Debug)]
struct LineWindow {
    buffer: Vec<u8>,
    line_bytes: usize,
    /// Number of the line at the start of `buffer`.
    first: usize,
    /// Number of the line that enters next.
    end: usize,
}

impl LineWindow {
    /// Room for windows of up to `taps` lines. Twice that is held, so that lines move to the front
    /// only once every `taps` lines.
    fn new(line_bytes: usize, taps: usize) -> Result<Self> {
        let bytes = line_bytes.saturating_mul(2 * taps);
        Ok(Self {
            buffer: memory::filled(bytes, 0, "lines between the passes")?,
            line_bytes,
            first: 0,
            end: 0,
        })
    }

    /// The place of the entering line. Lines before number `keep` may be dropped.
    fn push(&mut self, keep: usize) -> &mut [u8] {
        let mut at = (self.end - self.first) * self.line_bytes;
        if at == self.buffer.len() {
            let kept = (keep - self.first) * self.line_bytes;
            self.buffer.copy_within(kept.., 0);
            self.first = keep;
            at -= kept;
        }
        self.end += 1;
        &mut self.buffer[at..at + self.line_bytes]
    }

    /// `count` lines from number `start` on.
    fn lines_from(&self, start: usize, count: usize) -> &[u8] {
        let at = (start - self.first) * self.line_bytes;
        &self.buffer[at..at + count * self.line_bytes]
    }
}
