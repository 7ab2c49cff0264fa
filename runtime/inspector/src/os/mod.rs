//! The few things that the standard library does not give: the monotonic clock as the kernel's drivers see it, sleeping
//! to an absolute moment while listening, real-time scheduling, and page-fault counts.

pub mod clock;
pub mod faults;
pub mod mapped;
pub mod realtime;
pub mod wake;
