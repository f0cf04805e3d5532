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
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Vector(VectorIsa),
}

/// An instruction set that kernels in vectors are for.
///
/// What a variant holds is the proof that this processor has it: nobody but [`Isa::available`] makes one. This is
/// what every call of such a kernel rests on. A safe function that takes a proof may run what has no more
/// features enabled than it names; one that takes any of these, what [`Baseline`] names.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorIsa {
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

/// AVX2 with FMA and F16C: x86-64 since about 2013.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx2(());

/// The same and AVX-512 with BW, VL, VBMI and VNNI: servers since about 2019, desktops since Zen 4.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx512(());

/// No other processor has it.
#[cfg(target_arch = "aarch64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Avx512 {}

/// NEON, which every 64-bit ARM has.
#[cfg(target_arch = "aarch64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neon(());

/// What a processor has for which there is any kernel in vectors.
#[cfg(target_arch = "x86_64")]
pub(super) type Baseline = Avx2;
#[cfg(target_arch = "aarch64")]
pub(super) type Baseline = Neon;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl VectorIsa {
    pub(super) fn baseline(self) -> Baseline {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2,
            // Found only where the other was.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx2(()),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(neon) => neon,
        }
    }

    /// AVX-512, if it is that.
    pub(super) fn avx512(self) -> Option<Avx512> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => None,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => Some(avx512),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => None,
        }
    }
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
            found.push(Self(Backend::Vector(VectorIsa::Avx2(Avx2(())))));
            if std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512vbmi")
                && std::is_x86_feature_detected!("avx512vnni")
            {
                found.push(Self(Backend::Vector(VectorIsa::Avx512(Avx512(())))));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if cfg!(target_endian = "little") {
            found.push(Self(Backend::Vector(VectorIsa::Neon(Neon(())))));
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
            Backend::Vector(VectorIsa::Avx2(_)) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Backend::Vector(VectorIsa::Avx512(_)) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Backend::Vector(VectorIsa::Neon(_)) => "neon",
        }
    }

    pub(super) fn backend(self) -> Backend {
        self.0
    }
}
