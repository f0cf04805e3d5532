//! What the lines of a file cost, and what passing over them costs beside it.
//!
//! ```text
//! cargo bench -p qvl-core --features jpeg --bench decode -- FILE...
//! ```
//!
//! For each file: the time to read its header, to decode all lines in portions of 16, to pass over the
//! upper 60 of 100 lines, and to decode those below after that; the least of nine runs. The memory is
//! the most that the process has taken beside the file: give one file to trust it.
#![expect(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};
use std::{env, fs};

use qvl_core::decode::{Decoder, Header, header};

const RUNS: usize = 9;
const PORTION: usize = 16;

fn main() {
    println!("  header      all  passed   below   memory  file");
    for path in env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
    {
        let file = fs::read(&path).expect("a file");
        let before = peak_memory();
        let header = header(&file).expect("a usual file");
        let passed = 6 * header.height / 10;
        let read = |passed| {
            let mut lines = open(&file, &header);
            lines.skip(passed).expect("whole");
            rest(&mut lines, header.height - passed);
        };
        let all = least(|| read(0));
        let above = least(|| open(&file, &header).skip(passed).expect("whole"));
        let both = least(|| read(passed));
        println!(
            "{:5.1} us {:5.1} ms {:5.1} ms {:5.1} ms {:5} KiB  {path}",
            least(|| qvl_core::decode::header(black_box(&file))).as_secs_f64() * 1e6,
            all.as_secs_f64() * 1e3,
            above.as_secs_f64() * 1e3,
            (both.saturating_sub(above)).as_secs_f64() * 1e3,
            peak_memory() - before,
        );
    }
}

fn open<'file>(file: &'file [u8], header: &Header) -> Decoder<'file> {
    Decoder::open(file, header, None)
        .expect("memory")
        .expect("a usual file")
}

fn rest(lines: &mut Decoder<'_>, count: usize) {
    let length = lines.width() * lines.channels();
    let mut portion = vec![0; PORTION * length];
    for first in (0..count).step_by(PORTION) {
        let some = &mut portion[..PORTION.min(count - first) * length];
        lines.read(some).expect("whole");
        black_box(some);
    }
}

fn least<T>(mut run: impl FnMut() -> T) -> Duration {
    let time = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    (0..RUNS).map(time).min().expect("a run")
}

/// The most memory that this process has had so far, in KiB; 0 where the system does not say.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
