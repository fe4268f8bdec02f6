//! Test elements.
