//! The architectures that boxes have.

use std::fmt;

/// An ARM architecture, by Debian's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arch {
    /// ARMv7 with an FPU, 32 bits.
    Armhf,
    /// ARMv8, 64 bits.
    Arm64,
}

// === impl Arch ===

impl Arch {
    pub(super) const ALL: [Self; 2] = [Self::Armhf, Self::Arm64];

    /// What Rust calls the target.
    pub(super) const fn triple(self) -> &'static str {
        match self {
            Self::Armhf => "armv7-unknown-linux-gnueabihf",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The directory of its libraries.
    pub(super) const fn multiarch(self) -> &'static str {
        match self {
            Self::Armhf => "arm-linux-gnueabihf",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// What docker calls it.
    pub(super) const fn platform(self) -> &'static str {
        match self {
            Self::Armhf => "linux/arm/v7",
            Self::Arm64 => "linux/arm64",
        }
    }

    /// What the kernel's table of foreign programs calls its emulator.
    pub(super) const fn emulator(self) -> &'static str {
        match self {
            Self::Armhf => "qemu-arm",
            Self::Arm64 => "qemu-aarch64",
        }
    }
}

impl std::str::FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|arch| arch.to_string() == text);
        found.ok_or_else(|| format!("no architecture {text:?}; there are armhf and arm64"))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Armhf => "armhf",
            Self::Arm64 => "arm64",
        })
    }
}
