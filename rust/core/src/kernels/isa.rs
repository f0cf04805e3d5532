//! Which instructions the kernels may use.

use crate::error::{Error, Result};

/// An instruction set that this processor has been seen to have. Only [`Isa::available`] makes one,
/// so that whoever holds one may run its kernels.
///
/// ```
/// let _: qvl_core::Isa = qvl_core::Isa::SCALAR;
/// ```
///
/// Nobody outside can make another: neither can its field be reached,
///
/// ```compile_fail,E0423
/// let _: qvl_core::Isa = qvl_core::Isa(todo!());
/// ```
///
/// nor what the field holds.
///
/// ```compile_fail,E0603
/// let _ = qvl_core::kernels::isa::Backend::Scalar;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Backend);

/// The kernels of an instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    /// Plain Rust, on any processor.
    Scalar,
    /// AVX2 with FMA and F16C: x86-64 since about 2013.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same and AVX-512 with BW, VL, VBMI and VNNI: servers since about 2019, desktops since Zen 4.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON, which every 64-bit ARM has.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// Plain Rust, which every processor runs and every other backend equals.
    pub const SCALAR: Self = Self(Backend::Scalar);

    /// Every instruction set that this processor can run.
    pub fn available() -> Vec<Self> {
        let mut found = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
            && std::is_x86_feature_detected!("f16c")
        {
            found.push(Self(Backend::Avx2));
            if std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512vbmi")
                && std::is_x86_feature_detected!("avx512vnni")
            {
                found.push(Self(Backend::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if cfg!(target_endian = "little") {
            found.push(Self(Backend::Neon));
        }
        found
    }

    /// The fastest that this processor can run.
    pub fn best() -> Self {
        *Self::available().last().unwrap_or(&Self::SCALAR)
    }

    /// The instruction set called `name`, if this processor can run it.
    pub fn named(name: &str) -> Result<Self> {
        let available = Self::available();
        available
            .iter()
            .copied()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| {
                let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
                Error::unknown("isa", &names, name)
            })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self.0 {
            Backend::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Backend::Neon => "neon",
        }
    }

    pub(super) fn backend(self) -> Backend {
        self.0
    }
}
