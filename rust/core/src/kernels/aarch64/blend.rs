//! Transparent colours to opaque ones: the portable loop, of which the compiler makes vectors.

pub(in crate::kernels) use crate::kernels::scalar::blend::blend;
