//! Journeys of the real binary: what a user does, on the real kernel, with nothing in between.
//!
//! Each file below `tests/` is one chapter. Every test has an engine of its own: data directory,
//! socket, cgroup parent. They need root; without it they say so and end.
