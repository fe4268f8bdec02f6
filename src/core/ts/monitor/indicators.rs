//! What is counted of each indicator.

use serde::Serialize;

/// Errors by TR 101 290 §5.2, each since the start.
///
/// Something that is missing for too long is one error, however long, counted as soon as it is too long. From a packet
/// flagged `transport_error_indicator` and from a duplicate nothing is taken but its counter; a section with lost
/// packets in it is not counted as a CRC error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Indicators {
    /// 1.1: sync was had (5 sync bytes in a row) and lost (2 wrong ones).
    pub ts_sync_loss: u64,
    /// 1.2: a sync byte was wrong.
    pub sync_byte_error: u64,
    /// 1.3a: no table 0 on PID 0 for more than 0.5 s; a section of another table there; a scrambled packet there.
    pub pat_error_2: u64,
    /// 1.4: see [`Counts::discontinuities`].
    pub continuity_count_error: u64,
    /// 1.5a: no table 2 for more than 0.5 s on a PID that the PAT names; a scrambled packet there.
    pub pmt_error_2: u64,
    /// 1.6: no packet for more than 5 s on the PID of pictures or sound that a PMT names.
    pub pid_error: u64,
    /// 2.1: `transport_error_indicator` is set.
    pub transport_error: u64,
    /// 2.2: the checksum of a section of PAT, CAT, PMT, NIT, SDT, BAT, EIT or TOT is wrong.
    pub crc_error: u64,
    /// 2.3a: no PCR for more than 100 ms on a PID that has some.
    pub pcr_repetition_error: u64,
    /// 2.3b: two PCRs differ by less than 0 or more than 100 ms without `discontinuity_indicator`.
    pub pcr_discontinuity_indicator_error: u64,
    /// 2.4: a PCR is more than 500 ns off the line of those before it. Judged only where the rate is constant.
    pub pcr_accuracy_error: u64,
    /// 2.5: no PTS for more than 700 ms on the PID of pictures or sound that has some and is not scrambled.
    pub pts_error: u64,
    /// 2.6: scrambled packets, but no CAT within 0.5 s; a section of another table on PID 1.
    pub cat_error: u64,
}

// === impl Indicators ===

impl Indicators {
    /// Each with its number in TR 101 290 and the name it has there.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, &'static str, u64); 13] {
        [
            ("1.1", "TS_sync_loss", self.ts_sync_loss),
            ("1.2", "Sync_byte_error", self.sync_byte_error),
            ("1.3a", "PAT_error_2", self.pat_error_2),
            ("1.4", "Continuity_count_error", self.continuity_count_error),
            ("1.5a", "PMT_error_2", self.pmt_error_2),
            ("1.6", "PID_error", self.pid_error),
            ("2.1", "Transport_error", self.transport_error),
            ("2.2", "CRC_error", self.crc_error),
            ("2.3a", "PCR_repetition_error", self.pcr_repetition_error),
            ("2.3b", "PCR_discontinuity_indicator_error", self.pcr_discontinuity_indicator_error),
            ("2.4", "PCR_accuracy_error", self.pcr_accuracy_error),
            ("2.5", "PTS_error", self.pts_error),
            ("2.6", "CAT_error", self.cat_error),
        ]
    }

    /// All errors together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.named().iter().map(|(_, _, count)| count).sum()
    }
}
