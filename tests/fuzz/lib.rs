//! Fuzz targets: everything that reads input from outside.
//!
//! | target | input | what has to hold |
//! |---|---|---|
//! | [`line`] | lines, one below the other | what is read is written as it was; typed values keep their meaning; parts join |
//! | [`encode`] | values of a line | what is written is read again; no part is too long |
//! | [`config`] | a beacon configuration | errors lie in the file; what is taken makes lines that can be read |
//! | [`player`] | datagrams of players, and what befalls their connections | messages keep their meaning; the journal adds up to the totals; lines and heartbeats can be read |
//! | [`provisioning`] | a file that an integrator writes: provisioning, or the table of elements | errors lie in the file; nothing secret is explained; a table that is written again is the same |
//! | [`ts`] | a transport stream | however it is cut, the same is counted and found, and what the second opinion counts |
//! | [`stb`] | the body of a request | what is taken is written and read again |
//!
//! A target panics where something does not hold. `cargo xtask fuzz` runs them.

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "to panic where something does not hold is what a target is for"
)]

pub mod config;
mod elements;
pub mod encode;
pub mod line;
pub mod player;
pub mod provisioning;
pub mod seeds;
pub mod stb;
pub mod ts;

/// Whether a place in a text, with line and column from 1, lies in it or right behind it.
fn lies_in(text: &[u8], line: u32, column: u32) -> bool {
    let lines = text.split(|byte| *byte == b'\n').count();
    (1..=lines).contains(&(line as usize)) && column >= 1 && column as usize <= text.len() + 1
}

/// Random bits that are the same each time.
fn random() -> impl FnMut() -> u128 {
    let mut state = 0_u128;
    move || {
        state += 1;
        state.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// What fuzzing has found once stays found, without the fuzzer too.
    #[test]
    fn seeds_and_former_findings_hold() {
        let seeds = tempfile::tempdir().unwrap();
        super::seeds::write(seeds.path()).unwrap();
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        let targets: [fn(&[u8]); 7] = [
            super::line::check,
            super::encode::check,
            super::config::check,
            super::player::check,
            super::provisioning::check,
            super::ts::check,
            super::stb::check,
        ];
        let names = ["line", "encode", "config", "player", "provisioning", "ts", "stb"];
        for (target, check) in names.into_iter().zip(targets) {
            let made = seeds.path().join(target).join("seeds");
            let kept = Some(kept.join(target)).filter(|kept| kept.exists());
            for directory in [Some(made), kept].into_iter().flatten() {
                let mut inputs = fs::read_dir(&directory).unwrap().peekable();
                assert!(inputs.peek().is_some(), "{} is empty", directory.display());
                inputs.for_each(|input| check(&fs::read(input.unwrap().path()).unwrap()));
            }
        }
    }
}
