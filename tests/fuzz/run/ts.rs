//! libFuzzer around [`stbeacon_fuzz::ts`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: stbeacon_fuzz::seeds::write_if_asked(),
    |data: &[u8]| stbeacon_fuzz::ts::check(data)
);
