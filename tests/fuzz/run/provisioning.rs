//! libFuzzer around [`stbeacon_fuzz::provisioning`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: stbeacon_fuzz::seeds::write_if_asked(),
    |data: &[u8]| stbeacon_fuzz::provisioning::check(data)
);
