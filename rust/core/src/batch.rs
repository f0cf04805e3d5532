//! Images of one batch, and groups of frames of videos, each on its way from pixels or files to its rows.

mod image;
mod item;
mod run;

use std::cmp::Reverse;
use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::memory;
use crate::parallel;
use crate::resize::{Ahead, Failure, Source};
use crate::rows::{Element, PieceWriter, RowForm, RowWriter, outgrows_the_cache};
pub use image::{Image, Input, oriented};
pub use item::Item;
use run::{Run, State};

/// Whoever has the images that cannot be read here. Asked by several threads.
pub trait Owner: Sync {
    /// Why an image cannot be had.
    type Error: Send;

    /// The pixels of a frame of the image at `index`, of the size that was given for it.
    fn open(&self, index: usize, frame: usize) -> Result<Source<'_, Self::Error>, Self::Error>;
}

/// What stopped a batch.
#[derive(Debug)]
pub enum Stop<E> {
    /// The image at this index.
    Image(usize, Failure<E>),
    /// The output or the memory for it.
    Core(Error),
    /// The calling thread was interrupted.
    Interrupted(E),
}

/// Writes the rows of `images`, one after another, to `out`, which must hold exactly these, on up to
/// `threads` threads. `interrupted` is asked by the calling thread now and then.
pub fn write<T: Element, O: Owner>(
    writer: &RowWriter<T>,
    images: &[Image<'_>],
    owner: &O,
    out: &mut [T],
    threads: usize,
    interrupted: impl FnMut() -> Result<(), O::Error>,
) -> Result<(), Stop<O::Error>> {
    let out = bytemuck::cast_slice_mut(out);
    let threads = threads.clamp(1, worthwhile(images, out.len()));
    let threads = match is_brief(images, out.len()) {
        true => parallel::threads_at_once(threads),
        false => threads,
    };
    write_bytes(writer, images, owner, out, threads, interrupted)
}

/// The same for rows of whatever elements, on as many threads as that.
fn write_bytes<O: Owner>(
    writer: &dyn PieceWriter,
    images: &[Image<'_>],
    owner: &O,
    out: &mut [u8],
    threads: usize,
    mut interrupted: impl FnMut() -> Result<(), O::Error>,
) -> Result<(), Stop<O::Error>> {
    let mut every =
        memory::collect(0..images.len(), "the images of a batch").map_err(Stop::Core)?;
    if threads > 1 {
        // The largest first, so that no thread is left alone with one that has to be decoded.
        every.sort_unstable_by_key(|index| (Reverse(images[*index].cost()), *index));
    }
    let stream = outgrows_the_cache(out);
    let mut pass = |indices, reopening| {
        let parts = split(writer.form(), images, out).map_err(Stop::Core)?;
        let run = Run {
            writer,
            images,
            owner,
            reopening,
            ahead: Ahead::of(threads),
            stream,
            state: Mutex::new(State::new(indices, parts).map_err(Stop::Core)?),
        };
        run.finish(threads, &mut interrupted)
    };
    let damaged = pass(every, false)?;
    if !damaged.is_empty() {
        // What has been written of these is written again, from pixels of the owner's.
        pass(damaged, true)?;
    }
    Ok(())
}

/// Whether a call takes no longer than a few turns of a scheduler, as far as is known: of what the owner opens it is not.
fn is_brief(images: &[Image<'_>], out_bytes: usize) -> bool {
    const BRIEF: u64 = 20_000_000;
    let mut inputs = images.iter().flat_map(|image| image.frames);
    cost(images, out_bytes) < BRIEF && !inputs.any(|input| matches!(input, Input::Owner { .. }))
}

/// About how long it takes, in nanoseconds.
fn cost(images: &[Image<'_>], out_bytes: usize) -> u64 {
    let written = out_bytes as u64 / 8;
    images.iter().map(Image::cost).sum::<u64>() + written
}

/// How many threads the work is worth, one at least: one more for each half a millisecond, which waking and
/// sharing must not outweigh, but none that would wait for the longest image to be decoded.
fn worthwhile(images: &[Image<'_>], out_bytes: usize) -> usize {
    const WORTH: u64 = 500_000;
    let all = cost(images, out_bytes);
    let side_by_side = match images.iter().map(Image::alone).max() {
        None | Some(0) => u64::MAX,
        // A second thread for one file is to do three fifths as much as its decoder, and half a millisecond, at
        // least: to look into another processor's cache takes time, too.
        Some(longest) => (all + 2 * longest / 5).saturating_sub(WORTH) / longest,
    };
    let threads = (all / WORTH + 1).min(side_by_side).max(1);
    usize::try_from(threads).unwrap_or(usize::MAX)
}

/// `out` in parts that belong to the images.
fn split<'a>(
    form: &RowForm,
    images: &[Image<'_>],
    mut out: &'a mut [u8],
) -> Result<Vec<&'a mut [u8]>> {
    let (given, columns) = (out.len() / form.element(), form.columns());
    let mut parts = memory::with_capacity(images.len(), "parts of the output")?;
    let mut rows = 0;
    for image in images {
        form.check_group(image.frames.len())?;
        let (cut, expected) = (image.plan.cut(), form.cut());
        if cut != expected {
            let reason = format!("must be cut into {expected:?}, got {cut:?}");
            return Err(Error::invalid("plan", reason));
        }
        let own = image.plan.grid().patches() + image.padding;
        rows += own;
        parts.extend(out.split_off_mut(..own * columns * form.element()));
    }
    if rows * columns != given {
        let reason = format!("must hold {rows} x {columns} elements, got {given}");
        return Err(Error::invalid("out", reason));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
