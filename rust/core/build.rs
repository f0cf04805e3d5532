//! Compiles the C that stands between Rust and libjpeg.

fn main() {
    #[cfg(feature = "jpeg")]
    compile_jpeg();
}

#[cfg(feature = "jpeg")]
fn compile_jpeg() {
    let source = "src/decode/jpeg/libjpeg.c";
    println!("cargo::rerun-if-changed={source}");
    // Where turbojpeg-sys has put the headers of the library that it built.
    let headers = std::env::var("DEP_TURBOJPEG_INCLUDE").expect("turbojpeg-sys names its headers");
    cc::Build::new()
        .file(source)
        .includes(headers.split(','))
        .extra_warnings(true)
        .compile("qvl_jpeg");
}
