//! Resized lines from top to bottom, with only the source lines of one window in memory.

use super::Resampler;
use super::block::{LineBlock, PlanarLines, plane_stride};
use crate::error::Result;
use crate::image::RgbImage;
use crate::memory::Buffer;
use crate::simd;

/// Produces the resized lines of an image, three planes each, from top to bottom.
///
/// Horizontal pass first: source lines are resampled as they enter the window, and the window is
/// combined into the output. Vertical pass first: source lines are combined where they lie, and the
/// combined lines are resampled as they enter. Either way the intermediate is 8 bits deep and stays
/// in cache.
#[derive(Debug)]
pub struct ResizedLines<'a> {
    resampler: &'a Resampler,
    /// The image: pixels side by side, or three planes.
    components: Vec<LineBlock<'a>>,
    /// Lines combined before they are resampled, of one component.
    combined: Buffer<u8>,
    /// What the horizontal pass works in.
    stage: Buffer<u8>,
    window: LineWindow,
    next: usize,
}

impl<'a> ResizedLines<'a> {
    /// Lines from `first` on.
    pub(super) fn new(
        resampler: &'a Resampler,
        image: &'a RgbImage<'a>,
        first: usize,
    ) -> Result<Self> {
        let components = image.components();
        let (entered, taps) = match &resampler.vertical {
            Some(vertical) if !resampler.vertical_first => {
                (vertical.window(first).0, vertical.most_taps())
            }
            _ => (first, 1),
        };
        let combined = if resampler.vertical_first {
            let longest = components.iter().map(LineBlock::length).max().unwrap_or(0);
            resampler.isa.lines_at_once() * longest
        } else {
            0
        };
        let stage = components
            .iter()
            .map(|component| simd::stage_bytes(resampler.isa, component));
        let stage = stage.max().filter(|_| resampler.horizontal.is_some());
        Ok(Self {
            resampler,
            stage: Buffer::new(stage.unwrap_or(0), "lines to resample")?,
            components,
            combined: Buffer::new(combined, "lines between the passes")?,
            window: LineWindow::new(
                resampler.target.1,
                taps,
                entered,
                resampler.isa.lines_at_once(),
            )?,
            next: first,
        })
    }

    /// Writes the next line to `out`, three planes of [`plane_stride`] bytes. There are as many
    /// lines as the target is high; asking for more is a bug of the caller and panics.
    pub fn read(&mut self, out: &mut [u8]) {
        let y = self.next;
        self.next += 1;
        match &self.resampler.vertical {
            Some(vertical) if !self.resampler.vertical_first => {
                let (start, weights) = vertical.window(y);
                self.fill(start + weights.len(), self.resampler.source.0);
                let lines: Vec<_> = (start..start + weights.len())
                    .map(|line| self.window.line(line))
                    .collect();
                simd::combine_lines(self.resampler.isa, &lines, vertical, y, out);
            }
            _ => {
                self.fill(y + 1, self.resampler.target.0);
                out.copy_from_slice(self.window.line(y));
            }
        }
    }

    /// Lets lines of the `total` that there are enter the window, up to number `end` at least.
    fn fill(&mut self, end: usize, total: usize) {
        while self.window.end < end {
            let first = self.window.end;
            let count = self.resampler.isa.lines_at_once().min(total - first);
            let width = self.resampler.target.1;
            let out = self.window.push(count);
            let Resampler {
                isa,
                horizontal,
                vertical,
                vertical_first,
                ..
            } = self.resampler;
            // What is read after a component: the next one, or the first one further down.
            let below = first + count..(first + 2 * count).min(total);
            let mut plane = 0;
            for (index, component) in self.components.iter().enumerate() {
                let next = match self.components.get(index + 1) {
                    Some(component) => component.lines(first..first + count),
                    None => self.components[0].lines(below.clone()),
                };
                let mut planes = PlanarLines::new(out, width, plane);
                let block = match vertical {
                    Some(vertical) if *vertical_first => {
                        let length = component.length();
                        let combined = &mut self.combined[..count * length];
                        for (y, line) in (first..).zip(combined.chunks_exact_mut(length)) {
                            let (start, weights) = vertical.window(y);
                            let lines: Vec<_> = (start..start + weights.len())
                                .map(|line| component.line(line))
                                .collect();
                            simd::combine_lines(*isa, &lines, vertical, y, line);
                        }
                        LineBlock::new(
                            combined,
                            0,
                            length as isize,
                            count,
                            component.width(),
                            component.layout(),
                        )
                    }
                    _ => component.lines(first..first + count),
                };
                match horizontal {
                    Some(table) => {
                        simd::resample_lines(
                            *isa,
                            &block,
                            next,
                            table,
                            &mut self.stage,
                            &mut planes,
                        );
                    }
                    None => simd::split_lines(*isa, &block, &mut planes),
                }
                plane += component.layout().channels();
            }
        }
    }
}

/// The last lines that entered, in a ring of whole batches.
#[derive(Debug)]
struct LineWindow {
    ring: Buffer<u8>,
    line_bytes: usize,
    /// Lines that the ring holds.
    capacity: usize,
    /// Number of the line that enters next.
    end: usize,
}

impl LineWindow {
    /// Room for a window of up to `taps` lines of `width` pixels and the `batch` of them that completes
    /// it. The batch that holds line `first` enters first.
    fn new(width: usize, taps: usize, first: usize, batch: usize) -> Result<Self> {
        let line_bytes = 3 * plane_stride(width);
        let capacity = (taps.saturating_add(batch)).next_multiple_of(batch);
        let bytes = line_bytes.saturating_mul(capacity);
        Ok(Self {
            ring: Buffer::new(bytes, "lines between the passes")?,
            line_bytes,
            capacity,
            end: first / batch * batch,
        })
    }

    /// The place of the `count` lines that enter: a batch, or less at the end of the image.
    fn push(&mut self, count: usize) -> &mut [u8] {
        let at = self.end % self.capacity * self.line_bytes;
        self.end += count;
        &mut self.ring[at..at + count * self.line_bytes]
    }

    /// The line of number `number`, one of the last that entered.
    fn line(&self, number: usize) -> &[u8] {
        let at = number % self.capacity * self.line_bytes;
        &self.ring[at..at + self.line_bytes]
    }
}
